//! The host as whoever composes a build, or writes an extension for one, meets it: what is refused, and how.

use crate::host::{Host, Ran};
use dispatch_testkit::fake_llm::{Action, Rule, Script};
use house::bin_dir;
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Most lines of a log among which one is looked for.
const LOOKED_AT_MAX: usize = 10_000;

fn host() -> Host {
    Host::new(Script::rules(vec![Rule::always(vec![Action::text("ok")])]))
}

fn ran(host: &Host, words: &[&str]) -> Ran {
    Ran::of(host.bare(words).output().expect("started"))
}

fn toy() -> PathBuf {
    bin_dir().join("libtoy_callee.so")
}

/// A build of one library.
fn build_of(host: &Host, library: &Path) -> String {
    let text = format!("[[extension]]\nid = \"toy-callee\"\npath = \"{}\"\n", library.display());
    host.write("toy.toml", &text).to_str().expect("UTF-8").to_owned()
}

/// A copy of the toy in which every `from` is a `to` of the same length.
fn damaged(host: &Host, from: &[u8], to: &[u8]) -> PathBuf {
    let mut bytes = std::fs::read(toy()).expect("built");
    let places: Vec<usize> =
        bytes.windows(from.len()).enumerate().filter(|(_, part)| *part == from).map(|(at, _)| at).collect();
    assert!(!places.is_empty(), "the toy holds {from:?}");
    for at in places {
        bytes[at..at + to.len()].copy_from_slice(to);
    }
    let copy = host.cwd().join("libtoy_damaged.so");
    std::fs::write(&copy, bytes).expect("written");
    copy
}

#[test]
fn a_check_of_a_build_says_what_the_loader_would_say_and_runs_nothing() {
    let host = host();
    assert_eq!(ran(&host, &["build", "check", &build_of(&host, &toy())]).code, Some(0));
    let (unwind, abort) = (b"\"panic\":\"unwind\"", b"\"panic\":\"abort\" ");
    for (from, to, refusal) in [
        (&unwind[..], &abort[..], "built with `panic = \"abort\"`"),
        (b"\0dispatch_extension\0", b"\0dispatch_extensioX\0", "does not export the symbol"),
    ] {
        let build = build_of(&host, &damaged(&host, from, to));
        let checked = ran(&host, &["build", "check", &build]);
        assert_eq!(checked.code, Some(78), "{checked:?}");
        assert!(checked.stderr.contains(refusal), "{}", checked.stderr);
        let doctor = ran(&host, &["doctor", "--build", &build]);
        assert!(doctor.code == Some(1) && doctor.stdout.contains("fail  library"), "{doctor:?}");
    }
}

#[test]
fn where_nothing_is_found_the_places_are_named_and_a_library_that_forgot_to_say_what_it_is() {
    let host = host();
    let build = host.write("none.toml", "[[extension]]\nid = \"word-count\"\n");
    let build = build.to_str().expect("UTF-8");
    std::fs::create_dir(host.cwd().join("mine")).expect("made");
    std::fs::write(host.cwd().join("mine/libword_count.so"), std::fs::read(sectionless()).expect("read"))
        .expect("written");
    let checked = ran(&host, &["build", "check", build, "--ext-dir", "mine"]);
    assert_eq!(checked.code, Some(78), "{checked:?}");
    for part in
        ["extensions were sought in mine", "extensions (not there)", "libword_count.so is a library, and no"]
    {
        assert!(checked.stderr.contains(part), "{part}: {}", checked.stderr);
    }
}

/// A library that is no extension.
fn sectionless() -> PathBuf {
    let places = ["/lib/x86_64-linux-gnu", "/lib/aarch64-linux-gnu", "/lib64", "/usr/lib"];
    let mut libraries = places.iter().map(|place| Path::new(place).join("libc.so.6"));
    libraries.find(|library| library.is_file()).expect("a C library")
}

#[test]
fn one_library_is_added_for_one_run() {
    let host = host();
    let toy = toy();
    let toy = toy.to_str().expect("UTF-8");
    let graph = ran(&host, &["ext", "graph", "--ext", toy]);
    assert_eq!(graph.code, Some(0), "{graph:?}");
    assert!(
        graph.stdout.contains("toy-callee") && graph.stdout.contains("storage-sqlite"),
        "{}",
        graph.stdout
    );
    assert!(!ran(&host, &["ext", "graph"]).stdout.contains("toy-callee"));
    let listed = |words: &[&str]| ran(&host, words).stdout.contains("toy-");
    assert!(!listed(&["ext", "list"]) && !listed(&["ext", "list", "--json"]), "toys are for tests");
    assert!(listed(&["ext", "list", "--ext", toy]));
    let none = ran(&host, &["ext", "graph", "--ext", "/nowhere.so"]);
    assert!(none.code == Some(78) && none.stderr.contains("`--ext /nowhere.so` adds nothing"), "{none:?}");
    let shown = ran(&host, &["build", "show", "server"]);
    assert!(shown.code == Some(0) && shown.stdout.contains("include = [\"default.toml\"]"), "{shown:?}");
    assert!(ran(&host, &["build", "show", "mine"]).stderr.contains("default, minimal, server"));
}

