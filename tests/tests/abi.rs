//! The ABI over real dlopen: what is loaded, what is refused and in which words, and that a refusal harms nobody else.
//!
//! The libraries are built from copies of `abi` and `sdk` with the edits of `tests/abi-fixtures/<name>.toml`.
//! Not among them: a library of another rustc. The toolchain is pinned, and a test that needs a second one would say
//! nothing where there is none; `kernel/README.md`, "ABI version log", says with which it was tried by hand.

use house::{abi_fixture, bin_dir, dispatch_binary};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Longest refusal: abi_stable's report in it is capped at 1 KiB, the words around it and a path are short.
const REFUSAL_BYTES_MAX: usize = 2048;
/// Libraries in one process.
const LIBRARIES: usize = 30;

struct Ran {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Ran {
    fn of(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

fn today() -> PathBuf {
    bin_dir().join("libtoy_probe.so")
}

/// Runs `dispatch` with these words over probes: an instance of each id, from each library.
fn dispatch(home: &Path, probes: &[(&str, &Path)], words: &[&str]) -> Ran {
    let entry = |(id, library): &(&str, &Path)| {
        format!("[[extension]]\nid = \"{id}\"\nfrom = \"toy-probe\"\npath = \"{}\"\n", library.display())
    };
    let file = home.join("build.toml");
    std::fs::write(&file, probes.iter().map(entry).collect::<String>()).expect("written");
    #[expect(clippy::disallowed_methods, reason = "the process under test")]
    let mut command = Command::new(dispatch_binary());
    Ran::of(
        command.env("DISPATCH_HOME", home).arg("--build").arg(file).args(words).output().expect("started"),
    )
}

/// Answers why `library` was refused beside one of today's, which must have answered nevertheless.
fn refusal(library: &Path) -> String {
    let home = tempfile::tempdir().expect("a directory");
    let probes = [("other", library), ("today", &*today())];
    let ran = dispatch(home.path(), &probes, &["today"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "today: today's\n"), "{}", ran.stderr);
    let ran = dispatch(home.path(), &probes, &["other"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(78), ""), "{}", ran.stderr);
    let disabled = "`other` is disabled: ";
    let lines: Vec<&str> = ran.stderr.lines().filter_map(|line| Some(line.split_once(disabled)?.1)).collect();
    let [line] = lines.as_slice() else { panic!("one line with a reason, not: {}", ran.stderr) };
    assert!(line.len() < REFUSAL_BYTES_MAX, "{} bytes: {line}", line.len());
    (*line).to_owned()
}

#[test]
fn another_major_is_refused_with_both_versions_and_the_mend() {
    let library = abi_fixture("wrong-major.so");
    let expected = format!(
        "cannot load `toy-probe`: built for ABI 2.0.0, this kernel speaks 1.0.0; \
         rebuild it with a dispatch-sdk of ABI 1.x ({})",
        library.display()
    );
    assert_eq!(refusal(&library), expected);
}

#[test]
fn a_layout_that_fits_in_neither_direction_is_refused_with_the_difference() {
    for (name, difference) in [
        (
            "changed-signature",
            "mismatched type at `open.__returns.field_0.obj.vtable.cancel.param_1` (u64, not i64)",
        ),
        (
            "missing-method",
            "prefix-types have a different prefix at `open.__returns.field_0.obj.vtable` (8, not 7)",
        ),
        (
            "grown-struct",
            "incompatible type size at `open.__returns.field_0.obj.vtable.on_topic.param_1.data` (56, not 64)",
        ),
    ] {
        let library = abi_fixture(&format!("{name}.so"));
        let line = refusal(&library);
        let begin = format!(
            "cannot load `toy-probe` from {}: its layout of ABI 1.0.0 fits this kernel's (1.0.0) in neither direction: ",
            library.display()
        );
        assert!(line.starts_with(&begin), "{name}: {line}");
        assert!(line.contains(difference), "{name}: {line}");
        assert!(line.ends_with("; rebuild it with this kernel's dispatch-sdk"), "{name}: {line}");
    }
}

#[test]
fn a_library_without_the_symbol_is_refused() {
    let library = abi_fixture("other-symbol.so");
    let expected = format!(
        "cannot load `toy-probe` from {}: it does not export the symbol `dispatch_extension`; \
         use `dispatch_sdk::export!` once",
        library.display()
    );
    assert_eq!(refusal(&library), expected);
}

/// A copy that the dynamic linker refuses, for another machine, while its section can still be read.
fn for_another_machine(library: &Path, dir: &Path) -> PathBuf {
    const E_MACHINE: usize = 18;
    let mut bytes = std::fs::read(library).expect("built");
    bytes[E_MACHINE] ^= 0xff;
    let copy = dir.join("other-machine.so");
    std::fs::write(&copy, bytes).expect("written");
    copy
}

#[test]
fn a_library_that_aborts_on_panic_is_refused_before_it_is_mapped() {
    let dir = tempfile::tempdir().expect("a directory");
    let aborting = for_another_machine(&abi_fixture("panic-abort.so"), dir.path());
    let expected = format!(
        "cannot load `toy-probe`: built with `panic = \"abort\"`, and a panic in it would end this process; \
         rebuild it with `panic = \"unwind\"` ({})",
        aborting.display()
    );
    assert_eq!(refusal(&aborting), expected);
    // The same damage, where nothing stops the loader before: it does reach the dynamic linker.
    let whole = refusal(&for_another_machine(&today(), dir.path()));
    assert!(!whole.contains("panic") && whole.contains("cannot load `toy-probe` from"), "{whole}");
}

#[test]
fn a_path_that_names_no_whole_library_is_refused_with_the_reason() {
    let dir = tempfile::tempdir().expect("a directory");
    let whole = std::fs::read(today()).expect("built");
    for (name, bytes) in
        [("cut.so", &whole[..whole.len() / 2]), ("text.so", b"not a library"), ("empty.so", b"")]
    {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).expect("written");
        let ran = dispatch(dir.path(), &[("other", &path), ("today", &*today())], &["today"]);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(78), ""), "{}", ran.stderr);
        let reason = format!("from {}: it is not a whole ELF library (", path.display());
        assert!(ran.stderr.contains(&reason), "{name}: {}", ran.stderr);
        assert!(ran.stderr.contains("); build or copy it again"), "{name}: {}", ran.stderr);
    }
}

