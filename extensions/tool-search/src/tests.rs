//! What `glob` and `grep` tell the model, over real directories.

mod barring;
mod confining;
mod ignoring;

use crate::Search;
use crate::args::{GlobArgs, GrepArgs, parse};
use crate::output::{GLOB_PATHS_MAX, GREP_MATCHES_MAX, LINE_CHARS_MAX, OUTPUT_BYTES_MAX, cut};
use crate::place::{Origin, Place};
use crate::stop::{Stop, Stopped};
use crate::{glob, grep};
use dispatch_sdk::Fault;
use dispatch_sdk::contracts::exec::RootsReply;
use dispatch_sdk::contracts::tool::{Effect, Locality, Run, RunParams, RunReply};
use dispatch_testkit::{FakeHost, Opened};
use rustix::fs::{FileType, Mode};
use serde_json::{Value, json};
use std::fs;
use std::io;
use std::path::Path;
use tempfile::TempDir;

struct World {
    directory: TempDir,
    tool: Opened,
}

/// A working directory with these files.
async fn world(files: &[(&str, &str)]) -> World {
    let directory = tempfile::tempdir().expect("a directory");
    for (path, content) in files {
        write(directory.path(), path, content.as_bytes());
    }
    let tool = open(json!({})).await;
    World { directory, tool }
}

/// The tool on a host whose `exec.v1/roots` answers this.
async fn open(roots: Value) -> Opened {
    let host = FakeHost::new();
    host.on("exec.v1/roots", move |_| Ok(roots.clone()));
    host.open::<Search>("tool-search", json!({})).await.expect("it opens")
}

/// What nothing confines.
fn open_regular(path: &Path) -> io::Result<Option<fs::File>> {
    let place =
        Place::resolve(&Origin { cwd: "/", reach: &RootsReply::default() }, ".").expect("the root is there");
    place.open_regular(path)
}

fn write(directory: &Path, path: &str, content: &[u8]) {
    let path = directory.join(path);
    fs::create_dir_all(path.parent().expect("it has one")).expect("directories");
    fs::write(path, content).expect("a file");
}

fn pipe(directory: &Path, name: &str) {
    let (mode, path) = (Mode::RUSR | Mode::WUSR, directory.join(name));
    rustix::fs::mknodat(rustix::fs::CWD, path, FileType::Fifo, mode, 0).expect("a pipe");
}

impl World {
    fn cwd(&self) -> &str {
        self.directory.path().to_str().expect("it is text")
    }

    async fn run(&self, tool: &str, args: Value) -> Result<RunReply, Fault> {
        let Value::Object(args) = args else { panic!("arguments are an object") };
        let params = RunParams { tool_call_id: "call-1".to_owned(), args, cwd: self.cwd().to_owned() };
        self.tool.call_named(Run, tool, &params).await
    }

    async fn said(&self, tool: &str, args: Value) -> (String, bool) {
        let reply = self.run(tool, args).await.expect("the tool answers");
        (reply.content, reply.is_error)
    }
}

fn good(text: &str) -> (String, bool) {
    (text.to_owned(), false)
}

fn bad(text: &str) -> (String, bool) {
    (text.to_owned(), true)
}

fn args<T: serde::de::DeserializeOwned>(args: Value) -> T {
    let Value::Object(args) = args else { panic!("arguments are an object") };
    parse(args).expect("they are right")
}

#[tokio::test]
async fn arguments_without_sense_are_refused() {
    let world = world(&[]).await;
    let long = "x".repeat(2_001);
    for (tool, args) in [
        ("glob", json!({})),
        ("glob", json!({ "pattern": "" })),
        ("glob", json!({ "pattern": long })),
        ("glob", json!({ "pattern": "*", "path": "" })),
        ("grep", json!({ "pattern": 1 })),
        ("grep", json!({ "pattern": "x", "context": -1 })),
        ("grep", json!({ "pattern": "x", "context": 1.5 })),
        ("grep", json!({ "pattern": "x", "context": 21 })),
        ("grep", json!({ "pattern": "x", "glob": "" })),
    ] {
        let fault = world.run(tool, args).await.expect_err("it is refused");
        assert_eq!(fault.code, "invalid", "{fault}");
    }
    assert_eq!(args::<GrepArgs>(json!({ "pattern": "x", "context": 2.0 })).context, 2);
}

