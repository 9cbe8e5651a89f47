//! Where `unsafe` may stand, and what must stand above it.
//!
//! It must not know what the code does. The lint `unsafe_code` denies it everywhere; this rule watches the exceptions.

use serde::Deserialize;

use super::rule::Rule;
use super::rust_text::{Token, tokens};
use super::tree::{TreeFile, exceptions, files, rust_files};

/// How many lines above an unsafe block its comment may begin.
const SAFETY_LINES_MAX: usize = 12;

#[derive(Deserialize)]
struct Listed {
    #[serde(default)]
    file: Vec<ListedFile>,
}

#[derive(Deserialize)]
struct ListedFile {
    path: String,
    reason: String,
}

fn unsafe_words(all: &[Token]) -> impl Iterator<Item = usize> {
    all.iter().enumerate().filter(|(_, token)| token.is("unsafe")).map(|(at, _)| at)
}

#[test]
fn unsafe_stands_only_in_files_that_list_a_reason() {
    let listed = exceptions::<Listed>("unsafe.toml").file;
    let mut broken = Vec::new();
    for file in rust_files() {
        let all = tokens(file);
        let first = unsafe_words(&all).next();
        let entry = listed.iter().find(|entry| entry.path == file.path);
        match (first, entry) {
            (Some(at), None) => broken.push(format!("{}:{}: not listed", file.path, all[at].line)),
            (None, Some(_)) => {
                broken.push(format!("tests/unsafe.toml: `{}` has no unsafe any more", file.path))
            }
            (Some(_), Some(entry)) if entry.reason.trim().is_empty() => {
                broken.push(format!("tests/unsafe.toml: `{}` has no reason", file.path));
            }
            _ => {}
        }
    }
    for entry in listed.iter().filter(|entry| !files().iter().any(|file| file.path == entry.path)) {
        broken.push(format!("tests/unsafe.toml: `{}` does not exist", entry.path));
    }
    Rule {
        says: "`unsafe` stands only in the files of `tests/unsafe.toml`, each with its reason",
        mend: "do it without; else add `[[file]]` with `path` and `reason`, and take out lines that became stale",
    }
    .holds(&broken);
}

#[test]
fn every_unsafe_block_says_why_it_is_safe() {
    let broken: Vec<String> = rust_files().flat_map(without_reason).collect();
    Rule {
        says: "an unsafe block or impl has a line `// SAFETY:` that names the invariant and who keeps it",
        mend: "write it directly above",
    }
    .holds(&broken);
}

/// Answers the unsafe blocks and impls of a file that have no `// SAFETY:` above them.
fn without_reason(file: &TreeFile) -> Vec<String> {
    let all = tokens(file);
    let lines: Vec<&str> = file.text.lines().collect();
    unsafe_words(&all)
        .filter(|at| all.get(at + 1).is_some_and(|next| next.sign('{') || next.is("impl")))
        .map(|at| all[at].line)
        .filter(|line| !has_reason(&lines[..line - 1]))
        .map(|line| format!("{}:{line}: no `// SAFETY:` above", file.path))
        .collect()
}

/// Whether a `// SAFETY:` stands at the end of `above`, or before lines that begin the block's own statement.
fn has_reason(above: &[&str]) -> bool {
    for line in above.iter().rev().take(SAFETY_LINES_MAX).map(|line| line.trim()) {
        if line.starts_with("// SAFETY:") {
            return true;
        }
        if !line.starts_with("//") && (line.is_empty() || line.ends_with([';', '{', '}'])) {
            return false;
        }
    }
    false
}

#[test]
fn a_safety_line_belongs_to_the_block_below_it_only() {
    let file = |text: &str| TreeFile { path: "x.rs".to_owned(), text: text.to_owned() };
    let good = "fn a() {\n    // SAFETY: b is ours.\n    let c = \n        unsafe { b() };\n}\n";
    assert_eq!(without_reason(&file(good)), Vec::<String>::new());
    let bad =
        "fn a() {\n    // SAFETY: b is ours.\n    unsafe { b() };\n    let d = 1;\n    unsafe { c() };\n}\n";
    assert_eq!(without_reason(&file(bad)), ["x.rs:5: no `// SAFETY:` above"]);
}

#[test]
fn extensions_forbid_unsafe_code() {
    let roots = rust_files().filter(|file| {
        let parts: Vec<&str> = file.path.split('/').collect();
        matches!(parts.as_slice(), ["extensions", _, "src", "lib.rs"])
    });
    let lax = roots.filter(|file| {
        let forbids = |w: &[Token]| w[0].is("forbid") && w[2].is("unsafe_code");
        !tokens(file).windows(3).any(forbids)
    });
    let broken: Vec<String> = lax.map(|file| format!("{}: no such line", file.path)).collect();
    Rule {
        says: "an extension's `lib.rs` has `#![forbid(unsafe_code)]`",
        mend: "write it below the file's `//!` lines",
    }
    .holds(&broken);
}
