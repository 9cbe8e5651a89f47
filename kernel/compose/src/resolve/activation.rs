//! The order in which instances start: each after what it requires, otherwise as the build lists them.
//!
//! It must not know what starting an instance means.

use std::cmp::Reverse;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};

use petgraph::Direction;
use petgraph::algo::{has_path_connecting, tarjan_scc};
use petgraph::graph::{DiGraph, NodeIndex};

use super::binding::Bindings;
use super::instance::Choice;
use crate::document::quoted;
use crate::problem::Problems;

/// Which choices one choice starts after, as indices.
#[derive(Debug, Default)]
pub(super) struct Edges {
    pub(super) required: Vec<usize>,
    pub(super) optional: Vec<usize>,
}

/// The order, and why.
#[derive(Debug)]
pub(super) struct Activation {
    /// Indices into the choices; not all of them if there is a cycle.
    pub(super) order: Vec<usize>,
    /// One for each choice.
    pub(super) edges: Vec<Edges>,
}

/// Edges lead from an answerer to those that start after it.
type Graph = DiGraph<(), ()>;

impl Activation {
    pub(super) fn of(choices: &[Choice<'_>], bindings: &Bindings, problems: &mut Problems) -> Self {
        let mut graph = Graph::new();
        let nodes: Vec<NodeIndex> = choices.iter().map(|_| graph.add_node(())).collect();
        let mut edges: Vec<Edges> = choices.iter().map(|_| Edges::default()).collect();
        for (idx, choice) in choices.iter().enumerate() {
            edges[idx].required = answerers(&choice.manifest().requires, bindings);
            for answerer in &edges[idx].required {
                graph.update_edge(nodes[*answerer], nodes[idx], ());
            }
        }
        for cycle in cycles(&graph) {
            tell_cycle(choices, bindings, &cycle, problems);
        }
        for (idx, choice) in choices.iter().enumerate() {
            for answerer in answerers(&choice.manifest().optional, bindings) {
                // An optional edge only helps; one that would close a cycle is dropped.
                if !has_path_connecting(&graph, nodes[idx], nodes[answerer], None) {
                    graph.update_edge(nodes[answerer], nodes[idx], ());
                    edges[idx].optional.push(answerer);
                }
            }
        }
        Self { order: order(&graph), edges }
    }
}

fn answerers(contracts: &[String], bindings: &Bindings) -> Vec<usize> {
    let answerers: BTreeSet<usize> =
        contracts.iter().filter_map(|contract| bindings.answerer(contract)).collect();
    answerers.into_iter().collect()
}

/// Takes whatever is ready, the first of the build list first.
fn order(graph: &Graph) -> Vec<usize> {
    let count = |node| graph.neighbors_directed(node, Direction::Incoming).count();
    let mut waits_for: Vec<usize> = graph.node_indices().map(count).collect();
    let ready_at_once = (0..waits_for.len()).filter(|idx| waits_for[*idx] == 0);
    let mut ready: BinaryHeap<Reverse<usize>> = ready_at_once.map(Reverse).collect();
    let mut order = Vec::with_capacity(waits_for.len());
    while let Some(Reverse(idx)) = ready.pop() {
        order.push(idx);
        for later in graph.neighbors(NodeIndex::new(idx)) {
            waits_for[later.index()] -= 1;
            if waits_for[later.index()] == 0 {
                ready.push(Reverse(later.index()));
            }
        }
    }
    order
}

/// One cycle of each knot, as the path of who requires whom, beginning and ending with the first of the build list.
fn cycles(graph: &Graph) -> Vec<Vec<usize>> {
    let mut cycles: Vec<Vec<usize>> = tarjan_scc(graph)
        .into_iter()
        .filter_map(|knot| cycle_through(graph, knot.into_iter().min()?))
        .collect();
    cycles.sort();
    cycles
}

/// Finds the shortest way from a node through what it requires back to itself.
fn cycle_through(graph: &Graph, start: NodeIndex) -> Option<Vec<usize>> {
    let mut came_from: BTreeMap<NodeIndex, NodeIndex> = BTreeMap::new();
    let mut waiting = VecDeque::from([start]);
    while let Some(node) = waiting.pop_front() {
        let mut required: Vec<NodeIndex> = graph.neighbors_directed(node, Direction::Incoming).collect();
        required.sort();
        for next in required {
            if next == start {
                let mut path = vec![start.index()];
                let mut at = node;
                while at != start {
                    path.push(at.index());
                    at = came_from[&at];
                }
                path.push(start.index());
                path.reverse();
                return Some(path);
            }
            if let Entry::Vacant(unseen) = came_from.entry(next) {
                unseen.insert(node);
                waiting.push_back(next);
            }
        }
    }
    None
}

fn tell_cycle(choices: &[Choice<'_>], bindings: &Bindings, cycle: &[usize], problems: &mut Problems) {
    let path: Vec<&str> = cycle.iter().map(|idx| choices[*idx].id()).collect();
    let mut steps = Vec::new();
    for pair in cycle.windows(2) {
        let (from, to) = (&choices[pair[0]], pair[1]);
        let contracts: Vec<&String> =
            from.manifest().requires.iter().filter(|name| bindings.answerer(name) == Some(to)).collect();
        steps.push(format!("`{}` requires {} of `{}`", from.id(), quoted(contracts), choices[to].id()));
    }
    let problem = choices[cycle[0]]
        .entry
        .id
        .place
        .problem(format!("instances wait for one another: {}", path.join(" -> ")));
    problems.0.push(problem.help(format!("{}; one of these must be `optional`", steps.join(", "))));
}
