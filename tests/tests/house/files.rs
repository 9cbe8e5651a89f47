//! What every file keeps to, whatever it is about.
//!
//! It must not know Rust beyond its tokens.

use serde::Deserialize;

use super::rule::Rule;
use super::rust_text::tokens;
use super::tree::{TreeFile, exceptions, files, rust_files};

/// Most lines of a Rust file that gives no reason.
const LINES_MAX: usize = 450;

#[test]
fn every_rust_file_begins_by_saying_what_it_is() {
    let silent = rust_files().filter(|file| !file.text.starts_with("//! "));
    let broken: Vec<String> = silent.map(|file| format!("{}:1: no `//!` line", file.path)).collect();
    Rule {
        says: "the first line of a Rust file is `//!` and says what it is",
        mend: "write it, and below it what the file must not know",
    }
    .holds(&broken);
}

#[test]
fn modules_are_named_after_themselves() {
    let named = rust_files().filter(|file| file.path == "mod.rs" || file.path.ends_with("/mod.rs"));
    let broken: Vec<String> = named.map(|file| file.path.clone()).collect();
    Rule { says: "no file is called `mod.rs`", mend: "rename `foo/mod.rs` to `foo.rs` beside `foo/`" }
        .holds(&broken);
}

#[derive(Deserialize)]
struct LongFiles {
    #[serde(default)]
    file: Vec<LongFile>,
}

#[derive(Deserialize)]
struct LongFile {
    path: String,
    reason: String,
}

#[test]
fn a_file_is_short_unless_a_reason_is_written_down() {
    let listed = exceptions::<LongFiles>("long_files.toml").file;
    let mut broken = Vec::new();
    for file in rust_files() {
        let n_lines = file.text.lines().count();
        if n_lines > LINES_MAX && !listed.iter().any(|known| known.path == file.path) {
            broken.push(format!("{}: {n_lines} lines", file.path));
        }
    }
    for known in &listed {
        let found = files().iter().find(|file| file.path == known.path);
        if found.is_none_or(|file| file.text.lines().count() <= LINES_MAX) {
            broken.push(format!("tests/long_files.toml: `{}` is not long; take the line out", known.path));
        }
        if known.reason.trim().is_empty() {
            broken.push(format!("tests/long_files.toml: `{}` has no reason", known.path));
        }
    }
    Rule {
        says: "a Rust file has at most 450 lines; `tests/long_files.toml` lists the others with their reasons",
        mend: "split it by idea, or add `[[file]]` with `path` and `reason`",
    }
    .holds(&broken);
}

#[test]
fn nothing_is_left_for_later() {
    let broken: Vec<String> = rust_files().flat_map(left_for_later).collect();
    Rule {
        says: "no `todo!`, no `unimplemented!`, no ignored test",
        mend: "do it or leave it out; of a known fault assert today's behaviour, with the reason",
    }
    .holds(&broken);
}

fn left_for_later(file: &TreeFile) -> Vec<String> {
    let mut broken = Vec::new();
    for w in tokens(file).windows(3) {
        let stub = ["todo", "unimplemented"].into_iter().find(|name| w[0].is(name) && w[1].sign('!'));
        if let Some(name) = stub {
            broken.push(format!("{}:{}: `{name}!`", file.path, w[0].line));
        }
        if w[0].sign('#') && w[1].sign('[') && w[2].is("ignore") {
            broken.push(format!("{}:{}: an ignored test", file.path, w[0].line));
        }
    }
    broken
}

#[test]
fn what_is_left_for_later_is_seen_in_code_alone() {
    let text = "fn a() { todo!() }\nfn b() { unimplemented!(\"x\") }\n#[ignore = \"slow\"]\nfn c() {}\n\
                // todo!()\nconst D: &str = \"todo!()\";\nfn todo() {}\n";
    let file = TreeFile { path: "x.rs".to_owned(), text: text.to_owned() };
    assert_eq!(
        left_for_later(&file),
        ["x.rs:1: `todo!`", "x.rs:2: `unimplemented!`", "x.rs:3: an ignored test"]
    );
}

#[test]
fn no_file_names_a_place_of_somebody_s_machine() {
    let places = ["work", "home"].map(|name| format!("/{name}/"));
    let mut broken = Vec::new();
    for file in files() {
        for (idx, line) in file.text.lines().enumerate() {
            if let Some(place) = places.iter().find(|place| names_place(line, place)) {
                broken.push(format!("{}:{}: holds `{place}`", file.path, idx + 1));
            }
        }
    }
    Rule {
        says: "no file names a directory of the machine it was written on",
        mend: "use a path relative to the workspace, a temporary directory, or `/srv/…` in an example",
    }
    .holds(&broken);
}

/// Whether `line` holds the absolute path `place`: not the middle of a URL or of another path.
fn names_place(line: &str, place: &str) -> bool {
    line.match_indices(place).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '}' | '*'))
    })
}

#[test]
fn a_path_is_meant_only_where_it_begins() {
    let place = format!("/{}/", "home");
    assert!(names_place(&format!("cd {place}me"), &place));
    assert!(names_place(&format!("\"{place}me\""), &place));
    assert!(!names_place(&format!("https://example.org{place}"), &place));
    assert!(!names_place(&format!("fixtures{place}config"), &place));
}
