//! Golden JSON of every verb: `tests/golden/<contract>.v<major>/<verb>.{params,reply,frame}.json`, each a list of samples.
//!
//! It must not know who serves a verb. `UPDATE=1 cargo house golden` rewrites the files; the diff shows whether a
//! change of the types is additive. A v1 line that changes breaks every extension that was built before.

mod first;
mod sample;

mod conversations;
mod event;
mod exec;
mod http;
mod instance;
mod kernel;
mod provider;
mod storage;
mod surface;
mod tool;
mod turn;
mod turns;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

use dispatch_contracts::message::Message;
use dispatch_contracts::provider::ProviderFault;
use serde_json::Value;

use self::sample::{Golden, Part, pretty, with_unknown_words};
use super::rule::Rule;
use super::rust_text::{Kind, tokens};
use super::tree::{files, rust_files};

/// What refuses unknown fields, for a person's slip there must not pass unnoticed: the inputs of ops.
const STRICT: [&str; 11] = [
    "conversations.v1/archive.params",
    "conversations.v1/bury.params",
    "conversations.v1/create.params",
    "conversations.v1/grants.params",
    "conversations.v1/rename.params",
    "conversations.v1/revoke.params",
    "turns.v1/explain.params",
    "turns.v1/models.params",
    "turns.v1/start.params",
    "turns.v1/stop.params",
    "turns.v1/watch.params",
];

/// Answers all samples; where a person asked for it, the files hold them from then on.
fn every_golden() -> &'static [Golden] {
    static GOLDENS: OnceLock<Vec<Golden>> = OnceLock::new();
    GOLDENS.get_or_init(|| {
        let all = samples();
        if update_wanted() {
            all.iter().flat_map(|golden| &golden.parts).for_each(write);
        }
        all
    })
}

fn write(part: &Part) {
    let path = directory().join(format!("{}.json", part.name));
    fs::create_dir_all(path.parent().expect("a golden file stands in its contract's directory"))
        .and_then(|()| fs::write(&path, &part.text))
        .unwrap_or_else(|error| panic!("cannot write `{}`: {error}", path.display()));
}