#[tokio::test]
async fn a_wrong_pattern_says_what_is_wrong_and_where() {
    let world = world(&[]).await;
    let (text, is_error) = world.said("grep", json!({ "pattern": "ab(c" })).await;
    assert!(is_error && text.starts_with("the regular expression `ab(c` cannot be used: "), "{text}");
    assert!(text.contains("unclosed group") && text.contains("      ^\n"), "{text}");
    let (text, is_error) = world.said("grep", json!({ "pattern": "a\\nb" })).await;
    assert!(is_error && text.contains("not allowed"), "{text}");
    assert_eq!(
        world.said("grep", json!({ "pattern": "a", "glob": "*.{rs" })).await,
        bad("the glob `*.{rs` cannot be used: unclosed alternate group; missing '}' \
             (maybe escape '{' with '[{]'?)")
    );
    assert_eq!(
        world.said("glob", json!({ "pattern": "../*" })).await,
        bad("the glob `../*` cannot be used: `..` matches nothing; say with `path` where to search")
    );
    assert_eq!(
        world.said("glob", json!({ "pattern": "src/" })).await,
        bad("the glob `src/` cannot be used: it names a directory; files below it are `dir/**`")
    );
}

#[tokio::test]
async fn a_path_that_cannot_be_searched_says_why() {
    let world = world(&[("f", "text"), ("binary", "text\0text")]).await;
    pipe(world.directory.path(), "pipe");
    for tool in ["glob", "grep"] {
        assert_eq!(
            world.said(tool, json!({ "pattern": "x", "path": "none" })).await,
            bad("cannot search `none`: No such file or directory (os error 2)")
        );
        assert_eq!(
            world.said(tool, json!({ "pattern": "x", "path": "pipe" })).await,
            bad("cannot search `pipe`: it is a device, socket or pipe")
        );
    }
    assert_eq!(
        world.said("glob", json!({ "pattern": "x", "path": "f" })).await,
        bad("cannot search `f` for names: it is a file; name a directory")
    );
    assert_eq!(
        world.said("grep", json!({ "pattern": "text", "path": "binary" })).await,
        bad("cannot search `binary`: it is a binary file")
    );
}

#[tokio::test]
async fn a_working_directory_that_is_gone_is_said() {
    let world = world(&[]).await;
    let cwd = world.cwd().to_owned();
    fs::remove_dir(&cwd).expect("it is empty");
    let said = bad(&format!("cannot search `.`: there is no working directory `{cwd}`, or none any more"));
    assert_eq!(world.said("glob", json!({ "pattern": "*" })).await, said);
    let (text, is_error) = world.said("glob", json!({ "pattern": "passwd", "path": "/etc/passwd" })).await;
    assert!(is_error && text.contains("it is a file"), "{text}");
}

#[tokio::test]
async fn the_hosts_own_environment_and_memory_are_not_searched() {
    let world = world(&[]).await;
    std::os::unix::fs::symlink("/proc/self", world.directory.path().join("link")).expect("a link");
    for path in ["/proc", "/proc/self/environ", "/proc/self/status", "link/status"] {
        assert_eq!(
            world.said("grep", json!({ "pattern": ".", "path": path })).await,
            bad(&format!("cannot search `{path}`: what lies in /proc is the host's own, not a tool's"))
        );
    }
    assert!(open_regular(Path::new("/proc/self/status")).expect("it opens").is_none());
}

#[tokio::test]
async fn nothing_found_says_what_was_not_looked_at() {
    let world = world(&[("f", "text\n")]).await;
    assert_eq!(
        world.said("glob", json!({ "pattern": "*.rs" })).await,
        good(
            "(no file below `.` matches; hidden (see `hidden`) and ignored (see `ignored`) files were not looked at)\n"
        )
    );
    assert_eq!(
        world.said("grep", json!({ "pattern": "x{3}", "hidden": true })).await,
        good("(no line below `.` matches; ignored (see `ignored`) and binary files were not looked at)\n")
    );
    assert_eq!(
        world.said("grep", json!({ "pattern": "x{3}", "path": "f" })).await,
        good("(no line of `f` matches)\n")
    );
}

