//! The door of the contracts: who serves each, who calls it, its verbs, its golden files, an example; made from the sources.
//!
//! It must not know what a contract is for. `UPDATE=1 cargo house -p house --test house doors` writes the file.

mod contracts;
mod sides;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;

use serde_json::value::RawValue;

use self::contracts::{Contract, Entry, calls_of, contracts};
use self::sides::{Manifests, Sides};
use super::rule::Rule;

/// The door, which `UPDATE=1` writes.
const DOOR: &str = "kernel/contracts/README.md";
/// Most lines that a person reads of it.
const LINES_MAX: usize = 450;
/// Most bytes of an example; of a longer one the reply is left to its golden file.
const EXAMPLE_BYTES_MAX: usize = 400;

#[test]
#[expect(clippy::disallowed_methods, reason = "`UPDATE=1` is asked for by whoever runs the tests")]
fn the_door_of_the_contracts_is_what_the_sources_say() {
    let text = door();
    let path = ::house::workspace_dir().join(DOOR);
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, &text).expect("the checkout is writable");
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    let differs = found.lines().zip(text.lines()).position(|(found, made)| found != made);
    let broken = match (found == text, differs) {
        (true, _) => Vec::new(),
        (false, Some(idx)) => vec![format!("{DOOR}:{}: differs from here on", idx + 1)],
        (false, None) => vec![format!("{DOOR}: is shorter or longer than what the sources say")],
    };
    Rule {
        says: "the door of the contracts is made from the contracts, the manifests, who uses them, and the golden files",
        mend: "run `UPDATE=1 cargo house -p house --test house doors` and look at the diff",
    }
    .holds(&broken);
    assert!(text.lines().count() <= LINES_MAX, "{DOOR} has more than {LINES_MAX} lines");
}

#[test]
fn every_verb_says_what_it_does_and_has_golden_files() {
    let mut broken = Vec::new();
    for verb in contracts().iter().flat_map(|contract| &contract.verbs) {
        if verb.says.is_empty() {
            broken.push(format!("{}: `{}`: no word about what it does", verb.file, verb.name));
        }
        for part in ["params", "reply"] {
            if sample(&verb.name, part).is_none() {
                broken.push(format!("tests/golden/{}.{part}.json: no sample", verb.name));
            }
        }
    }
    Rule {
        says: "a verb says in one sentence what it does, and its golden files show it",
        mend: "write it above the verb's struct, or above its parameters; add samples in `tests/tests/house/golden/`",
    }
    .holds(&broken);
}

#[test]
fn who_calls_a_contract_says_so_in_its_manifest_and_who_provides_one_serves_a_verb_of_it() {
    let (all, manifests) = (contracts(), Manifests::read());
    let sides = Sides::of(&all);
    let mut broken = Vec::new();
    for contract in &all {
        let back = contract.name.contains("_host.");
        for id in manifests.ids() {
            let says = manifests.may_call(id, &contract.name) || manifests.serves(id, &contract.name);
            if !back && contract.name != "instance.v1" && sides.calls_any(id, contract) && !says {
                broken.push(format!("extensions/{id}/extension.toml: `{}` is called", contract.name));
            }
            if manifests.provides(id, &contract.name) && !sides.serves_any(id, contract) {
                broken.push(format!(
                    "extensions/{id}/extension.toml: no verb of `{}` is served",
                    contract.name
                ));
            }
        }
    }
    Rule {
        says: "what an extension's code serves and calls of the contracts is what its manifest says",
        mend: "correct the manifest; or, where the code is read wrongly, `tests/tests/house/doors/sides.rs`",
    }
    .holds(&broken);
}

