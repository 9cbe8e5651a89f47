//! What `exec.v1` keeps out of reach is neither met nor named.

use super::{World, bad, good, open, world, write};
use crate::place::{Origin, Place};
use dispatch_sdk::contracts::exec::RootsReply;
use serde_json::json;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A working directory with the host's `state` and a home's `.ssh` in it; output below the former may be read.
async fn kept() -> World {
    let mut world = world(&[
        ("a", "needle\n"),
        ("state/db", "needle\n"),
        ("state/x/output/log", "needle\n"),
        (".ssh/id", "needle\n"),
        (".ssh/config", "needle\n"),
        ("token", "needle\n"),
    ])
    .await;
    let root = world.directory.path().canonicalize().expect("it exists");
    let at = |path: &str| root.join(path);
    symlink(at("state"), at("link")).expect("a link");
    world.tool = open(json!({
        "except": [at("state")],
        "sensitive": [at(".ssh"), at("token"), at("not-there")],
        "except_but": [at("state/x/output"), at(".ssh/config")],
    }))
    .await;
    world
}

#[tokio::test]
async fn a_walk_passes_over_it_in_silence() {
    let world = kept().await;
    let asked = json!({ "pattern": "needle", "hidden": true, "ignored": true });
    assert_eq!(world.said("grep", asked).await, good("a:1: needle\n"));
    let asked = json!({ "pattern": "**", "hidden": true });
    assert_eq!(world.said("glob", asked).await, good("a\nlink\n"));
}

#[tokio::test]
async fn naming_it_is_refused_whatever_leads_there_and_what_is_open_in_it_is_searched() {
    let world = kept().await;
    let root = world.directory.path().canonicalize().expect("it exists");
    let own = format!("the host keeps `{}/state` for itself; it is no place of work", root.display());
    let secret =
        |place: &str| format!("`{}/{place}` is kept out of reach, since secrets lie there", root.display());
    let ssh = secret(".ssh");
    let real = format!("/proc/self/root{}/state/db", root.display());
    for (path, why) in [
        ("state", &own),
        ("state/db", &own),
        ("state/none", &own),
        ("link", &own),
        ("link/db", &own),
        ("link/none", &own),
        ("./state/x", &own),
        (&real, &own),
        (".ssh", &ssh),
        (".ssh/../.ssh/id", &ssh),
        ("token", &secret("token")),
        ("not-there/f", &secret("not-there")),
    ] {
        for tool in ["grep", "glob"] {
            let said = world.said(tool, json!({ "pattern": "needle", "path": path })).await;
            assert_eq!(said, bad(&format!("cannot search `{path}`: {why}")), "{tool}");
        }
    }
    for (path, found) in [("state/x/output", "state/x/output/log"), (".ssh/config", ".ssh/config")] {
        let said = world.said("grep", json!({ "pattern": "needle", "path": path })).await;
        assert_eq!(said, good(&format!("{found}:1: needle\n")));
    }
}

/// Searches below a directory with `d/db` and the host's `state/db`, while these become something else.
fn swapped(confined: bool, swap: impl FnOnce(&Path)) {
    let dir = tempfile::tempdir().expect("a directory");
    write(dir.path(), "state/db", b"needle\n");
    write(dir.path(), "d/db", b"needle\n");
    let root = dir.path().canonicalize().expect("it exists");
    let cwd = root.to_str().expect("it is text");
    let except = vec![format!("{cwd}/state")];
    let roots = confined.then(|| vec![cwd.to_owned()]);
    let reach = RootsReply { roots, except, ..RootsReply::default() };
    let place = Place::resolve(&Origin { cwd, reach: &reach }, ".").expect("it is in reach");
    let found = root.join("d/db");
    assert!(place.is_inside(&found) && place.open_regular(&found).expect("it is in reach").is_some());
    swap(&root);
    assert!(!place.is_inside(&found) && place.open_regular(&found).is_err());
}

#[test]
fn what_has_become_a_way_to_it_during_the_walk_is_neither_opened_nor_named() {
    for confined in [false, true] {
        swapped(confined, |root| {
            fs::rename(root.join("d"), root.join("moved")).expect("ours");
            symlink("state", root.join("d")).expect("a link");
        });
        // Under another name it is the same, as it is where it is mounted once more.
        swapped(confined, |root| {
            fs::rename(root.join("d"), root.join("moved")).expect("ours");
            fs::rename(root.join("state"), root.join("d")).expect("ours");
        });
    }
}

/// A directory that is mounted once more; dropped, it no longer is.
struct Mounted(PathBuf);

impl Mounted {
    /// `None` where the tests may not mount.
    #[expect(clippy::disallowed_methods, reason = "mounts for the test alone")]
    fn new(dir: &Path, at: PathBuf) -> Option<Self> {
        fs::create_dir(&at).expect("ours");
        let mounted = Command::new("mount").arg("--bind").arg(dir).arg(&at).output();
        mounted.is_ok_and(|output| output.status.success()).then_some(Self(at))
    }
}

impl Drop for Mounted {
    #[expect(clippy::disallowed_methods, reason = "what the test mounted")]
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[tokio::test]
async fn where_it_is_mounted_once_more_it_is_refused_and_passed_over_all_the_same() {
    let world = kept().await;
    let root = world.directory.path().canonicalize().expect("it exists");
    let Some(_mounted) = Mounted::new(&root.join("state"), root.join("again")) else { return };
    let own = format!("the host keeps `{}/state` for itself; it is no place of work", root.display());
    for path in ["again", "again/db", "again/none", "again/x"] {
        let said = world.said("grep", json!({ "pattern": "needle", "path": path })).await;
        assert_eq!(said, bad(&format!("cannot search `{path}`: {own}")));
    }
    assert_eq!(world.said("grep", json!({ "pattern": "needle" })).await, good("a:1: needle\n"));
    let said = world.said("grep", json!({ "pattern": "needle", "path": "again/x/output" })).await;
    assert_eq!(said, good("again/x/output/log:1: needle\n"));
}
