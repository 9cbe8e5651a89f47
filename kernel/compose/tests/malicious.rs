//! Manifests and build lists written to break their reader: each gives a problem, none a panic or a long wait.

use std::fs::{self, File};
use std::path::Path;

use dispatch_compose::{
    BuildList, Catalog, INCLUDE_DEPTH_MAX, INCLUDED_FILES_MAX, INSTANCES_MAX, LIST_ITEMS_MAX,
    MANIFEST_BYTES_MAX, Manifest, NESTING_MAX, PROBLEMS_MAX, Problems, resolve,
};
use semver::Version;

const HEAD: &str = "id = \"sample\"\nversion = \"0.1.0\"\nsummary = \"A sample.\"\n";

fn parsed(text: &str) -> Result<Manifest, Problems> {
    Manifest::parse(Path::new("extension.toml"), text.as_bytes())
}

fn messages(problems: &Problems) -> Vec<String> {
    problems.0.iter().map(|problem| problem.message.clone()).collect()
}

fn refusals(text: &str) -> Vec<String> {
    messages(&parsed(text).expect_err("it is refused"))
}

#[test]
fn a_gigabyte_is_refused_unread() {
    let directory = tempfile::tempdir().expect("a temp dir");
    let path = directory.path().join("extension.toml");
    File::create(&path).expect("created").set_len(1 << 30).expect("sparse");
    let problems = Manifest::read(&path).expect_err("it is refused");
    assert_eq!(messages(&problems), ["the file has 1073741824 bytes, at most 65536 are read"]);
    let problems = BuildList::read(&path).expect_err("it is refused");
    assert_eq!(messages(&problems), ["the file has 1073741824 bytes, at most 262144 are read"]);
}

#[test]
fn an_endless_device_is_refused_unread() {
    let problems = Manifest::read(Path::new("/dev/zero")).expect_err("it is refused");
    assert_eq!(messages(&problems), ["cannot read this file: it is not a regular file"]);
}

#[test]
fn the_last_byte_allowed_is_taken_and_one_more_is_refused() {
    let padded = format!("{HEAD}#{}", "x".repeat(MANIFEST_BYTES_MAX - HEAD.len() - 1));
    assert!(parsed(&padded).is_ok());
    assert_eq!(refusals(&(padded + "x")), ["the file has 65537 bytes, at most 65536 are read"]);
}

#[test]
fn no_depth_overflows_the_stack() {
    let dots = |parts: usize| vec!["a"; parts].join(".");
    let too_deep = format!("nested deeper than {NESTING_MAX} levels");
    // Within the parser's bounds of 80 brackets and 80 dots, but not within its stack: 6,241 levels.
    let product = format!("{}b = 1{}", format!("{} = {{", dots(79)).repeat(79), "}".repeat(79));
    assert_eq!(refusals(&product), [too_deep.as_str()]);
    let below_a_header = format!("[{}]\n{product}", dots(79));
    assert_eq!(refusals(&below_a_header), [too_deep.as_str()]);
    let unclosed = format!("{} = {{", dots(79)).repeat(300);
    assert!(!refusals(&unclosed).is_empty());
    for text in [
        format!("x = {}{}", "[".repeat(10_000), "]".repeat(10_000)),
        format!("x = {}", "[".repeat(60_000)),
        "x = {a = ".repeat(7_000),
        format!("x = {}1{}", "{a = ".repeat(10_000), "}".repeat(10_000)),
        format!("{} = 1", dots(10_000)),
        format!("[{}]", dots(10_000)),
        format!("[[{}]]", dots(10_000)),
    ] {
        assert!(!refusals(&text).is_empty());
    }
}

#[test]
fn as_deep_as_allowed_is_taken() {
    let nested = |depth: usize| {
        // The document's key, the entry and `config` are levels as well.
        let inner = depth - 4;
        format!("[[extension]]\nid = \"x\"\nconfig = {{ a = {}1{} }}\n", "[".repeat(inner), "]".repeat(inner))
    };
    assert!(BuildList::parse(Path::new("build.toml"), &nested(NESTING_MAX)).is_ok());
    let problems = BuildList::parse(Path::new("build.toml"), &nested(NESTING_MAX + 1)).expect_err("too deep");
    assert_eq!(messages(&problems), [format!("nested deeper than {NESTING_MAX} levels")]);
}

