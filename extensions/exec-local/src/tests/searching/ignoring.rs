//! What ignore files say, and what those of a stranger cannot do.

use super::{World, below, lines, pipe, roots, text, write};
use dispatch_sdk::contracts::exec::{IGNORE_BYTES_MAX, IGNORE_FILE_BYTES_MAX};

#[test]
fn an_ignore_file_that_is_a_link_or_a_pipe_leaves_nothing_out_and_holds_nobody_up() {
    let outside = tempfile::tempdir().expect("one");
    write(outside.path(), "patterns", b"a.txt\n");
    write(outside.path(), "info/exclude", b"a.txt\n");
    for confined in [false, true] {
        let mut world = World::new(&[("a.txt", "needle\n"), ("sub/b.txt", "needle\n")]);
        std::os::unix::fs::symlink(outside.path().join("patterns"), world.at(".gitignore")).expect("a link");
        std::os::unix::fs::symlink("/dev/zero", world.at(".ignore")).expect("a link");
        std::os::unix::fs::symlink(outside.path(), world.at(".git")).expect("a link");
        pipe(&world.at("sub"), ".gitignore");
        world.roots = roots(confined.then(|| vec!["{cwd}".to_owned()]));
        assert_eq!(world.lines(lines("needle")), "a.txt:1: needle\nsub/b.txt:1: needle\n");
    }
}

#[test]
fn the_ignore_file_nearest_to_a_name_decides() {
    let world = World::new(&[
        (".gitignore", "*.log\nbuild/\n"),
        (".git/info/exclude", "excluded\n"),
        ("a.log", "needle\n"),
        ("build/b.txt", "needle\n"),
        ("sub/.gitignore", "!c.log\n"),
        ("sub/c.log", "needle\n"),
        ("sub/.ignore", "d.txt\n"),
        ("sub/d.txt", "needle\n"),
        ("e.txt", "needle\n"),
        ("excluded", "needle\n"),
    ]);
    assert_eq!(world.lines(lines("needle")), "e.txt:1: needle\nsub/c.log:1: needle\n");
}

#[test]
fn ignore_files_count_up_to_the_root_of_the_repository() {
    let world = World::new(&[
        ("home/.gitignore", "*\n!.gitignore\n"),
        ("home/p/.git/HEAD", "ref: refs/heads/main\n"),
        ("home/p/.gitignore", "*.log\n"),
        ("home/p/src/code.py", "needle\n"),
        ("home/p/src/a.log", "needle\n"),
        ("home/p/vendored/.git", "gitdir: elsewhere\n"),
        ("home/p/vendored/b.log", "needle\n"),
        ("home/q/code.py", "needle\n"),
    ]);
    let found = "home/p/src/code.py:1: needle\nhome/p/vendored/b.log:1: needle\n";
    for path in ["home/p", "home/p/vendored/../"] {
        assert_eq!(world.lines(below(path, lines("needle"))), found);
    }
    assert_eq!(world.lines(below("home/p/src", lines("needle"))), "home/p/src/code.py:1: needle\n");
    // Outside a repository they count from the working directory on.
    assert_eq!(world.lines(below("home/q", lines("needle"))), "");
}

#[test]
fn an_ignore_file_may_begin_with_a_byte_order_mark() {
    let world = World::new(&[
        (".gitignore", "\u{feff}build/\r\n*.log\r\n"),
        ("build/out.txt", "needle\n"),
        ("a.log", "needle\n"),
        ("b.txt", "needle\n"),
    ]);
    assert_eq!(world.lines(lines("needle")), "b.txt:1: needle\n");
}

#[test]
fn patterns_are_bounded_in_one_walk_and_the_bound_is_told() {
    let files = IGNORE_BYTES_MAX / IGNORE_FILE_BYTES_MAX;
    let world = World::new(&[]);
    let dir = world.dir.path();
    // One pattern, as long as a file may be: the walk reads them, no matcher has to be built of many.
    let bulk = "#".repeat(usize::try_from(IGNORE_FILE_BYTES_MAX).expect("small") - 2) + "\n";
    for n in 0..files {
        write(dir, &format!("{n}/.gitignore"), format!("{bulk}x").as_bytes());
        write(dir, &format!("{n}/y"), b"needle\n");
    }
    let shown: String = (0..files).map(|n| format!("{n}/y:1: needle\n")).collect();
    let found = world.search(lines("needle")).expect("it answers");
    assert_eq!((text(&found), found.ignores_cut), (shown.clone(), false));
    write(dir, "z/.gitignore", b"y\n");
    write(dir, "z/y", b"needle\n");
    let found = world.search(lines("needle")).expect("it answers");
    assert_eq!((text(&found), found.ignores_cut), (format!("{shown}z/y:1: needle\n"), true));
}