#[tokio::test]
async fn pipes_links_binary_and_ignored_files_are_not_opened() {
    let world = world(&[
        (".gitignore", "target\n*.log\n"),
        (".hidden/a", "needle\n"),
        (".git/config", "needle\n"),
        ("a.log", "needle\n"),
        ("binary", "needle\nnext\0"),
        ("src/a", "needle\n"),
        ("target/a", "needle\n"),
    ])
    .await;
    let outside = tempfile::tempdir().expect("a directory");
    write(outside.path(), "secret", b"needle\n");
    std::os::unix::fs::symlink(outside.path(), world.directory.path().join("link")).expect("a link");
    std::os::unix::fs::symlink("src/a", world.directory.path().join("to-file")).expect("a link");
    pipe(world.directory.path(), "pipe");
    let needle = json!({ "pattern": "needle" });
    assert_eq!(world.said("grep", needle).await, good("src/a:1: needle\n"));
    assert_eq!(
        world.said("grep", json!({ "pattern": "needle", "hidden": true })).await,
        good(".hidden/a:1: needle\nsrc/a:1: needle\n")
    );
    assert_eq!(
        world.said("grep", json!({ "pattern": "needle", "ignored": true })).await,
        good("a.log:1: needle\nsrc/a:1: needle\ntarget/a:1: needle\n")
    );
    // What is asked for by its name is searched, although it is ignored or a link.
    assert_eq!(
        world.said("grep", json!({ "pattern": "needle", "path": "target" })).await,
        good("target/a:1: needle\n")
    );
    let secret = outside.path().canonicalize().expect("it exists").join("secret");
    assert_eq!(
        world.said("grep", json!({ "pattern": "needle", "path": "link" })).await,
        good(&format!("{}:1: needle\n", secret.display()))
    );
    let opened = open_regular(&world.directory.path().join("pipe")).expect("it does not wait");
    assert!(opened.is_none());
    assert!(open_regular(&world.directory.path().join("to-file")).is_err());
    assert_eq!(
        world.said("glob", json!({ "pattern": "**/*" })).await,
        good("binary\nlink\npipe\nsrc/a\nto-file\n")
    );
}

#[tokio::test]
async fn a_glob_is_a_name_at_any_depth_or_a_path_below_the_place() {
    let files = ["b.rs", "src/a.rs", "src/deep/c.rs", "src/deep/d.ts", "tests/src/e.rs", ".x/f.rs"];
    let world = world(&files.map(|path| (path, ""))).await;
    let absolute = format!("{}/src/*.rs", world.directory.path().canonicalize().expect("it is").display());
    for (args, expected) in [
        (json!({ "pattern": "*.rs" }), "b.rs\nsrc/a.rs\nsrc/deep/c.rs\ntests/src/e.rs\n"),
        (json!({ "pattern": "*.rs", "hidden": true, "path": ".x" }), ".x/f.rs\n"),
        (json!({ "pattern": "./*.rs" }), "b.rs\nsrc/a.rs\nsrc/deep/c.rs\ntests/src/e.rs\n"),
        (json!({ "pattern": "src/*" }), "src/a.rs\n"),
        (json!({ "pattern": "src/**" }), "src/a.rs\nsrc/deep/c.rs\nsrc/deep/d.ts\n"),
        (json!({ "pattern": "**/deep/*.{rs,ts}" }), "src/deep/c.rs\nsrc/deep/d.ts\n"),
        (json!({ "pattern": "deep/*", "path": "src/../src/" }), "src/deep/c.rs\nsrc/deep/d.ts\n"),
        (json!({ "pattern": absolute }), "src/a.rs\n"),
    ] {
        assert_eq!(world.said("glob", args.clone()).await, good(expected), "{args}");
    }
    let reply = world.run("glob", json!({ "pattern": "*.ts" })).await.expect("it answers");
    let detail = json!({ "paths": 1, "more": false });
    assert_eq!(
        reply,
        RunReply { content: "src/deep/d.ts\n".to_owned(), is_error: false, detail, ..RunReply::default() }
    );
}

