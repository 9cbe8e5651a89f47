//! The maps of the documents: the way of a turn through the files, and what each wish touches.
//!
//! It must not know the way: it looks whether what a map names is where the map says.

use std::collections::BTreeSet;
use std::fs;

use super::rule::Rule;
use super::rust_text::{is_test_file, tokens};
use super::tree::{TreeFile, rust_files};

/// Words before the name of what a map may send a reader to look for.
const ITEMS: [&str; 5] = ["fn", "struct", "enum", "trait", "const"];
/// Where a new directory of its own goes, and what stands for its name.
const NEW: &str = "…/";

/// A row of a table: its line in the file, and its cells.
struct Row {
    place: String,
    cells: Vec<String>,
}

/// Answers the rows of the first table below a heading, without its head.
fn table(path: &str, heading: &str) -> Vec<Row> {
    let text = fs::read_to_string(::house::workspace_dir().join(path)).unwrap_or_default();
    let lines = text.lines().enumerate().skip_while(|(_, line)| *line != heading);
    let rows =
        lines.skip_while(|(_, line)| !line.starts_with('|')).take_while(|(_, line)| line.starts_with('|'));
    let row = |(idx, line): (usize, &str)| Row {
        place: format!("{path}:{}", idx + 1),
        cells: line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect(),
    };
    rows.skip(2).map(row).collect()
}

/// The texts between backticks.
fn words(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

/// Whether a word is a path of the checkout.
fn is_path(word: &str) -> bool {
    word.contains('/') && !word.contains(".v1/")
}

fn is_there(path: &str) -> bool {
    ::house::workspace_dir().join(path).exists()
}

/// Answers where an item of that name stands in a file.
fn places_in(file: &TreeFile, name: &str) -> Vec<String> {
    let all = tokens(file);
    let items = all.windows(2).filter(|pair| ITEMS.iter().any(|item| pair[0].is(item)) && pair[1].is(name));
    items.map(|pair| format!("{}:{}", file.path, pair[1].line)).collect()
}

/// Answers where else a lost item stands, outside of tests: in the same room, else anywhere.
fn now_in(name: &str, lost_from: &str) -> String {
    let outside = rust_files().filter(|file| !is_test_file(&file.path) && file.text.contains(name));
    let found: Vec<String> = outside.flat_map(|file| places_in(file, name)).collect();
    let room = |path: &str| path.split('/').take(2).map(str::to_owned).collect::<Vec<_>>();
    let near: Vec<String> = found.iter().filter(|place| room(place) == room(lost_from)).cloned().collect();
    match if near.is_empty() { found } else { near } {
        none if none.is_empty() => "nowhere".to_owned(),
        places => places.join(", "),
    }
}

#[test]
fn the_map_of_a_turn_leads_to_what_is_there() {
    let rows = table("kernel/README.md", "## One turn, from HTTP in to events out");
    let mut broken = Vec::new();
    for Row { place, cells } in &rows {
        let [_, _, file, names] = cells.as_slice() else {
            broken.push(format!("{place}: a row has four cells"));
            continue;
        };
        let (files, names) = (words(file), words(names));
        if files.len() != 1 || names.is_empty() {
            broken.push(format!("{place}: one file, and at least one name to look for"));
        }
        for path in files {
            let file = rust_files().find(|file| file.path == path);
            if file.is_none() {
                broken.push(format!("{place}: `{path}` is not there"));
            }
            for name in &names {
                if file.is_none_or(|file| places_in(file, name).is_empty()) {
                    broken.push(format!("{place}: `{name}` is not in `{path}`; now: {}", now_in(name, path)));
                }
            }
        }
    }
    assert!(rows.len() >= 25, "the map of a turn has {} rows", rows.len());
    Rule {
        says: "each row of the map of a turn names a file and what stands in it",
        mend: "correct the row in `kernel/README.md`; the message says where the name is now",
    }
    .holds(&broken);
}

#[test]
fn a_wish_touches_one_directory_one_contract_file_and_one_build_line_at_most() {
    let rows = table("ORCHESTRATOR.md", "## Wishes, and what each touches");
    let mut broken = Vec::new();
    for Row { place, cells } in &rows {
        let [_, directory, contract, build, start] = cells.as_slice() else {
            broken.push(format!("{place}: a row has five cells"));
            continue;
        };
        let of = |cell: &str| -> Vec<String> {
            words(cell).into_iter().filter(|word| is_path(word)).map(str::to_owned).collect()
        };
        let columns = [(directory, ""), (contract, "kernel/contracts/src/"), (build, "manifests/")];
        for (cell, below) in columns {
            let paths = of(cell);
            if paths.len() > 1 {
                broken.push(format!("{place}: {} touches more than one", paths.join(", ")));
            }
            for path in &paths {
                // Of a new directory, where it goes has to be there.
                let looked_at =
                    path.strip_suffix(NEW).and_then(|new| new.rsplit_once('/')).map(|(dir, _)| dir);
                if !path.starts_with(below) || !is_there(looked_at.unwrap_or(path)) {
                    broken.push(format!("{place}: `{path}` is not there"));
                }
            }
        }
        let starts = of(start);
        if starts.is_empty() {
            broken.push(format!("{place}: nothing to start from"));
        }
        broken.extend(
            starts
                .iter()
                .filter(|path| !is_there(path))
                .map(|path| format!("{place}: `{path}` is not there")),
        );
    }
    let wishes: BTreeSet<&String> = rows.iter().filter_map(|row| row.cells.first()).collect();
    assert!(wishes.len() >= 10, "{} wishes", wishes.len());
    Rule {
        says: "a wish touches at most one directory, one contract file and one build line, and the map of wishes names them",
        mend: "correct the row in `ORCHESTRATOR.md`; where a wish needs more, mend the design and not the row",
    }
    .holds(&broken);
}

#[test]
fn a_lost_name_is_told_with_the_place_where_it_is_now() {
    let told = now_in("run_turn", "kernel/turn/src/steps.rs");
    assert!(told.starts_with("kernel/turn/src/lib.rs:") && !told.contains("kernel/core"), "{told}");
    assert_eq!(now_in("a_lost_name_is_told", "kernel/turn/src/steps.rs"), "nowhere", "tests do not count");
}
