//! Files of one crate know each other in one direction: no file reaches itself again by what it uses.
//!
//! It must not know what the files are for. `tests/circles.toml` lists the crates that are still to be mended.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::module_graph::{Graph, graphs};
use super::rule::Rule;
use super::tree::exceptions;

#[derive(Deserialize)]
struct Listed {
    #[serde(default, rename = "crate")]
    crates: Vec<ListedCrate>,
}

#[derive(Deserialize)]
struct ListedCrate {
    /// The crate's directory.
    path: String,
    /// How many of its files stand in circles.
    files: usize,
}

#[test]
fn the_files_of_a_crate_know_each_other_in_one_direction() {
    let listed = exceptions::<Listed>("circles.toml").crates;
    let mut allowed: BTreeMap<&str, usize> =
        listed.iter().map(|known| (known.path.as_str(), known.files)).collect();
    let mut broken = Vec::new();
    for (path, graph) in &graphs() {
        let circles = graph.circles();
        let n_files: usize = circles.iter().map(Vec::len).sum();
        match allowed.remove(path.as_str()) {
            None => broken.extend(circles.iter().map(|circle| said(path, graph, circle))),
            Some(n) if n_files > n => {
                broken.push(format!("{path}: {n_files} files stand in circles, {n} are listed"));
                broken.extend(circles.iter().map(|circle| said(path, graph, circle)));
            }
            Some(n) if n_files < n => {
                broken
                    .push(format!("tests/circles.toml: `{path}` has {n_files} files in circles; write that"));
            }
            Some(0) => broken.push(format!("tests/circles.toml: `{path}` has none; take the line out")),
            Some(_) => {}
        }
    }
    broken.extend(allowed.keys().map(|path| format!("tests/circles.toml: there is no crate `{path}`")));
    Rule {
        says: "no file of a crate is used by what it uses; `tests/circles.toml` says how many still are, and only shrinks",
        mend: "move what both need into a file of its own below them, or hand it in as a parameter",
    }
    .holds(&broken);
}

/// One circle: a short way round, and how many files stand in it.
fn said(path: &str, graph: &Graph, circle: &[usize]) -> String {
    let way: Vec<&str> = graph.way_round(circle).into_iter().map(|at| graph.name(at)).collect();
    format!("{path}: {} files in a circle, such as {}", circle.len(), way.join(" -> "))
}