#[test]
fn a_later_minor_and_todays_serve_each_other_and_a_method_the_host_lacks_answers_its_default() {
    let home = tempfile::tempdir().expect("a directory");
    let probes = [("later", &*abi_fixture("newer-minor.so")), ("today", &*today())];
    let (later, today) = ("later: newer, the host adds 5001\n", "today: today's\n");
    let ran = dispatch(home.path(), &probes, &["later", "today"]);
    assert_eq!((ran.code, ran.stdout), (Some(0), format!("{later}{today}")), "{}", ran.stderr);
    let ran = dispatch(home.path(), &probes, &["today", "later"]);
    assert_eq!((ran.code, ran.stdout), (Some(0), format!("{today}{later}")), "{}", ran.stderr);
}

/// What a host without the kernel prints of a library.
fn small_host(host: &Path, library: &Path) -> Ran {
    #[expect(clippy::disallowed_methods, reason = "the process under test")]
    let mut command = Command::new(host);
    Ran::of(command.arg(library).output().expect("started"))
}

#[test]
fn a_host_of_a_later_minor_loads_todays_library_and_what_that_lacks_answers_its_default() {
    let (later, now) = (abi_fixture("newer-minor.host"), bin_dir().join("small-host"));
    let (newer, today) = (abi_fixture("newer-minor.so"), today());
    let command = r#""commands":[{"name":"probed","summary":"Says which build it is.","options":[]}]"#;
    for (host, library, first, last) in [
        (&later, &today, "host 1.1.0, library 1", "the instance adds 1001, the module None"),
        (&later, &newer, "host 1.1.0, library 1", "the instance adds 1002, the module Some(9002)"),
        (&now, &newer, "host 1.0.0, library 1", ""),
        (&now, &today, "host 1.0.0, library 1", ""),
    ] {
        let ran = small_host(host, library);
        let mut lines = ran.stdout.lines();
        assert_eq!(lines.next(), Some(first), "{}", ran.stderr);
        let said = lines.next().unwrap_or_default();
        assert!(said.contains(command), "{said} {}", ran.stderr);
        assert_eq!(lines.next().unwrap_or_default(), last);
    }
}

#[test]
fn a_host_of_a_later_minor_refuses_what_todays_refuses() {
    for name in ["changed-signature", "missing-method", "grown-struct"] {
        let ran = small_host(&abi_fixture("newer-minor.host"), &abi_fixture(&format!("{name}.so")));
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{name}: {}", ran.stderr);
        assert!(ran.stderr.contains("Layout("), "{name}: {}", ran.stderr);
    }
}

#[test]
fn two_libraries_of_one_module_type_and_one_of_them_twice_keep_apart() {
    let home = tempfile::tempdir().expect("a directory");
    let (newer, today) = (abi_fixture("newer-minor.so"), today());
    let probes = [("first", &*today), ("second", &*newer), ("third", &*today)];
    let ran = dispatch(home.path(), &probes, &["third", "second", "first"]);
    let expected = "third: today's\nsecond: newer, the host adds 5001\nfirst: today's\n";
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), expected), "{}", ran.stderr);
    assert_eq!(copies(home.path()), 2, "one copy for each library, not for each instance");
}

fn copies(home: &Path) -> usize {
    let entries = std::fs::read_dir(home.join("cache/ext")).expect("there").filter_map(Result::ok);
    entries.filter(|entry| entry.path().extension().is_some_and(|extension| extension == "so")).count()
}

/// The files differ by a byte behind their end, which is enough: each has a hash, a copy and a mapping of its own.
#[test]
fn thirty_libraries_live_in_one_process() {
    let home = tempfile::tempdir().expect("a directory");
    let mut bytes = std::fs::read(abi_fixture("newer-minor.so")).expect("built");
    bytes.push(0);
    let files: Vec<(String, PathBuf)> = (0..LIBRARIES)
        .map(|n| {
            let path = home.path().join(format!("{n}.so"));
            *bytes.last_mut().expect("pushed") = u8::try_from(n).expect("few");
            std::fs::write(&path, &bytes).expect("written");
            (format!("probe-{n}"), path)
        })
        .collect();
    let probes: Vec<(&str, &Path)> = files.iter().map(|(id, path)| (id.as_str(), path.as_path())).collect();
    let ids: Vec<&str> = probes.iter().map(|(id, _)| *id).collect();
    let ran = dispatch(home.path(), &probes, &ids);
    let expected: String = ids.iter().map(|id| format!("{id}: newer, the host adds 5001\n")).collect();
    assert_eq!((ran.code, ran.stdout), (Some(0), expected), "{}", ran.stderr);
    assert_eq!(copies(home.path()), LIBRARIES);
}
