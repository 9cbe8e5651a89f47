//! `search` on a real file system: what is found, in which order, and how it is shown.

mod barring;
mod bounds;
mod ignoring;

use super::bare;
use crate::barred::{Bars, Way};
use crate::reach::{Reach, Roots};
use crate::search::{Stop, search};
use dispatch_sdk::Fault;
use dispatch_sdk::contracts::exec::{
    FileKind, FoundFile, FoundLine, LinePattern, PatternKind, Search, SearchParams, SearchReply, SearchStop,
};
use dispatch_sdk::contracts::kernel::Dirs;
use rustix::fs::{FileType, Mode};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

/// A directory with these files, and what is out of reach there.
struct World {
    dir: TempDir,
    bars: Bars,
    roots: Roots,
}

impl World {
    fn new(files: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        for (path, content) in files {
            write(dir.path(), path, content.as_bytes());
        }
        let bars = bars(&Dirs::default(), None, &[]);
        Self { dir, bars, roots: roots(None) }
    }

    fn at(&self, path: &str) -> PathBuf {
        let dir = self.dir.path().canonicalize().expect("it exists");
        if path.is_empty() { dir } else { dir.join(path) }
    }

    fn reach(&self) -> Reach {
        let cwd = self.at("");
        self.roots.seen_from(cwd.to_str().expect("text"), self.bars.now(Way::Read), None)
    }

    fn search(&self, params: SearchParams) -> Result<SearchReply, Fault> {
        self.search_until(params, &Stop::new(Duration::from_secs(600), || false))
    }

    fn search_until(&self, params: SearchParams, stop: &Stop) -> Result<SearchReply, Fault> {
        let cwd = self.at("").to_string_lossy().into_owned();
        search(&SearchParams { cwd, ..params }, &self.reach(), stop)
    }

    /// As `grep` of a shell shows it.
    fn lines(&self, params: SearchParams) -> String {
        text(&self.search(params).expect("it answers"))
    }

    fn paths(&self, params: SearchParams) -> Vec<String> {
        let found = self.search(params).expect("it answers").files;
        found.into_iter().map(|file| file.path).collect()
    }
}

fn bars(dirs: &Dirs, home: Option<&Path>, open: &[String]) -> Bars {
    Bars::new("exec-local", dirs, home, open).expect("they are right")
}

fn roots(roots: Option<Vec<String>>) -> Roots {
    Roots::parse(roots, "exec-local").expect("they are right")
}

