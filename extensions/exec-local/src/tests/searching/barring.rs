//! What is out of reach is neither met nor named, and what lies outside the roots neither.

use super::{World, bars, below, lines, names, roots, write};
use crate::search::Stop;
use crate::search::folder::{Folder, Seen};
use crate::search::globs::Globs;
use crate::search::walk::{Scope, walk};
use crate::seen::LOOK;
use dispatch_sdk::contracts::exec::SearchParams;
use dispatch_sdk::contracts::kernel::Dirs;
use rustix::fs::{CWD, Mode};
use std::fs;
use std::io::Read as _;
use std::ops::ControlFlow;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// A directory with the host's `cache` and a home's `.ssh` in it; output below the former may be read.
fn kept() -> World {
    let mut world = World::new(&[
        ("a", "needle\n"),
        ("cache/db", "needle\n"),
        ("cache/x/output/log", "needle\n"),
        ("data/token", "needle\n"),
        (".ssh/id", "needle\n"),
        (".ssh/config", "needle\n"),
    ]);
    let at = |path: &str| world.at(path).to_string_lossy().into_owned();
    symlink(at("cache"), at("link")).expect("a link");
    fs::hard_link(at("data/token"), at("token")).expect("one file system");
    let dirs = Dirs { cache: at("cache"), data: at("data"), kept: vec![at("data/token")], ..Dirs::default() };
    world.bars = bars(&dirs, Some(&world.at("")), &["~/.ssh/config".to_owned()]);
    world
}

#[test]
fn a_walk_passes_over_it_in_silence() {
    let world = kept();
    let asked = SearchParams { hidden: true, ignored: true, ..lines("needle") };
    let found = world.search(asked).expect("it answers");
    assert_eq!(super::text(&found), "a:1: needle\n");
    assert_eq!(found.n_unread, 0, "nobody is told");
    let asked = SearchParams { hidden: true, ..names("**") };
    assert_eq!(world.paths(asked), ["a", "link"]);
}

#[test]
fn naming_it_is_refused_whatever_leads_there_and_what_is_open_in_it_is_searched() {
    let world = kept();
    let own = format!("the host keeps `{}` for itself; it is no place of work", world.at("cache").display());
    let secret = format!("`{}` is kept out of reach, since secrets lie there", world.at(".ssh").display());
    for (path, why) in [
        ("cache", &own),
        ("cache/db", &own),
        ("cache/none", &own),
        ("link", &own),
        ("link/db", &own),
        ("link/none", &own),
        ("./cache/x", &own),
        (".ssh", &secret),
        (".ssh/../.ssh/id", &secret),
    ] {
        for params in [lines("needle"), names("needle")] {
            let fault = world.search(below(path, params)).expect_err("it is refused");
            assert!(fault.is("denied") && fault.message.contains(why), "{path}: {fault}");
        }
    }
    for (path, found) in [("cache/x/output", "cache/x/output/log"), (".ssh/config", ".ssh/config")] {
        assert_eq!(world.lines(below(path, lines("needle"))), format!("{found}:1: needle\n"));
    }
    let fault = world.search(below("token", lines("needle"))).expect_err("a hard link is the file itself");
    assert!(fault.is("denied"), "{fault}");
}

/// What a walk reads of `a/first`, `d/db`, `d/end` and whatever else it meets, while `swap` acts at `at`.
fn read_while(world: &World, at: &str, swap: impl FnOnce(&Path)) -> Vec<String> {
    let (reach, globs) = (world.reach(), Globs::new(&[], &[]).expect("none"));
    let root = world.at("");
    let dir = rustix::fs::openat(CWD, &root, LOOK, Mode::empty()).expect("it is there");
    let folder = Folder::new(dir, root.clone(), reach.barred()).expect("it is in reach");
    let stop = Stop::new(Duration::from_secs(600), || false);
    let scope = Scope { top: &root, ..Scope::all(&globs, &stop) };
    let (mut read, mut swap) = (Vec::new(), Some(swap));
    walk(folder, &scope, |folder, name, path, _| {
        if path == root.join(at) {
            swap.take().expect("once")(&root);
        }
        if let Ok(Some(mut file)) = folder.look(name).and_then(Seen::open_regular) {
            let mut text = String::new();
            file.read_to_string(&mut text).expect("text");
            read.push(text);
        }
        ControlFlow::Continue(())
    });
    assert!(swap.is_none(), "the walk came to `{at}`");
    read
}