#[test]
fn no_cut_and_no_changed_byte_makes_a_panic() {
    let whole = fs::read("tests/cases/manifest/full.toml").expect("the case is there");
    let path = Path::new("extension.toml");
    for end in 0..whole.len() {
        let _ = Manifest::parse(path, &whole[..end]).map_err(|problems| problems.to_string());
    }
    for at in 0..whole.len() {
        for byte in [0, b'\n', b'"', b'[', b'}', b'.', b'*', 0x1b, 0xc3, 0xff] {
            let mut changed = whole.clone();
            changed[at] = byte;
            let outcome = Manifest::parse(path, &changed);
            if byte == 0 || byte == 0xff {
                assert!(outcome.is_err(), "byte {byte} at {at}");
            }
            let _ = outcome.map_err(|problems| problems.to_string());
        }
    }
}

#[test]
fn a_flood_of_problems_is_counted_not_printed() {
    let keys: String = (0..1000).map(|idx| format!("key_{idx} = 1\n")).collect();
    let told = refusals(&format!("{HEAD}{keys}"));
    assert_eq!(told.len(), PROBLEMS_MAX + 1);
    assert_eq!(told[PROBLEMS_MAX], "900 more problems are not shown");
    assert_eq!(refusals(&"= \n".repeat(20_000)).len(), PROBLEMS_MAX);
}

#[test]
fn a_list_has_a_bound() {
    let listing = |count: usize| {
        let names: String = (0..count).map(|idx| format!("\"t{idx}\",")).collect();
        format!("{HEAD}subscribes = [{names}]\n")
    };
    assert!(parsed(&listing(LIST_ITEMS_MAX)).is_ok());
    assert_eq!(
        refusals(&listing(LIST_ITEMS_MAX + 1)),
        ["`subscribes` lists 1025 names, at most 1024 are taken"]
    );
}

#[test]
fn a_problem_never_moves_the_terminals_cursor() {
    let problems = parsed(&format!("{HEAD}\"\\u001b[2J\\u202e\" = 1\n")).expect_err("it is refused");
    let mut printed = problems.to_string();
    let build = "[[extension]]\nid = \"x\"\npath = \"\\u001b[2J\\u202e\"\n";
    let build = BuildList::parse(Path::new("\u{1b}.toml"), build).expect("a path may hold anything");
    let problems = resolve(&build, &Catalog::new(), &Version::new(0, 1, 0)).expect_err("nothing is known");
    printed.push_str(&problems.to_string());
    assert!(!printed.chars().any(|c| c != '\n' && c.is_control()), "{printed:?}");
    assert!(!printed.contains('\u{202e}'), "{printed:?}");
}

#[test]
fn a_chain_of_includes_has_a_bound() {
    let directory = tempfile::tempdir().expect("a temp dir");
    let file = |idx: usize| directory.path().join(format!("{idx}.toml"));
    let chain = |length: usize| {
        for idx in 1..length {
            fs::write(file(idx), format!("include = [\"{}.toml\"]\n", idx + 1)).expect("written");
        }
        fs::write(file(length), "").expect("written");
        BuildList::read(&file(1))
    };
    assert!(chain(INCLUDE_DEPTH_MAX).is_ok());
    let problems = chain(INCLUDE_DEPTH_MAX + 1).expect_err("one too many");
    assert_eq!(messages(&problems), ["more than 8 files include one another in a chain"]);
}

#[test]
fn a_tree_of_includes_has_a_bound() {
    let directory = tempfile::tempdir().expect("a temp dir");
    // Each file includes the next by eight names: 8^7 files, if nobody counted.
    for idx in 1..INCLUDE_DEPTH_MAX {
        let names: Vec<String> =
            (0..8).map(|dots| format!("\"{}{}.toml\"", "./".repeat(dots), idx + 1)).collect();
        let text = format!("include = [{}]\n", names.join(", "));
        fs::write(directory.path().join(format!("{idx}.toml")), text).expect("written");
    }
    fs::write(directory.path().join(format!("{INCLUDE_DEPTH_MAX}.toml")), "").expect("written");
    let problems = BuildList::read(&directory.path().join("1.toml")).expect_err("too many");
    assert_eq!(messages(&problems), [format!("the build is made of more than {INCLUDED_FILES_MAX} files")]);
}

#[test]
fn a_build_has_a_bound() {
    let listing = |count: usize| -> String {
        (0..count).map(|idx| format!("[[extension]]\nid = \"x{idx}\"\n")).collect()
    };
    let parse = |count: usize| BuildList::parse(Path::new("build.toml"), &listing(count));
    assert_eq!(parse(INSTANCES_MAX).expect("allowed").entries.len(), INSTANCES_MAX);
    let problems = parse(INSTANCES_MAX + 1).expect_err("one too many");
    assert_eq!(messages(&problems), ["the build has 257 instances, at most 256 run"]);
}
