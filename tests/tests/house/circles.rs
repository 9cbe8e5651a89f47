//! Files of one crate know each other in one direction: no file reaches itself again by what it uses.
//!
//! It must not know what the files are for.

use super::module_graph::{Graph, graphs};
use super::rule::Rule;

#[test]
fn the_files_of_a_crate_know_each_other_in_one_direction() {
    let graphs = graphs();
    let said = |(path, graph): (&String, &Graph)| {
        graph.circles().iter().map(|circle| said(path, graph, circle)).collect::<Vec<_>>()
    };
    let broken: Vec<String> = graphs.iter().flat_map(said).collect();
    Rule {
        says: "no file of a crate is used by what it uses",
        mend: "move what both need into a file of its own below them, or hand it in as a parameter",
    }
    .holds(&broken);
}

/// One circle: a short way round, and how many files stand in it.
fn said(path: &str, graph: &Graph, circle: &[usize]) -> String {
    let way: Vec<&str> = graph.way_round(circle).into_iter().map(|at| graph.name(at)).collect();
    format!("{path}: {} files in a circle, such as {}", circle.len(), way.join(" -> "))
}