#[tokio::test]
async fn matches_come_with_their_lines_and_what_is_around_them() {
    let world = world(&[
        ("a.txt", "one\r\ntwo\r\nthree\r\nfour\r\nfive\r\nTwo\r\n"),
        ("b.md", "two\n"),
        ("d/c.txt", "zero\ntwo"),
    ])
    .await;
    for (args, expected) in [
        (json!({ "pattern": "^two$" }), "a.txt:2: two\nb.md:1: two\nd/c.txt:2: two\n"),
        (json!({ "pattern": "TWO", "ignore_case": true, "path": "a.txt" }), "a.txt:2: two\na.txt:6: Two\n"),
        (json!({ "pattern": "two", "glob": "*.txt" }), "a.txt:2: two\nd/c.txt:2: two\n"),
        (json!({ "pattern": "two", "glob": "d/*" }), "d/c.txt:2: two\n"),
        (json!({ "pattern": "[Tt]wo", "files_only": true }), "a.txt\nb.md\nd/c.txt\n"),
        (
            json!({ "pattern": "[Tt]wo", "context": 1, "glob": "*.txt" }),
            "a.txt-1- one\na.txt:2: two\na.txt-3- three\n--\na.txt-5- five\na.txt:6: Two\n--\n\
             d/c.txt-1- zero\nd/c.txt:2: two\n",
        ),
    ] {
        assert_eq!(world.said("grep", args.clone()).await, good(expected), "{args}");
    }
    let reply = world.run("grep", json!({ "pattern": "o$", "glob": "*.txt" })).await.expect("it answers");
    assert_eq!(reply.detail, json!({ "matches": 4, "files": 2, "more": false }));
}

#[tokio::test]
async fn a_long_answer_ends_with_a_note_on_how_to_narrow_it() {
    let world = world(&[("many", &"x\n".repeat(GREP_MATCHES_MAX + 1)), ("z", "x\n")]).await;
    let note = |n: usize, what: &str| {
        format!("[there is more than these {n} {what}; narrow the search with `path` or the pattern]\n")
    };
    let (text, _) = world.said("grep", json!({ "pattern": "x" })).await;
    let shown: String = (1..=GREP_MATCHES_MAX).map(|line| format!("many:{line}: x\n")).collect();
    assert_eq!(text, shown + &note(GREP_MATCHES_MAX, "matches"));
    // So many and no more is not cut.
    write(world.directory.path(), "many", "x\n".repeat(GREP_MATCHES_MAX).as_bytes());
    let (text, _) = world.said("grep", json!({ "pattern": "x", "path": "many" })).await;
    assert!(text.ends_with("many:500: x\n"), "{text}");

    for number in 0..=GLOB_PATHS_MAX {
        write(world.directory.path(), &format!("d/{number:04}"), b"x");
    }
    let shown: String = (0..GLOB_PATHS_MAX).map(|number| format!("d/{number:04}\n")).collect();
    let expected = shown + &note(GLOB_PATHS_MAX, "paths");
    assert_eq!(world.said("glob", json!({ "pattern": "d/*" })).await, good(&expected));
    assert_eq!(
        world.said("grep", json!({ "pattern": "x", "path": "d", "files_only": true })).await,
        good(&expected.replace(" paths;", " files;"))
    );
}

#[tokio::test]
async fn an_answer_is_bounded_in_bytes_and_a_line_in_characters() {
    let line = "€".repeat(LINE_CHARS_MAX + 1);
    let world = world(&[("f", &format!("{line}\n").repeat(200))]).await;
    let (text, _) = world.said("grep", json!({ "pattern": "€", "context": 3 })).await;
    let cut_line = format!("{} [line cut: 1503 bytes in all]", "€".repeat(LINE_CHARS_MAX));
    assert!(text.starts_with(&format!("f:1: {cut_line}\nf:2: {cut_line}\n")), "{text}");
    assert!(text.len() <= OUTPUT_BYTES_MAX && text.len() > OUTPUT_BYTES_MAX - 4 * 1024, "{}", text.len());
    assert!(text.ends_with("narrow the search with `path` or the pattern]\n"), "{text}");
    assert_eq!(cut(&line.as_bytes()[..3 * LINE_CHARS_MAX]), "€".repeat(LINE_CHARS_MAX));
}