fn text(reply: &SearchReply) -> String {
    let line = |file: &FoundFile, line: &FoundLine| {
        let mark = if line.matches { ':' } else { '-' };
        format!("{}{mark}{}{mark} {}\n", file.path, line.number, line.text)
    };
    reply.files.iter().flat_map(|file| file.lines.iter().map(move |found| line(file, found))).collect()
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

fn here() -> SearchParams {
    SearchParams { path: ".".to_owned(), ..SearchParams::default() }
}

fn names(include: &str) -> SearchParams {
    SearchParams { include: vec![include.to_owned()], ..here() }
}

fn regex(pattern: &str) -> LinePattern {
    LinePattern { pattern: pattern.to_owned(), ..LinePattern::default() }
}

fn lines(pattern: &str) -> SearchParams {
    SearchParams { lines: Some(regex(pattern)), ..here() }
}

fn below(path: &str, params: SearchParams) -> SearchParams {
    SearchParams { path: path.to_owned(), ..params }
}

#[test]
fn a_glob_is_a_name_at_any_depth_or_a_path_below_the_place() {
    let files = ["b.rs", "src/a.rs", "src/deep/c.rs", "src/deep/d.ts", "tests/src/e.rs", ".x/f.rs"];
    let world = World::new(&files.map(|path| (path, "")));
    let absolute = format!("{}/src/*.rs", world.at("").display());
    let rust = ["b.rs", "src/a.rs", "src/deep/c.rs", "tests/src/e.rs"];
    for (params, expected) in [
        (names("*.rs"), &rust[..]),
        (below(".x", SearchParams { hidden: true, ..names("*.rs") }), &[".x/f.rs"]),
        (names("./*.rs"), &rust),
        (names("src/*"), &["src/a.rs"]),
        (names("src/**"), &["src/a.rs", "src/deep/c.rs", "src/deep/d.ts"]),
        (names("**/deep/*.{rs,ts}"), &["src/deep/c.rs", "src/deep/d.ts"]),
        (below("src/../src/", names("deep/*")), &["src/deep/c.rs", "src/deep/d.ts"]),
        (names(&absolute), &["src/a.rs"]),
        (
            SearchParams { include: vec!["*.ts".to_owned(), "b.*".to_owned()], ..here() },
            &["b.rs", "src/deep/d.ts"],
        ),
        (
            SearchParams { exclude: vec!["deep".to_owned(), "b.rs".to_owned()], ..here() },
            &["src/a.rs", "tests/src/e.rs"],
        ),
        (SearchParams { exclude: vec!["src/*.rs".to_owned()], ..names("a.rs") }, &[]),
    ] {
        assert_eq!(world.paths(params.clone()), expected, "{params:?}");
    }
}

#[test]
fn lines_come_with_what_is_around_them_in_the_order_of_their_paths() {
    let world = World::new(&[
        ("a.txt", "one\r\ntwo\r\nthree\r\nfour\r\nfive\r\nTwo\r\n"),
        ("b.md", "two\n"),
        ("d/c.txt", "zero\ntwo"),
    ]);
    let with = |pattern: LinePattern| SearchParams { lines: Some(pattern), ..here() };
    let txt = |params| SearchParams { include: vec!["*.txt".to_owned()], ..params };
    let any_case = LinePattern { ignore_case: true, ..regex("TWO") };
    for (params, expected) in [
        (lines("^two$"), "a.txt:2: two\nb.md:1: two\nd/c.txt:2: two\n"),
        (below("a.txt", with(any_case)), "a.txt:2: two\na.txt:6: Two\n"),
        (txt(lines("two")), "a.txt:2: two\nd/c.txt:2: two\n"),
        (
            txt(with(LinePattern { context: 1, ..regex("[Tt]wo") })),
            "a.txt-1- one\na.txt:2: two\na.txt-3- three\na.txt-5- five\na.txt:6: Two\nd/c.txt-1- zero\nd/c.txt:2: two\n",
        ),
        (with(LinePattern { kind: PatternKind::Text, ..regex("t.o") }), ""),
        (
            with(LinePattern { kind: PatternKind::Text, ..regex("wo") }),
            "a.txt:2: two\na.txt:6: Two\nb.md:1: two\nd/c.txt:2: two\n",
        ),
    ] {
        assert_eq!(world.lines(params.clone()), expected, "{params:?}");
    }
    let files = world.search(with(LinePattern { files_only: true, ..regex("[Tt]wo") })).expect("it answers");
    let file = |path: &str| FoundFile { path: path.to_owned(), lines: Vec::new() };
    assert_eq!(files.files, ["a.txt", "b.md", "d/c.txt"].map(file));
    assert_eq!((files.n_hits, files.more, files.kind), (3, false, FileKind::Directory));
    let from_afar = search(
        &SearchParams {
            path: world.at("b.md").to_string_lossy().into_owned(),
            cwd: "/".to_owned(),
            ..lines("two")
        },
        &world.reach(),
        &Stop::new(Duration::from_secs(600), || false),
    );
    let expected = world.at("b.md").to_string_lossy()[1..].to_owned();
    assert_eq!(from_afar.expect("it answers").files[0].path, expected, "seen from the root it lies below it");
}

#[test]
fn pipes_links_binary_and_ignored_files_are_not_opened() {
    let world = World::new(&[
        (".gitignore", "target\n*.log\n"),
        (".hidden/a", "needle\n"),
        (".git/config", "needle\n"),
        ("a.log", "needle\n"),
        ("binary", "needle\nnext\0"),
        ("src/a", "needle\n"),
        ("target/a", "needle\n"),
    ]);
    let outside = tempfile::tempdir().expect("a directory");
    write(outside.path(), "secret", b"needle\n");
    std::os::unix::fs::symlink(outside.path(), world.at("link")).expect("a link");
    std::os::unix::fs::symlink("src/a", world.at("to-file")).expect("a link");
    pipe(world.dir.path(), "pipe");
    let found = world.search(lines("needle")).expect("it answers");
    assert_eq!((text(&found).as_str(), found.n_binary, found.n_unread), ("src/a:1: needle\n", 1, 0));
    let hidden = SearchParams { hidden: true, ..lines("needle") };
    assert_eq!(world.lines(hidden), ".hidden/a:1: needle\nsrc/a:1: needle\n");
    let ignored = SearchParams { ignored: true, ..lines("needle") };
    assert_eq!(world.lines(ignored), "a.log:1: needle\nsrc/a:1: needle\ntarget/a:1: needle\n");
    // What is asked for by its name is searched, although it is ignored or a link.
    assert_eq!(world.lines(below("target", lines("needle"))), "target/a:1: needle\n");
    let secret = outside.path().canonicalize().expect("it exists").join("secret");
    assert_eq!(world.lines(below("link", lines("needle"))), format!("{}:1: needle\n", secret.display()));
    assert_eq!(world.paths(names("**/*")), ["binary", "link", "pipe", "src/a", "to-file"]);
}

#[test]
fn a_path_or_a_pattern_that_is_no_good_says_why() {
    let world = World::new(&[("f", "text"), ("binary", "text\0text")]);
    pipe(world.dir.path(), "pipe");
    let refused = |params| {
        let fault = world.search(params).expect_err("it is refused");
        (fault.code, fault.message)
    };
    let (code, message) = refused(lines("ab(c"));
    assert!(code == "invalid" && message.starts_with("the pattern `ab(c` cannot be used: "), "{message}");
    assert!(message.contains("unclosed group") && message.contains("      ^\n"), "{message}");
    assert!(refused(lines("a\\nb")).1.contains("not allowed"));
    let unknown = LinePattern { kind: PatternKind::Unknown, ..regex("x") };
    assert_eq!(refused(SearchParams { lines: Some(unknown), ..here() }).0, "invalid");
    for (glob, why) in [
        ("*.{rs", "unclosed alternate group; missing '}' (maybe escape '{' with '[{]'?)"),
        ("../*", "`..` matches nothing; say with `path` where to search"),
        ("src/", "it names a directory; files below it are `dir/**`"),
    ] {
        let (code, message) = refused(names(glob));
        assert_eq!((code.as_str(), message), ("invalid", format!("the glob `{glob}` cannot be used: {why}")));
    }
    for (path, params, code, why) in [
        ("none", names("x"), "not_found", "there is nothing under that name; check it"),
        ("none", lines("x"), "not_found", "there is nothing under that name; check it"),
        ("pipe", lines("x"), "invalid", "it is a device, socket or pipe"),
        ("f", names("x"), "invalid", "it is a file, and names are sought in a directory; name one"),
        ("binary", lines("text"), "invalid", "it is a binary file"),
        ("/proc", names("x"), "denied", "what lies in /proc is the host's own, not a tool's"),
        ("/proc/version", lines("."), "denied", "what lies in /proc is the host's own, not a tool's"),
    ] {
        let message = format!("cannot search `{}`: {why}", world.at(path).display());
        assert_eq!(refused(below(path, params)), (code.to_owned(), message));
    }
    assert_eq!(refused(below("/proc/self/root", lines("x"))).0, "denied");
}

#[tokio::test]
async fn it_is_a_verb_and_a_directory_that_is_gone_is_said() {
    let exec = bare().await;
    let world = World::new(&[("f", "needle\n")]);
    let cwd = world.at("").to_string_lossy().into_owned();
    let params = SearchParams { cwd: cwd.clone(), ..lines("needle") };
    assert_eq!(text(&exec.call(Search, &params).await.expect("it answers")), "f:1: needle\n");
    drop(world);
    let fault = exec.call(Search, &params).await.expect_err("it is gone");
    assert!(fault.is("not_found") && fault.message.contains("there is no working directory"), "{fault}");
}

#[tokio::test]
async fn a_cancelled_call_answers_with_what_there_is() {
    let exec = bare().await;
    let world = World::new(&[]);
    let text = "line\n".repeat(100_000);
    for number in 0..100 {
        write(world.dir.path(), &format!("{number}"), text.as_bytes());
    }
    let params = SearchParams { cwd: world.at("").to_string_lossy().into_owned(), ..lines("needle") };
    let stream = exec.stream(Search, &params);
    stream.cancel();
    // It was cancelled while it searched, or before it had begun.
    match stream.finish().await.1 {
        Ok(reply) => assert_eq!(reply.stopped, Some(SearchStop::Cancelled)),
        Err(fault) => assert!(fault.is("cancelled"), "{fault}"),
    }
}