fn samples() -> Vec<Golden> {
    [
        conversations::samples(),
        exec::samples(),
        http::samples(),
        instance::samples(),
        kernel::samples(),
        provider::samples(),
        storage::samples(),
        surface::samples(),
        tool::samples(),
        turn::samples(),
        turns::samples(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn directory() -> PathBuf {
    ::house::workspace_dir().join("tests").join("golden")
}

#[expect(clippy::disallowed_methods, reason = "a person asks for the files to be rewritten")]
fn update_wanted() -> bool {
    std::env::var_os("UPDATE").is_some_and(|value| value == "1")
}

#[test]
fn the_types_write_what_the_golden_files_hold() {
    let mut broken = Vec::new();
    for golden in every_golden() {
        for part in &golden.parts {
            let path = directory().join(format!("{}.json", part.name));
            match fs::read_to_string(&path) {
                Err(error) => broken.push(format!("tests/golden/{}.json: {error}", part.name)),
                Ok(text) if text != part.text => {
                    broken.push(format!(
                        "tests/golden/{}.json: {}",
                        part.name,
                        first_difference(&text, &part.text)
                    ));
                }
                Ok(_) => {}
            }
        }
    }
    Rule {
        says: "what a verb's types write is, byte for byte, what its golden files hold",
        mend: "a change that only adds: `UPDATE=1 cargo house golden` and look at the diff; any other: a new major",
    }
    .holds(&broken);
}

fn first_difference(file: &str, types: &str) -> String {
    let mut lines = file.lines().zip(types.lines()).enumerate();
    match lines.find(|(_, (file, types))| file != types) {
        Some((idx, (file, types))) => {
            format!("line {} is `{}`, written is `{}`", idx + 1, file.trim(), types.trim())
        }
        None => format!("{} bytes, written are {}", file.len(), types.len()),
    }
}

#[test]
fn golden_files_are_read_and_written_back_unchanged() {
    let mut broken = Vec::new();
    for part in every_golden().iter().flat_map(|golden| &golden.parts) {
        let text = fs::read_to_string(directory().join(format!("{}.json", part.name))).unwrap_or_default();
        match (part.again)(&text) {
            Err(error) => broken.push(format!("tests/golden/{}.json: {error}", part.name)),
            Ok(again) if again != text => {
                broken.push(format!("tests/golden/{}.json: {}", part.name, first_difference(&text, &again)));
            }
            Ok(_) => {}
        }
    }
    Rule {
        says: "today's types read what was written, and lose nothing of it",
        mend: "give a new field `#[serde(default)]`; never rename or retype one",
    }
    .holds(&broken);
}

#[test]
fn readers_ignore_fields_they_do_not_know_except_the_inputs_of_ops() {
    let mut broken = Vec::new();
    for part in every_golden().iter().flat_map(|golden| &golden.parts) {
        let strict = STRICT.contains(&part.name.as_str());
        match (part.with_unknown_field)(&part.text) {
            Err(error) if !strict => broken.push(format!("{}: {error}", part.name)),
            Ok(()) if strict => broken.push(format!("{}: takes a field that it does not know", part.name)),
            _ => {}
        }
    }
    Rule {
        says: "a reader ignores unknown fields, so that a later writer is understood; the input of an op refuses them",
        mend: "take `deny_unknown_fields` out, or list the type in `STRICT` of `tests/tests/house/golden.rs`",
    }
    .holds(&broken);
}

#[test]
fn readers_go_on_with_words_they_do_not_know() {
    let parts = every_golden().iter().flat_map(|golden| &golden.parts);
    let verbs = parts.map(|part| (part.name.as_str(), (part.with_unknown_words)(&part.text)));
    let bodies: Vec<_> = event::live().into_iter().chain(event::durable()).collect();
    let events = bodies.iter().map(|body| (body.kind.as_str(), event::later(body)));
    let others = [
        ("a message", with_unknown_words::<Message>(&pretty(&[event::message()]))),
        ("a provider's fault", with_unknown_words::<ProviderFault>(&pretty(&provider::fault_details()))),
    ];
    let read = verbs.chain(events).chain(others);
    let broken: Vec<String> =
        read.filter_map(|(name, read)| read.err().map(|error| format!("{name}: {error}"))).collect();
    Rule {
        says: "a reader takes a word of a later version, in parameters, replies and frames alike",
        mend: "give the enum `#[serde(other)]` on its last variant: a cautious one of its own, else `Unknown`",
    }
    .holds(&broken);
}

#[test]
fn readers_take_what_the_first_writers_wrote_and_miss_no_field_that_came_later() {
    let dir = tempfile::tempdir().expect("a directory");
    first::unpack(dir.path());
    let mut broken = Vec::new();
    let mut n_read = 0;
    for part in every_golden().iter().flat_map(|golden| &golden.parts) {
        let path = dir.path().join(format!("tests/golden/{}.json", part.name));
        let Ok(text) = fs::read_to_string(path) else { continue };
        let list = |text: &str| serde_json::from_str::<Vec<Value>>(text).expect("golden files are lists");
        let (first, today) = (list(&text), list(&part.text));
        n_read += 1;
        let earlier: Vec<Value> =
            today.iter().flat_map(|sample| first::without_new_fields(sample, &first)).collect();
        let read = (part.reads)(&first).and_then(|()| (part.reads)(&earlier));
        broken.extend(read.err().map(|error| format!("{}: {error}", part.name)));
    }
    assert!(n_read > 100, "the archive holds the golden files of {n_read} bodies");
    Rule {
        says: "a reader takes what was written before a field was there",
        mend: "give the field `#[serde(default)]`",
    }
    .holds(&broken);
}

#[test]
fn every_verb_of_the_contracts_has_golden_files_and_no_file_is_left_over() {
    let goldens = every_golden();
    let known: BTreeSet<String> = goldens.iter().map(|golden| golden.verb.to_owned()).collect();
    let mut broken = Vec::new();
    for file in rust_files().filter(|file| file.path.starts_with("kernel/contracts/src/")) {
        let all = tokens(file);
        for (at, w) in all.windows(3).enumerate() {
            if !(w[0].is("impl") && w[1].is("Verb") && w[2].is("for")) {
                continue;
            }
            let mut after = all[at..].iter().skip_while(|token| !token.is("NAME"));
            let name = after.find_map(|token| match &token.kind {
                Kind::Text(text) => Some(text.trim_matches('"')),
                _ => None,
            });
            match name {
                Some(name) if known.contains(name) => {}
                _ => broken.push(format!(
                    "{}:{}: `{}` has no golden",
                    file.path,
                    w[0].line,
                    name.unwrap_or("?")
                )),
            }
        }
    }
    let expected: BTreeSet<String> = goldens
        .iter()
        .flat_map(|golden| &golden.parts)
        .map(|part| format!("tests/golden/{}.json", part.name))
        .collect();
    let present = files().iter().filter(|file| file.path.starts_with("tests/golden/"));
    let left_over = present.filter(|file| !expected.contains(&file.path));
    broken.extend(left_over.map(|file| format!("{}: belongs to no verb", file.path)));
    broken.extend(goldens.iter().filter_map(|golden| golden.gap.clone()));
    Rule {
        says: "every verb has samples of its parameters, its reply and, if it emits, its frames",
        mend: "add it to its contract's file under `tests/tests/house/golden/`, then `UPDATE=1 cargo house golden`",
    }
    .holds(&broken);
}
