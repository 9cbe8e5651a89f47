//! `ext list`, `ext graph`, `build check`, `--help`: what can be said of a build without running a byte of it.

use crate::argv::Invocation;
use crate::commands::{HOST_OPTIONS, VARIABLES, leaves, own_commands};
use crate::compose::{Composed, compose};
use crate::exit::{EXIT_CODES, Refusal};
use crate::output::out;
use dispatch_compose::{GraphFormat, KnownExtension};
use dispatch_contracts::ContributionKind;
use dispatch_contracts::plain::plain;
use dispatch_kernel::inspect;
use serde_json::json;
use std::io::Write as _;
use std::path::Path;

/// Lists what was found, and which instances the build makes of it.
pub(crate) fn list(invocation: &Invocation, as_json: bool) -> Result<u8, Refusal> {
    let composed = compose(invocation, None)?;
    let text = if as_json { list_json(&composed) } else { list_text(&composed) };
    out(&text)
}

fn list_json(composed: &Composed) -> String {
    let extensions: Vec<_> = shown(composed)
        .map(|known| {
            let id = &known.manifest.id;
            let instances: Vec<&str> = instances_of(composed, id).collect();
            json!({
                "id": id,
                "version": known.manifest.version.to_string(),
                "summary": known.manifest.summary,
                "path": known.library.display().to_string(),
                "provides": known.manifest.provides,
                "instances": instances,
            })
        })
        .collect();
    format!("{:#}\n", json!({ "extensions": extensions, "rejected": composed.rejected }))
}

fn list_text(composed: &Composed) -> String {
    let mut text = String::new();
    for known in shown(composed) {
        let manifest = &known.manifest;
        let mark = if instances_of(composed, &manifest.id).next().is_some() { "*" } else { " " };
        text.push_str(&format!("{mark} {:<24} {:<8} {}\n", manifest.id, manifest.version, manifest.summary));
    }
    text.push_str("\n* = used by this build\n");
    for line in &composed.rejected {
        text.push_str(&format!("! {line}\n"));
    }
    text
}

/// What there is for a build to choose, and what this one has chosen.
fn shown(composed: &Composed) -> impl Iterator<Item = &KnownExtension> {
    let all = composed.catalog.ids().flat_map(|id| composed.catalog.candidates(id));
    all.filter(|known| known.manifest.listed || instances_of(composed, &known.manifest.id).next().is_some())
}

fn instances_of<'a>(composed: &'a Composed, extension: &'a str) -> impl Iterator<Item = &'a str> {
    let instances = composed.plan.instances.iter().filter(move |instance| instance.from == extension);
    instances.map(|instance| instance.id.as_str())
}

/// Prints the resolved graph.
pub(crate) fn print_graph(invocation: &Invocation, format: GraphFormat) -> Result<u8, Refusal> {
    let composed = compose(invocation, None)?;
    out(&dispatch_compose::print_graph(&composed.plan, format))
}

/// What the loader would refuse of the libraries of a build, one line each; not a byte of them is run.
pub(crate) fn unloadable(composed: &Composed) -> Vec<String> {
    let instances = composed.plan.instances.iter();
    let mut lines: Vec<String> =
        instances.filter_map(|instance| inspect(&instance.library, &instance.manifest).err()).collect();
    // Several instances of one library.
    lines.dedup();
    lines
}

/// Resolves a build list and looks at its libraries; the problems are the refusal.
pub(crate) fn check(invocation: &Invocation, file: &Path) -> Result<u8, Refusal> {
    let name = file.to_str().unwrap_or_default();
    let composed = compose(invocation, Some(name))?;
    let refused = unloadable(&composed);
    if !refused.is_empty() {
        return Err(Refusal::config(refused.join("\n")));
    }
    for stranger in &composed.layers.strangers {
        // Nobody may be left to read it.
        let _ = writeln!(std::io::stderr(), "note: {}", plain(&stranger.note()));
    }
    out(&format!("ok: {} instances, in this order\n{}", composed.plan.instances.len(), order(&composed)))
}

fn order(composed: &Composed) -> String {
    let line = |(n, instance): (usize, &dispatch_compose::PlannedInstance)| {
        format!("{:>3}  {:<28} {} {}\n", n + 1, instance.id, instance.from, instance.manifest.version)
    };
    composed.plan.instances.iter().enumerate().map(line).collect()
}

/// The host's own help, and the commands that the build's extensions bring.
pub(crate) fn help(invocation: &Invocation) -> Result<u8, Refusal> {
    let own = own_commands();
    let about = |command: &clap::Command| command.get_about().map(ToString::to_string).unwrap_or_default();
    let mut text = format!("{}\n\nUsage: dispatch [HOST OPTIONS] COMMAND …\n", about(&own));
    // First what most people want.
    match compose(invocation, None) {
        Ok(composed) => {
            text.push_str("\nCommands of this build's extensions (`dispatch COMMAND --help` says more):\n");
            for instance in &composed.plan.instances {
                for command in instance.contributes.of(ContributionKind::Command) {
                    text.push_str(&format!("  {:<14} from {}\n", command, instance.id));
                }
            }
        }
        Err(refusal) => text.push_str(&format!(
            "\nThe build does not hold, so the commands of its extensions are unknown:\n{}\n",
            refusal.message
        )),
    }
    text.push_str("\nCommands of the host (`dispatch COMMAND --help` says more):\n");
    for (path, command) in leaves(&own) {
        text.push_str(&format!("  {path:<14} {}\n", about(command)));
    }
    text.push_str(&format!("  {:<14} Prints this; `--version` the version\n", "--help"));
    text.push_str("\nHost options, anywhere before `--`:\n");
    for (name, value, help) in HOST_OPTIONS {
        text.push_str(&format!("  {:<25} {help}\n", format!("--{name} {value}").trim_end()));
    }
    text.push_str("\nEnvironment:\n");
    for (name, help) in VARIABLES {
        text.push_str(&format!("  {name:<28} {help}\n"));
    }
    text.push_str("\nExit codes:\n");
    for (code, means) in EXIT_CODES {
        text.push_str(&format!("  {code:<4} {means}\n"));
    }
    out(&text)
}