#[tokio::test]
async fn a_file_that_cannot_be_read_to_its_end_is_counted() {
    let world = world(&[("b", "needle\n")]).await;
    write(world.directory.path(), "a", format!("needle\n{}", "x".repeat(9 * 1024 * 1024)).as_bytes());
    assert_eq!(
        world.said("grep", json!({ "pattern": "needle" })).await,
        good("a:1: needle\nb:1: needle\n[1 files or directories could not be read to their end]\n")
    );
}

#[tokio::test]
async fn a_search_ends_when_its_time_is_up_or_its_call_is_cancelled() {
    let world = world(&[("f", "needle\n")]).await;
    let late = "[stopped after 20 s before everything was searched; narrow the search with `path`]\n";
    let cancelled = "[cancelled before everything was searched]\n";
    for (time_ms, is_cancelled, note) in [(0, false, late), (60_000, true, cancelled)] {
        let stop = Stop::new(time_ms, move || is_cancelled);
        let reach = RootsReply::default();
        let origin = Origin { cwd: world.cwd(), reach: &reach };
        let globbed = glob::glob(&args::<GlobArgs>(json!({ "pattern": "*" })), &origin, &stop);
        let globbed = globbed.expect("it answers");
        assert!(globbed.content.ends_with(note), "{}", globbed.content);
        assert_eq!(globbed.detail, json!({ "paths": 0, "more": true }));
        for path in [".", "f"] {
            let asked = args::<GrepArgs>(json!({ "pattern": "needle", "path": path }));
            let grepped = grep::grep(&asked, &origin, &stop).expect("it answers");
            assert!(grepped.content.ends_with(note), "{}", grepped.content);
            assert_eq!(grepped.detail, json!({ "matches": 0, "files": 0, "more": true }));
        }
    }
    assert_eq!(Stop::new(60_000, || false).reached(), None);
    assert_eq!(Stop::new(0, || true).reached(), Some(Stopped::Cancelled));
}

#[tokio::test]
async fn a_cancelled_call_answers_with_what_there_is() {
    let world = world(&[]).await;
    let text = "line\n".repeat(100_000);
    for number in 0..100 {
        write(world.directory.path(), &format!("{number}"), text.as_bytes());
    }
    let Value::Object(asked) = json!({ "pattern": "needle" }) else { unreachable!() };
    let params = RunParams { tool_call_id: "c".to_owned(), args: asked, cwd: world.cwd().to_owned() };
    let stream = world.tool.stream_named(Run, "grep", &params);
    stream.cancel();
    let (_, reply) = stream.finish().await;
    let content = reply.expect("it answers").content;
    assert!(content.ends_with("[cancelled before everything was searched]\n"), "{content}");
}

#[tokio::test]
async fn without_an_answer_on_the_roots_nothing_is_searched() {
    let host = FakeHost::new();
    host.on("exec.v1/roots", |_| Err(Fault::new("io", "the disk is gone")));
    let tool = host.open::<Search>("tool-search", json!({})).await.expect("it opens");
    let World { directory, .. } = world(&[("f", "needle\n")]).await;
    let fault = World { directory, tool }.run("grep", json!({ "pattern": "needle" })).await;
    assert_eq!(fault, Err(Fault::new("io", "the disk is gone")));
}

#[tokio::test]
async fn it_contributes_two_local_reading_tools_and_has_nothing_to_configure() {
    let world = world(&[]).await;
    let tools = &world.tool.started().contributes.tools;
    let shown: Vec<_> = tools.iter().map(|tool| (tool.name.as_str(), tool.effect, tool.locality)).collect();
    assert_eq!(shown, [("glob", Effect::Read, Locality::Local), ("grep", Effect::Read, Locality::Local)]);
    let refused = FakeHost::new().open::<Search>("tool-search", json!({ "root": "/" })).await;
    assert!(refused.err().expect("it is refused").message.contains("unknown field `root`"));
}

dispatch_testkit::settings_test!(dispatch_sdk::NoSettings);
