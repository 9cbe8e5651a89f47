//! What ignore files say, and what those of a stranger cannot do.

use super::{World, good, open, pipe, world, write};
use crate::ignored::{BYTES_MAX, PATTERN_BYTES_MAX};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn an_ignore_file_that_is_a_link_or_a_pipe_leaves_nothing_out_and_holds_nobody_up() {
    let outside = tempfile::tempdir().expect("one");
    write(outside.path(), "patterns", b"a.txt\n");
    for roots in [false, true] {
        let World { directory, tool } = world(&[("a.txt", "needle\n"), ("sub/b.txt", "needle\n")]).await;
        let dir = directory.path().canonicalize().expect("there");
        std::os::unix::fs::symlink(outside.path().join("patterns"), dir.join(".gitignore")).expect("a link");
        std::os::unix::fs::symlink("/dev/zero", dir.join(".ignore")).expect("a link");
        pipe(&dir.join("sub"), ".gitignore");
        let tool = if roots { open(json!({ "roots": [dir.to_str()] })).await } else { tool };
        let world = World { directory, tool };
        let (said, _) = world.said("grep", json!({ "pattern": "needle" })).await;
        assert!(said.contains("a.txt") && said.contains("sub/b.txt"), "{said}");
    }
}

#[tokio::test]
async fn the_ignore_file_nearest_to_a_name_decides() {
    let world = world(&[
        (".gitignore", "*.log\nbuild/\n"),
        ("a.log", "needle\n"),
        ("build/b.txt", "needle\n"),
        ("sub/.gitignore", "!c.log\n"),
        ("sub/c.log", "needle\n"),
        ("sub/.ignore", "d.txt\n"),
        ("sub/d.txt", "needle\n"),
        ("e.txt", "needle\n"),
    ])
    .await;
    let (said, _) = world.said("grep", json!({ "pattern": "needle" })).await;
    let found = ["a.log", "build/b.txt", "sub/c.log", "sub/d.txt", "e.txt"].map(|name| said.contains(name));
    assert_eq!(found, [false, false, true, false, true], "{said}");
}

#[tokio::test]
async fn ignore_files_count_up_to_the_root_of_the_repository() {
    let world = world(&[
        ("home/.gitignore", "*\n!.gitignore\n"),
        ("home/p/.git/HEAD", "ref: refs/heads/main\n"),
        ("home/p/.gitignore", "*.log\n"),
        ("home/p/src/code.py", "needle\n"),
        ("home/p/src/a.log", "needle\n"),
        ("home/p/vendored/.git", "gitdir: elsewhere\n"),
        ("home/p/vendored/b.log", "needle\n"),
        ("home/q/code.py", "needle\n"),
    ])
    .await;
    let found = "home/p/src/code.py:1: needle\nhome/p/vendored/b.log:1: needle\n";
    for path in ["home/p", "home/p/vendored/../"] {
        assert_eq!(world.said("grep", json!({ "pattern": "needle", "path": path })).await, good(found));
    }
    let asked = json!({ "pattern": "needle", "path": "home/p/src" });
    assert_eq!(world.said("grep", asked).await, good("home/p/src/code.py:1: needle\n"));
    // Outside a repository they count from the working directory on.
    let (said, _) = world.said("grep", json!({ "pattern": "needle", "path": "home/q" })).await;
    assert!(said.starts_with("(no line below"), "{said}");
}

#[tokio::test]
async fn an_ignore_file_may_begin_with_a_byte_order_mark() {
    let world = world(&[
        (".gitignore", "\u{feff}build/\r\n*.log\r\n"),
        ("build/out.txt", "needle\n"),
        ("a.log", "needle\n"),
        ("b.txt", "needle\n"),
    ])
    .await;
    assert_eq!(world.said("grep", json!({ "pattern": "needle" })).await, good("b.txt:1: needle\n"));
}

#[tokio::test]
async fn patterns_are_bounded_in_one_walk_and_the_bound_is_told() {
    let files = PATTERN_BYTES_MAX / BYTES_MAX;
    let world = world(&[]).await;
    let dir = world.directory.path();
    // One pattern, as long as a file may be: the walk reads them, no matcher has to be built of many.
    let bulk = "#".repeat(usize::try_from(BYTES_MAX).expect("small") - 2) + "\n";
    for n in 0..files {
        write(dir, &format!("{n}/.gitignore"), format!("{bulk}x").as_bytes());
        write(dir, &format!("{n}/y"), b"needle\n");
    }
    let shown: String = (0..files).map(|n| format!("{n}/y:1: needle\n")).collect();
    assert_eq!(world.said("grep", json!({ "pattern": "needle" })).await, good(&shown));
    write(dir, "z/.gitignore", b"y\n");
    write(dir, "z/y", b"needle\n");
    let note = format!(
        "[ignore files were not read to their end: a file counts up to {BYTES_MAX} bytes, all of them up to \
         {PATTERN_BYTES_MAX}; narrow the search with `path`]\n"
    );
    let expected = format!("{shown}z/y:1: needle\n{note}");
    assert_eq!(world.said("grep", json!({ "pattern": "needle" })).await, good(&expected));
}
