//! What ignore files say, and what those of a stranger cannot do.

use super::{World, open, pipe, world, write};
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
