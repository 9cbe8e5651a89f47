//! What lies outside the roots of `exec.v1` is neither opened nor named.

use super::{World, bad, good, open, world, write};
use crate::place::{Origin, Place};
use dispatch_sdk::contracts::exec::RootsReply;
use serde_json::json;
use std::fs;
use tempfile::TempDir;

/// A working directory that is the only root, beside a directory with a `secret` that is named in messages alone.
async fn confined() -> (World, TempDir) {
    let outside = tempfile::tempdir().expect("a directory");
    write(outside.path(), "secret", b"needle\n");
    let mut world = world(&[("d/secret", "inside\n"), ("d/e/f", "needle\n")]).await;
    let root = world.directory.path().canonicalize().expect("it exists");
    world.tool = open(json!({ "roots": [root] })).await;
    (world, outside)
}

#[tokio::test]
async fn a_search_that_begins_outside_the_roots_is_refused() {
    let (world, outside) = confined().await;
    std::os::unix::fs::symlink(outside.path(), world.directory.path().join("link")).expect("a link");
    let root = world.directory.path().canonicalize().expect("it exists");
    let out = outside.path().to_str().expect("it is text");
    let missing = format!("{out}/missing");
    for path in
        [out, "..", "/", "link", "link/secret", "link/missing", "d/../..", &missing, "/proc/self/root"]
    {
        for tool in ["glob", "grep"] {
            let said = world.said(tool, json!({ "pattern": "needle", "path": path })).await;
            let text = format!("cannot search `{path}`: it lies outside the roots: `{}`", root.display());
            assert_eq!(said, bad(&text), "{path}");
        }
    }
    let missing = bad("cannot search `none`: No such file or directory (os error 2)");
    assert_eq!(world.said("glob", json!({ "pattern": "x", "path": "none" })).await, missing);
    assert_eq!(world.said("grep", json!({ "pattern": "needle" })).await, good("d/e/f:1: needle\n"));
    assert_eq!(world.said("glob", json!({ "pattern": "f", "path": "d" })).await, good("d/e/f\n"));
}

#[tokio::test]
async fn what_a_file_above_the_root_ignores_is_not_looked_up() {
    let mut world = world(&[(".gitignore", "f\n"), ("d/e/f", "needle\n")]).await;
    let asked = json!({ "pattern": "f", "path": "d" });
    let nothing = "(no file below `d` matches; hidden (see `hidden`) and ignored (see `ignored`) files were not looked at)\n";
    assert_eq!(world.said("glob", asked.clone()).await, good(nothing));
    world.tool =
        open(json!({ "roots": [world.directory.path().canonicalize().expect("it is").join("d")] })).await;
    assert_eq!(world.said("glob", asked).await, good("d/e/f\n"));
}

#[test]
fn what_has_become_a_link_during_the_walk_is_neither_opened_nor_named() {
    let (inside, outside) = (tempfile::tempdir().expect("one"), tempfile::tempdir().expect("another"));
    write(outside.path(), "secret", b"needle\n");
    write(inside.path(), "d/secret", b"inside\n");
    let root = inside.path().canonicalize().expect("it exists");
    let cwd = root.to_str().expect("it is text");
    let reach = RootsReply { roots: Some(vec![cwd.to_owned()]), ..RootsReply::default() };
    let place = Place::resolve(&Origin { cwd, reach: &reach }, ".").expect("it is inside");
    let found = root.join("d/secret");
    assert!(place.is_inside(&found) && place.open_regular(&found).expect("it is inside").is_some());
    fs::rename(root.join("d"), root.join("moved")).expect("ours");
    std::os::unix::fs::symlink(outside.path(), root.join("d")).expect("a link");
    assert!(!place.is_inside(&found) && place.open_regular(&found).is_err());
}