#[test]
fn what_has_become_a_way_to_it_during_the_walk_is_not_read() {
    let outside = tempfile::tempdir().expect("a directory");
    write(outside.path(), "db", b"secret");
    for at in ["a/first", "d/begin"] {
        for swap in 0..3 {
            let mut world = World::new(&[
                ("a/first", "mine"),
                ("d/begin", "mine"),
                ("d/db", "mine"),
                ("state/db", "secret"),
                ("state/token", "secret"),
            ]);
            let text = |path: PathBuf| path.to_string_lossy().into_owned();
            world.bars = bars(&Dirs { state: text(world.at("state")), ..Dirs::default() }, None, &[]);
            world.roots = roots(Some(vec![text(world.at(""))]));
            let read = read_while(&world, at, |root| {
                fs::rename(root.join("d"), root.join("moved")).expect("ours");
                match swap {
                    0 => symlink("state", root.join("d")).expect("a link"),
                    1 => symlink(outside.path(), root.join("d")).expect("a link"),
                    // Under another name it is the same, as it is where it is mounted once more.
                    _ => fs::rename(root.join("state"), root.join("d")).expect("ours"),
                }
            });
            assert!(!read.is_empty() && read.iter().all(|text| text == "mine"), "{at} {swap}: {read:?}");
        }
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

#[test]
fn where_it_is_mounted_once_more_it_is_refused_and_passed_over_all_the_same() {
    let world = kept();
    let Some(_mounted) = Mounted::new(&world.at("cache"), world.at("again")) else { return };
    for path in ["again", "again/db", "again/none", "again/x"] {
        let fault = world.search(below(path, lines("needle"))).expect_err("it is refused");
        assert!(fault.is("denied"), "{fault}");
    }
    assert_eq!(world.lines(lines("needle")), "a:1: needle\n");
    assert_eq!(world.lines(below("again/x/output", lines("needle"))), "again/x/output/log:1: needle\n");
}

#[test]
fn a_search_that_begins_outside_the_roots_is_refused() {
    let outside = tempfile::tempdir().expect("a directory");
    write(outside.path(), "secret", b"needle\n");
    let mut world = World::new(&[("d/secret", "inside\n"), ("d/e/f", "needle\n")]);
    world.roots = roots(Some(vec!["{cwd}".to_owned()]));
    symlink(outside.path(), world.at("link")).expect("a link");
    let out = outside.path().to_str().expect("it is text");
    let missing = format!("{out}/missing");
    for path in
        [out, "..", "/", "link", "link/secret", "link/missing", "d/../..", &missing, "/proc/self/root"]
    {
        for params in [lines("needle"), names("needle")] {
            let fault = world.search(below(path, params)).expect_err("it is refused");
            assert!(fault.is("denied") && fault.message.contains("the roots"), "{path}: {fault}");
        }
    }
    assert_eq!(world.lines(lines("needle")), "d/e/f:1: needle\n");
    assert_eq!(world.paths(below("d", names("f"))), ["d/e/f"]);
}

#[test]
fn what_a_file_above_the_root_ignores_is_not_looked_up() {
    let mut world = World::new(&[(".gitignore", "f\n"), ("d/e/f", "needle\n")]);
    assert!(world.paths(below("d", names("f"))).is_empty());
    world.roots = roots(Some(vec![world.at("d").to_string_lossy().into_owned()]));
    assert_eq!(world.paths(below("d", names("f"))), ["d/e/f"]);
}
