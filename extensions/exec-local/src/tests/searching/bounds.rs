//! Every bound of a search, reached.

use super::{World, below, here, lines, names, regex, write};
use crate::search::Stop;
use crate::search::folder::Folder;
use crate::search::found::cut;
use crate::search::globs::Globs;
use crate::search::lines::HELD_BYTES_MAX;
use crate::search::walk::{DEPTH_MAX, Scope, walk};
use crate::seen::LOOK;
use dispatch_sdk::contracts::exec::{
    LinePattern, SEARCH_BYTES_MAX, SEARCH_GLOBS_MAX, SEARCH_HIT_BYTES, SEARCH_LINE_CHARS,
    SEARCH_PATTERN_BYTES_MAX, SearchParams, SearchReply, SearchStop,
};
use rustix::fs::{CWD, Mode};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Bytes as the contract counts them.
fn n_bytes(reply: &SearchReply) -> usize {
    let texts = reply.files.iter().flat_map(|file| file.lines.iter().map(|line| &line.text));
    texts.chain(reply.files.iter().map(|file| &file.path)).map(|text| text.len() + SEARCH_HIT_BYTES).sum()
}

#[test]
fn a_page_is_bounded_in_hits_and_so_many_and_no_more_is_not_cut() {
    let world = World::new(&[("many", &"x\n".repeat(11)), ("z", "x\n")]);
    let page = |hits_max, params| world.search(SearchParams { hits_max, ..params }).expect("it answers");
    let found = page(11, below("many", lines("x")));
    assert_eq!((found.n_hits, found.more), (11, false));
    for (hits_max, more) in [(10, true), (11, true), (12, false)] {
        let found = page(hits_max, lines("x"));
        assert_eq!((found.n_hits, found.more), (hits_max, more), "{hits_max}");
    }
    let files = |hits_max| {
        let only = LinePattern { files_only: true, ..regex("x") };
        [page(hits_max, names("*")), page(hits_max, SearchParams { lines: Some(only), ..here() })]
    };
    for (hits_max, more) in [(1, true), (2, false)] {
        for found in files(hits_max) {
            assert_eq!((found.n_hits, found.files.len(), found.more), (hits_max, hits_max, more));
        }
    }
}

#[test]
fn a_page_is_bounded_in_bytes_and_a_line_in_characters() {
    let line = "€".repeat(SEARCH_LINE_CHARS + 1);
    let world = World::new(&[("f", &format!("{line}\n").repeat(1_000))]);
    let with_context = LinePattern { context: 3, ..regex("€") };
    for (asked, bytes_max) in [(0, SEARCH_BYTES_MAX), (usize::MAX, SEARCH_BYTES_MAX), (100_000, 100_000)] {
        let lines = Some(with_context.clone());
        let found = world.search(SearchParams { bytes_max: asked, lines, ..here() }).expect("it answers");
        let n_bytes = n_bytes(&found);
        assert!(found.more && n_bytes <= bytes_max && n_bytes > bytes_max - 2_000, "{n_bytes}");
        let first = &found.files[0].lines[0];
        assert_eq!((first.text.as_str(), first.cut_of_bytes), (&line[..3 * SEARCH_LINE_CHARS], 1503));
    }
    assert_eq!(cut(&line.as_bytes()[3..], SEARCH_LINE_CHARS), (line[3..].to_owned(), 0));
    let short = LinePattern { line_chars_max: 2, ..regex("€") };
    let found = world.search(SearchParams { lines: Some(short), ..here() }).expect("it answers");
    assert_eq!(found.files[0].lines[0].text, "€€");
}

#[test]
fn patterns_are_bounded() {
    let world = World::new(&[]);
    let long = "x".repeat(SEARCH_PATTERN_BYTES_MAX + 1);
    let many = vec!["x".to_owned(); SEARCH_GLOBS_MAX + 1];
    for params in [lines(&long), names(&long), SearchParams { exclude: many, ..here() }] {
        assert!(world.search(params).expect_err("it is refused").is("invalid"));
    }
    // What compiles to more than is held is no pattern either.
    assert!(world.search(lines("(\\w{1000}){1000}")).expect_err("it is refused").is("invalid"));
}

