//! What `exec.v1` keeps out of reach is neither met nor named.

use super::{World, bad, good, open, world};
use serde_json::json;
use std::os::unix::fs::symlink;

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