#[test]
fn a_word_that_is_nearly_a_command_is_recognised_and_help_is_given_of_each() {
    let host = host();
    let wrong = ran(&host, &["rnu", "hi"]);
    assert!(wrong.code == Some(2) && wrong.stderr.contains("did you mean `run`?"), "{wrong:?}");
    let (help, same) = (ran(&host, &["help", "run"]), ran(&host, &["run", "--help"]));
    assert!(help.code == Some(0) && help.stdout.contains("--conversation"), "{help:?}");
    assert_eq!(help.stdout, same.stdout);
    let all = ran(&host, &["help"]).stdout;
    assert!(all.find("  run ") < all.find("  serve "), "first what most people want: {all}");
}

#[test]
fn a_program_that_asks_for_json_gets_a_document_when_it_is_refused() {
    let host = host();
    for words in [&["doctor", "--json", "--allow", "fly"][..], &["ext", "list", "--json", "--build", "none"]]
    {
        let ran = ran(&host, words);
        let document: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|e| panic!("{e}: {ran:?}"));
        assert_eq!(document["error"]["exit_code"].as_i64(), ran.code.map(i64::from), "{document}");
        assert!(
            document["error"]["message"].as_str().is_some_and(|text| ran.stderr.contains(text)),
            "{ran:?}"
        );
    }
}

#[test]
fn the_log_has_times_and_is_json_when_it_is_asked_for() {
    let host = host();
    let logged = |words: &[&str], format: &str| {
        let mut command = host.bare(&["ext", "list", "--debuggable"]);
        command.args(words).env("DISPATCH_LOG_FORMAT", format);
        Ran::of(command.output().expect("started")).stderr
    };
    let text = logged(&[], "");
    assert!(
        text.starts_with("20") && text.contains("Z  WARN ") && text.contains("debuggable=true"),
        "{text}"
    );
    for json in [logged(&[], "json"), logged(&["--log-format", "json"], "text")] {
        let record: Value = serde_json::from_str(json.lines().next().expect("a line")).expect("one document");
        assert_eq!((record["level"].as_str(), record["debuggable"].as_bool()), (Some("WARN"), Some(true)));
        assert!(record["timestamp"].as_str().is_some_and(|at| at.ends_with('Z')), "{record}");
        assert!(record["message"].as_str().is_some_and(|text| text.contains("memory")), "{record}");
    }
    let wrong = ran(&host, &["ext", "list", "--log-format", "yaml"]);
    assert_eq!(wrong.code, Some(2), "{wrong:?}");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "std sends no signal but SIGKILL")]
fn an_extension_that_hangs_while_it_is_opened_does_not_keep_the_host_from_ending() {
    let host = host();
    let library = toy();
    let library = library.display();
    let build = format!(
        "[[extension]]\nid = \"first\"\nfrom = \"toy-callee\"\npath = \"{library}\"\n\
         [[extension]]\nid = \"toy-callee\"\npath = \"{library}\"\nconfig = {{ fail = \"block in open\" }}\n\
         [bind]\n\"toy.v1\" = \"toy-callee\"\n"
    );
    let build = host.write("toys.toml", &build);
    for (signal, code) in [("TERM", 143), ("INT", 130)] {
        let mut command = host.bare(&["serve", "--build", build.to_str().expect("UTF-8")]);
        command.env("DISPATCH_LOG", "debug").stderr(Stdio::piped());
        let mut child = command.spawn().expect("started");
        let mut log = BufReader::new(child.stderr.take().expect("piped"));
        let mut line = String::new();
        for _ in 0..LOOKED_AT_MAX {
            line.clear();
            assert!(log.read_line(&mut line).expect("readable") > 0, "the log ended: {:?}", child.wait());
            if line.contains("active") && line.contains("first") {
                break;
            }
        }
        let sent = Command::new("kill").args(["-s", signal, &child.id().to_string()]).status();
        assert!(sent.expect("kill is there").success());
        let mut rest = String::new();
        log.read_to_string(&mut rest).expect("readable");
        assert_eq!(child.wait().expect("waited").code(), Some(code), "{signal}");
        assert!(rest.contains("`toy-callee`") && rest.contains("is left behind"), "{rest}");
    }
}

#[test]
fn a_failure_that_others_follow_from_is_told_once() {
    let host = host();
    assert_eq!(ran(&host, &["run", "--provider", "demo", "hi"]).code, Some(0));
    std::fs::write(host.home().join("data/dispatch.db"), "no database at all, but some text")
        .expect("written");
    for file in ["dispatch.db-wal", "dispatch.db-shm"] {
        let _ = std::fs::remove_file(host.home().join("data").join(file));
    }
    let ran = ran(&host, &["run", "--provider", "demo", "hi"]);
    assert_eq!(ran.code, Some(78), "{ran:?}");
    assert_eq!(ran.stderr.matches("is damaged").count(), 1, "{}", ran.stderr);
    assert!(ran.stderr.contains("the build requires `conversation-store`"), "{}", ran.stderr);
    assert!(ran.stderr.contains("without it the build's `orchestrator`"), "{}", ran.stderr);
}