#[test]
fn a_line_longer_than_is_held_ends_the_search_in_its_file_alone() {
    let world = World::new(&[("b", "needle\n")]);
    write(world.dir.path(), "a", format!("needle\n{}", "x".repeat(HELD_BYTES_MAX + 1)).as_bytes());
    let found = world.search(lines("needle")).expect("it answers");
    assert_eq!((super::text(&found).as_str(), found.n_unread), ("a:1: needle\nb:1: needle\n", 1));
}

#[test]
fn a_directory_deeper_than_is_searched_is_counted() {
    let world = World::new(&[]);
    let deepest = format!("{}f", "d/".repeat(DEPTH_MAX - 1));
    write(world.dir.path(), &deepest, b"");
    assert_eq!(world.paths(names("f")), std::slice::from_ref(&deepest));
    write(world.dir.path(), &format!("{}d/f", "d/".repeat(DEPTH_MAX - 1)), b"");
    let found = world.search(names("f")).expect("it answers");
    assert_eq!((found.n_hits, found.n_too_large), (1, 1));
}

#[test]
fn of_a_directory_larger_than_is_held_the_first_names_are_looked_at() {
    let world = World::new(&["a/1", "a/2", "a/3", "a/4", "b"].map(|path| (path, "")));
    let globs = Globs::new(&[], &[]).expect("none");
    let (root, reach) = (world.at(""), world.reach());
    let stop = Stop::new(Duration::from_secs(600), || false);
    for (names_held_max, n_seen, n_too_large) in [(5, 5, 0), (4, 4, 1), (3, 3, 1), (1, 1, 2)] {
        let dir = rustix::fs::openat(CWD, &root, LOOK, Mode::empty()).expect("it is there");
        let folder = Folder::new(dir, root.clone(), reach.barred()).expect("it is in reach");
        let scope = Scope { top: &root, names_held_max, ..Scope::all(&globs, &stop) };
        let mut seen = Vec::new();
        let walked = walk(folder, &scope, |_, name, _, _| {
            seen.push(name.to_owned());
            ControlFlow::Continue(())
        });
        assert_eq!((seen.len(), walked.n_too_large), (n_seen, n_too_large), "{names_held_max}: {seen:?}");
    }
}

#[test]
fn a_search_stops_where_its_time_is_up_or_its_call_is_cancelled() {
    let world = World::new(&[("f", "needle\n")]);
    for (time, is_cancelled, stopped) in [
        (Duration::ZERO, false, SearchStop::OutOfTime),
        (Duration::from_secs(600), true, SearchStop::Cancelled),
    ] {
        for params in [names("*"), lines("needle"), below("f", lines("needle"))] {
            let stop = Stop::new(time, move || is_cancelled);
            let found = world.search_until(params, &stop).expect("it answers");
            assert_eq!((found.n_hits, found.stopped), (0, Some(stopped)));
        }
    }
}

#[test]
fn a_cancelled_search_reads_no_further() {
    let world = World::new(&[]);
    for number in 0..100 {
        write(world.dir.path(), &format!("{number}"), &b"line\n".repeat(50_000));
    }
    for params in [lines("needle"), below("1", lines("needle"))] {
        let asked = Arc::new(AtomicUsize::new(0));
        let is_cancelled = {
            let asked = Arc::clone(&asked);
            move || asked.fetch_add(1, Ordering::Relaxed) >= 3
        };
        let found = world.search_until(params, &Stop::new(Duration::from_secs(600), is_cancelled));
        assert_eq!(found.expect("it answers").stopped, Some(SearchStop::Cancelled));
        // Once more it is asked why its reading ended.
        assert!(asked.load(Ordering::Relaxed) <= 5, "it went on: {asked:?}");
    }
}