fn door() -> String {
    let (all, manifests) = (contracts(), Manifests::read());
    let sides = Sides::of(&all);
    let mut text = "# The doors of the contracts\n\n\
        Made from the contracts, the manifests of `extensions/`, the calls in the code and `tests/golden/`; do not edit it \
        (`UPDATE=1 cargo house -p house --test house doors` writes it, and a test compares).\n\
        A verb is called `<contract>/<verb>`, with `#name` behind it where a contract is many-valued. \
        `tests/golden/<contract>/<verb>.params.json` and `.reply.json` show what goes in and comes out, `.frame.json` what is \
        emitted before the end. *Driven* tells how the callee runs and how long it may take: `inline` is polled in place, \
        `long` has no total deadline. *Called by* tells who calls the verb in this checkout; others may.\n"
        .to_owned();
    for contract in &all {
        section(&mut text, contract, &manifests, &sides).expect("a String takes it");
    }
    text
}

fn section(text: &mut String, contract: &Contract, manifests: &Manifests, sides: &Sides) -> std::fmt::Result {
    let name = &contract.name;
    write!(text, "\n## `{name}`\n\n{}\n", contract.says)?;
    let of = calls_of(name);
    let whoever = |does: &str| match &of {
        Some(of) => format!("whoever {does} `{of}`"),
        None => "nobody in this checkout".to_owned(),
    };
    let served = manifests.serving(name).into_iter().chain(sides.serving(contract)).collect();
    writeln!(text, "Served by {}.", listed(&served, &whoever("calls")))?;
    let calling = manifests.calling(name).into_iter().chain(sides.calling(contract)).collect();
    writeln!(text, "Called by {}.", listed(&calling, &whoever("serves")))?;
    let files: BTreeSet<String> = contract.verbs.iter().map(|verb| file_or_dir(&verb.file)).collect();
    let files = files.into_iter().collect::<Vec<_>>().join(", ");
    writeln!(text, "Types, bounds and codes: {files}; golden files: `tests/golden/{name}/`.\n")?;
    text.push_str("| verb | what it does | driven | called by |\n|---|---|---|---|\n");
    for verb in &contract.verbs {
        let callers = listed(&sides.callers(&verb.name), "");
        writeln!(text, "| `{}` | {} | {} | {callers} |", verb.word, verb.says, verb.driven)?;
    }
    if let Some(example) = example(&contract.verbs) {
        writeln!(text, "\nAn example, {example}")?;
    }
    Ok(())
}

/// The file of a contract; of what lies in its directory, the directory.
fn file_or_dir(file: &str) -> String {
    match file.rsplit_once('/') {
        Some((dir, _)) if !dir.ends_with("/src") => format!("`{dir}/`"),
        _ => format!("`{file}`"),
    }
}

fn listed(names: &BTreeSet<String>, none: &str) -> String {
    if names.is_empty() {
        return none.to_owned();
    }
    names.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// Answers the first verb's first samples that show something and are short, else the shortest.
fn example(verbs: &[Entry]) -> Option<String> {
    let shown = |verb: &Entry| {
        let (params, reply) = (sample(&verb.name, "params")?, sample(&verb.name, "reply")?);
        let n_empty = [&params, &reply].iter().filter(|body| body.as_str() == "{}").count();
        let whole = format!("`{}`: `{params}` → `{reply}`", verb.name);
        Some(match whole.len() > EXAMPLE_BYTES_MAX {
            true => (n_empty + 2, format!("`{0}`: `{params}` → `tests/golden/{0}.reply.json`", verb.name)),
            false => (n_empty, whole),
        })
    };
    verbs.iter().filter_map(shown).min_by_key(|(worse, _)| *worse).map(|(_, text)| text)
}

/// Answers the first sample of a golden file, on one line.
fn sample(verb: &str, part: &str) -> Option<String> {
    let path = ::house::workspace_dir().join(format!("tests/golden/{verb}.{part}.json"));
    let text = fs::read_to_string(path).ok()?;
    let samples: Vec<Box<RawValue>> = serde_json::from_str(&text).ok()?;
    let lines = samples.first()?.get().lines().map(str::trim).collect::<Vec<_>>();
    Some(lines.join(" ").replace("{ ", "{").replace(" }", "}").replace("[ ", "[").replace(" ]", "]"))
}
