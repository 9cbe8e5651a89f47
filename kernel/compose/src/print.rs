//! Prints a plan: as text for people, as Graphviz dot, as Mermaid.
//!
//! It must not know how the plan came about.

use std::fmt::{Display, Write};

use crate::manifest::Manifest;
use crate::plan::{Answer, Plan, PlannedInstance};
use dispatch_contracts::ContributionKind;

/// How a plan is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GraphFormat {
    /// Lines for a terminal, instances in activation order.
    Text,
    /// Graphviz: `dot -Tsvg`.
    Dot,
    /// A Mermaid flowchart, for Markdown.
    Mermaid,
}

/// Prints a plan; the text ends with a newline.
pub fn print_graph(plan: &Plan, format: GraphFormat) -> String {
    match format {
        GraphFormat::Text => text(plan),
        GraphFormat::Dot => dot(plan),
        GraphFormat::Mermaid => mermaid(plan),
    }
}

fn text(plan: &Plan) -> String {
    let mut out = Lines::default();
    for (idx, instance) in plan.instances.iter().enumerate() {
        let PlannedInstance { id, from, manifest, placement, grants, contributes, .. } = instance;
        let made_from = if id == from { String::new() } else { format!(" from {from}") };
        let required = if instance.required { ", required" } else { "" };
        out.line(format_args!("{}. {id}{made_from} {} ({placement}{required})", idx + 1, manifest.version));
        for contract in &manifest.provides {
            let passed_over = match plan.answer(contract) {
                Answer::Instance(answerer) if answerer != id => format!(" (answered by {answerer})"),
                _ => String::new(),
            };
            out.line(format_args!("   provides {contract}{passed_over}"));
        }
        for contract in &manifest.requires {
            out.line(format_args!("   requires {contract} <- {}", answerer(plan, contract)));
        }
        for contract in &manifest.optional {
            out.line(format_args!("   optional {contract} <- {}", answerer(plan, contract)));
        }
        for kind in ContributionKind::ALL {
            out.list(kind.key(), contributes.of(kind));
        }
        out.list("listens to", &manifest.subscribes);
        out.list("may use", grants);
    }
    let policy = plan.policy;
    for (effect, decision) in [("read", policy.read), ("write", policy.write), ("exec", policy.exec)] {
        if let Some(decision) = decision {
            out.line(format_args!("policy {effect} = {decision}"));
        }
    }
    out.0
}

fn answerer<'a>(plan: &'a Plan, contract: &str) -> &'a str {
    match plan.answer(contract) {
        Answer::Instance(id) => id,
        Answer::Kernel => "the kernel",
        Answer::Caller => "its caller",
        Answer::Nobody => "nobody",
    }
}

fn dot(plan: &Plan) -> String {
    let mut out = Lines::default();
    out.line("digraph build {");
    out.line("  rankdir = LR;");
    out.line("  node [shape = box];");
    for instance in &plan.instances {
        out.line(format_args!("  \"{}\" [label = \"{}\"];", instance.id, label(instance, "\\n")));
    }
    for edge in edges(plan) {
        let style = if edge.optional { ", style = dashed" } else { "" };
        out.line(format_args!(
            "  \"{}\" -> \"{}\" [label = \"{}\"{style}];",
            edge.from, edge.to, edge.contract
        ));
    }
    out.line("}");
    out.0
}

fn mermaid(plan: &Plan) -> String {
    let mut out = Lines::default();
    // Node names are numbers: an id such as `end` is a word of the language.
    let node = |id: &str| plan.instances.iter().position(|instance| instance.id == id).unwrap_or_default();
    out.line("flowchart LR");
    for (idx, instance) in plan.instances.iter().enumerate() {
        out.line(format_args!("  n{idx}[\"{}\"]", label(instance, "<br>")));
    }
    for edge in edges(plan) {
        let arrow = if edge.optional { "-.->" } else { "-->" };
        out.line(format_args!("  n{} {arrow}|{}| n{}", node(edge.from), edge.contract, node(edge.to)));
    }
    out.0
}

fn label(instance: &PlannedInstance, line_break: &str) -> String {
    let Manifest { version, .. } = &instance.manifest;
    format!("{}{line_break}{version}", instance.id)
}

/// One contract that one instance uses and another answers.
struct Edge<'a> {
    from: &'a str,
    to: &'a str,
    contract: &'a str,
    optional: bool,
}

fn edges(plan: &Plan) -> Vec<Edge<'_>> {
    let mut edges = Vec::new();
    for instance in &plan.instances {
        let Manifest { requires, optional, .. } = &instance.manifest;
        let used = requires.iter().map(|name| (name, false)).chain(optional.iter().map(|name| (name, true)));
        for (contract, optional) in used {
            if let Answer::Instance(to) = plan.answer(contract) {
                edges.push(Edge { from: &instance.id, to, contract, optional });
            }
        }
    }
    edges
}

/// Text that grows by lines.
#[derive(Default)]
struct Lines(String);

impl Lines {
    fn line(&mut self, line: impl Display) {
        writeln!(self.0, "{line}").expect("writing to a String cannot fail");
    }

    /// Writes a line of names, or none if there are none.
    fn list(&mut self, title: &str, names: &[impl ToString]) {
        if !names.is_empty() {
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            self.line(format_args!("   {title} {}", names.join(", ")));
        }
    }
}
