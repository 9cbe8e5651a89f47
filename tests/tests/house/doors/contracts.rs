//! The contracts as their source tells them: verbs, what each does, how it is driven.
//!
//! It must not know who serves or calls one.

use std::collections::BTreeMap;

use super::super::tree::{TreeFile, rust_files};

const SOURCES: &str = "kernel/contracts/src/";

/// One verb.
pub(crate) struct Entry {
    /// `storage.v1/get`.
    pub(crate) name: String,
    /// `get`.
    pub(crate) word: String,
    /// The name of its type, `Get`.
    pub(crate) kind: String,
    /// The module of the contracts that names the type, `storage`.
    pub(crate) module: String,
    /// The file of its type.
    pub(crate) file: String,
    /// What it does, for a cell of a table; empty where nothing is said.
    pub(crate) says: String,
    /// `spawned, 10 s, frames`.
    pub(crate) driven: String,
}

/// One contract.
pub(crate) struct Contract {
    /// `storage.v1`.
    pub(crate) name: String,
    /// What it is.
    pub(crate) says: String,
    /// In the order of their files.
    pub(crate) verbs: Vec<Entry>,
}

/// Answers all contracts, sorted by name.
pub(crate) fn contracts() -> Vec<Contract> {
    let mut found: BTreeMap<String, Vec<Entry>> = BTreeMap::new();
    for file in rust_files().filter(|file| file.path.starts_with(SOURCES)) {
        for entry in entries(file) {
            let contract = entry.name.split('/').next().unwrap_or_default().to_owned();
            found.entry(contract).or_default().push(entry);
        }
    }
    let contract = |(name, verbs): (String, Vec<Entry>)| Contract { says: about(&name, &verbs), name, verbs };
    found.into_iter().map(contract).collect()
}

fn entries(file: &TreeFile) -> Vec<Entry> {
    let module = file.path[SOURCES.len()..].split(['/', '.']).next().unwrap_or_default();
    let mut found = Vec::new();
    for (at, opening) in file.text.match_indices("\nimpl Verb for ") {
        let body = &file.text[at + opening.len()..];
        let body = &body[..body.find("\n}").unwrap_or(body.len())];
        let kind = body.split_whitespace().next().unwrap_or_default();
        let name = between(body, "NAME: &'static str = \"", "\"");
        let (params, reply) = (between(body, "type Params = ", ";"), between(body, "type Reply = ", ";"));
        let own = docs(file, &format!("pub struct {kind};"));
        let own = own.trim_start_matches(&format!("`{name}`")).trim_start_matches([':', '.', ' ']);
        let types = [params, reply].map(|kind| first_sentence(&type_docs(file, kind)));
        let types = types.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(" → ");
        let says = if own.is_empty() { types } else { first_sentence(own) };
        found.push(Entry {
            name: name.to_owned(),
            word: name.split('/').nth(1).unwrap_or_default().to_owned(),
            kind: kind.to_owned(),
            module: module.to_owned(),
            file: file.path.clone(),
            says: cell(&capital(&says)),
            driven: driven(body),
        });
    }
    found
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let rest = text.split_once(before).map_or("", |(_, rest)| rest);
    rest.split_once(after).map_or(rest, |(found, _)| found)
}

fn type_docs(file: &TreeFile, kind: &str) -> String {
    let own = docs(file, &format!("pub struct {kind} "));
    if own.is_empty() { docs(file, &format!("pub enum {kind} ")) } else { own }
}

/// Answers the doc comment's first paragraph above the line that begins with `item`.
fn docs(file: &TreeFile, item: &str) -> String {
    let lines: Vec<&str> = file.text.lines().collect();
    let Some(at) = lines.iter().position(|line| line.starts_with(item)) else { return String::new() };
    let above = lines[..at].iter().rev().take_while(|line| line.starts_with("///") || line.starts_with("#["));
    let mut texts: Vec<&str> = above.filter_map(|line| line.strip_prefix("///")).map(str::trim).collect();
    texts.reverse();
    texts.split(|line| line.is_empty()).next().unwrap_or_default().join(" ")
}

fn first_sentence(text: &str) -> String {
    text.split_once(". ").map_or(text.trim_end_matches('.'), |(first, _)| first).to_owned()
}

/// A text of a doc comment as it may stand in a table.
fn cell(text: &str) -> String {
    text.replace("[`", "`").replace("`]", "`").replace('|', "\\|")
}

fn driven(body: &str) -> String {
    let mode = between(body, "Mode::", ";").to_lowercase();
    let limits = between(body, "LIMITS: Limits = ", ";");
    let frames = if between(body, "type Frame = ", ";") == "NoFrame" { "" } else { ", frames" };
    format!("{mode}, {}{frames}", time(limits))
}

/// `Limits::short(10_000)` as `10 s`, `Limits::long(0)` as `long`; what is written otherwise as it is.
fn time(limits: &str) -> String {
    let seconds =
        |ms: &str| ms.trim_end_matches(')').replace('_', "").parse::<u64>().ok().map(|ms| ms / 1000);
    let (short, long) = (limits.strip_prefix("Limits::short("), limits.strip_prefix("Limits::long("));
    match (short.and_then(seconds), long.and_then(seconds)) {
        (Some(budget), _) => format!("{budget} s"),
        (_, Some(0)) => "long".to_owned(),
        (_, Some(silence)) => format!("long, {silence} s of silence"),
        (None, None) => match limits.strip_suffix("::LIMITS") {
            Some(verb) => format!("as `{verb}`"),
            None => format!("`{}`", limits.split_whitespace().collect::<Vec<_>>().join(" ")),
        },
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// Within whose calls a contract calls back: `turn.v1` of `turn_host.v1`.
pub(crate) fn calls_of(name: &str) -> Option<String> {
    name.split_once("_host.").map(|(of, major)| format!("{of}.{major}"))
}

/// What a contract is: the first paragraph of its file, or whose calls it answers.
fn about(name: &str, verbs: &[Entry]) -> String {
    if let Some(of) = calls_of(name) {
        return format!("Called back, within a call of `{of}`, on whoever made that call.");
    }
    let path = format!("{SOURCES}{}.rs", verbs.first().map_or("", |verb| verb.module.as_str()));
    let text = rust_files().find(|file| file.path == path).map_or("", |file| file.text.as_str());
    let lines = text.lines().map_while(|line| line.strip_prefix("//!")).map(str::trim);
    let first: Vec<&str> = lines.take_while(|line| !line.is_empty()).collect();
    let text = cell(&first.join(" "));
    let rest = [": ", ", and "].iter().find_map(|sign| text.strip_prefix(&format!("`{name}`{sign}")));
    capital(rest.unwrap_or(&text))
}
