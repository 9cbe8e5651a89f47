//! Who stands on which side of a contract: by the manifests, and by the verbs that the code serves and calls.
//!
//! It must not know any contract but by the table of contributions. Code is read as tokens: a verb's type behind `on(`,
//! before `::NAME =>` or in `attach::<…>` is served; in `of::<…>` it is run by an op; anywhere else it is called.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use dispatch_contracts::ContributionKind;
use toml::{Table, Value};

use super::super::rust_text::{Kind, Token, tokens_without_tests};
use super::super::tree::{TreeFile, directories, rust_files};
use super::contracts::{Contract, Entry};

/// Rooms that are no extension, and what a reader calls them.
const ROOMS: [(&str, &str); 3] =
    [("kernel/core/src/", KERNEL), ("kernel/turn/src/", KERNEL), ("host-bin/src/", "the host")];
const KERNEL: &str = "the kernel";

/// The manifests of the extensions, and of the toys, which serve where no extension does.
pub(crate) struct Manifests {
    extensions: BTreeMap<String, Table>,
    toys: BTreeMap<String, Table>,
}

impl Manifests {
    pub(crate) fn read() -> Self {
        Self { extensions: manifests("extensions"), toys: manifests("tests/toys") }
    }

    /// The ids of the extensions.
    pub(crate) fn ids(&self) -> impl Iterator<Item = &String> {
        self.extensions.keys()
    }

    pub(crate) fn provides(&self, id: &str, contract: &str) -> bool {
        self.extensions.get(id).is_some_and(|manifest| names(manifest, "provides").contains(&contract))
    }

    pub(crate) fn may_call(&self, id: &str, contract: &str) -> bool {
        self.extensions.get(id).is_some_and(|manifest| may_call(manifest, contract))
    }

    pub(crate) fn serves(&self, id: &str, contract: &str) -> bool {
        self.extensions.get(id).is_some_and(|manifest| serves(manifest, contract))
    }

    /// Who serves a contract, as words of a door.
    pub(crate) fn serving(&self, contract: &str) -> Vec<String> {
        let of = |all: &BTreeMap<String, Table>| -> Vec<String> {
            all.iter().filter(|(_, manifest)| serves(manifest, contract)).map(|(id, _)| code(id)).collect()
        };
        let served = of(&self.extensions);
        if served.is_empty() && contract.starts_with("engine.") { of(&self.toys) } else { served }
    }

    /// Who may call a contract, as words of a door.
    pub(crate) fn calling(&self, contract: &str) -> Vec<String> {
        let may = self.extensions.iter().filter(|(_, manifest)| may_call(manifest, contract));
        may.map(|(id, _)| code(id)).collect()
    }
}

fn manifests(dir: &str) -> BTreeMap<String, Table> {
    let read = |id: String| {
        let path = ::house::workspace_dir().join(dir).join(&id).join("extension.toml");
        let text = fs::read_to_string(path).ok()?;
        Some((id, toml::from_str(&text).expect("a manifest of the checkout is TOML")))
    };
    directories(dir).into_iter().filter_map(read).collect()
}

fn names<'a>(manifest: &'a Table, key: &str) -> Vec<&'a str> {
    let list = manifest.get(key).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str).collect()
}

fn may_call(manifest: &Table, contract: &str) -> bool {
    ["requires", "optional"].iter().any(|key| names(manifest, key).contains(&contract))
}

/// By `provides`, or by what is contributed; an op is served by the contract of its own verb.
fn serves(manifest: &Table, contract: &str) -> bool {
    let contributes = manifest.get("contributes").and_then(Value::as_table);
    let contributed = |kind: ContributionKind| {
        let names = contributes.and_then(|all| all.get(kind.key())).and_then(Value::as_array);
        kind != ContributionKind::Op
            && kind.contract() == contract
            && names.is_some_and(|names| !names.is_empty())
    };
    names(manifest, "provides").contains(&contract) || ContributionKind::ALL.into_iter().any(contributed)
}

fn code(id: &str) -> String {
    format!("`{id}`")
}

/// What the code does with each verb, by who does it.
pub(crate) struct Sides {
    served: BTreeSet<(String, String)>,
    called: BTreeSet<(String, String)>,
}

impl Sides {
    pub(crate) fn of(contracts: &[Contract]) -> Self {
        let verbs: Vec<&Entry> = contracts.iter().flat_map(|contract| &contract.verbs).collect();
        let mut sides = Self { served: BTreeSet::new(), called: BTreeSet::new() };
        for file in rust_files() {
            let Some(who) = room(&file.path) else { continue };
            for (verb, side) in uses(file, &verbs) {
                match side {
                    Side::Serves => sides.served.insert((who.clone(), verb.to_owned())),
                    Side::Calls => sides.called.insert((who.clone(), verb.to_owned())),
                    Side::RunBy(op) => sides.called.insert((format!("the op `{op}`"), verb.to_owned())),
                    Side::Neither => false,
                };
            }
        }
        // The kernel names what it serves in more places.
        let served = &sides.served;
        sides.called.retain(|one| one.0 != KERNEL || !served.contains(one));
        sides
    }

    pub(crate) fn callers(&self, verb: &str) -> BTreeSet<String> {
        self.called.iter().filter(|(_, called)| called == verb).map(|(who, _)| who.clone()).collect()
    }

    pub(crate) fn calling(&self, contract: &Contract) -> BTreeSet<String> {
        contract.verbs.iter().flat_map(|verb| self.callers(&verb.name)).collect()
    }

    pub(crate) fn serving(&self, contract: &Contract) -> BTreeSet<String> {
        let serves = |served: &str| contract.verbs.iter().any(|verb| verb.name == served);
        self.served.iter().filter(|(_, served)| serves(served)).map(|(who, _)| who.clone()).collect()
    }

    pub(crate) fn serves_any(&self, id: &str, contract: &Contract) -> bool {
        self.serving(contract).contains(&code(id))
    }

    pub(crate) fn calls_any(&self, id: &str, contract: &Contract) -> bool {
        self.calling(contract).contains(&code(id))
    }
}

fn room(path: &str) -> Option<String> {
    let named = ROOMS.iter().find(|(dir, _)| path.starts_with(dir)).map(|(_, who)| (*who).to_owned());
    named.or_else(|| path.strip_prefix("extensions/")?.split_once("/src/").map(|(id, _)| code(id)))
}

enum Side {
    Serves,
    Calls,
    /// The op of that name.
    RunBy(String),
    Neither,
}

/// What a name of the file means.
enum Meaning<'a> {
    Module(String),
    Verb(&'a Entry),
}

fn uses<'a>(file: &TreeFile, verbs: &[&'a Entry]) -> Vec<(&'a str, Side)> {
    let all = tokens_without_tests(file);
    let mut known: BTreeMap<String, Meaning<'a>> = BTreeMap::new();
    let (mut found, mut at) = (Vec::new(), 0);
    while at < all.len() {
        if all[at].is("use") {
            let end = (at..all.len()).find(|idx| all[*idx].sign(';')).unwrap_or(all.len());
            take_in(&all[at..end], verbs, &mut known);
            at = end;
        } else if let Some(name) = ident(&all[at]) {
            let module = module_before(&all, at);
            let verb = match module {
                Some(module) => {
                    let module = match known.get(module) {
                        Some(Meaning::Module(module)) => module,
                        _ => module,
                    };
                    verbs.iter().copied().find(|verb| verb.kind == name && verb.module == module)
                }
                None => match known.get(name) {
                    Some(Meaning::Verb(verb)) => Some(*verb),
                    _ => None,
                },
            };
            found.extend(verb.map(|verb| (verb.name.as_str(), side(&all, at))));
        }
        at += 1;
    }
    found
}

fn ident(token: &Token) -> Option<&str> {
    if let Kind::Ident(name) = &token.kind { Some(name) } else { None }
}

/// Answers the path's part before the one that ends at `at`.
fn module_before(all: &[Token], at: usize) -> Option<&str> {
    let path = at >= 3 && all[at - 1].sign(':') && all[at - 2].sign(':');
    if path { ident(&all[at - 3]) } else { None }
}

/// Takes in what a `use` of the contracts names.
fn take_in<'a>(tokens: &[Token], verbs: &[&'a Entry], known: &mut BTreeMap<String, Meaning<'a>>) {
    if !tokens.iter().any(|token| token.is("contracts") || token.is("dispatch_contracts")) {
        return;
    }
    let mut module = String::new();
    for (at, token) in tokens.iter().enumerate() {
        let Some(name) = ident(token) else { continue };
        let renamed = tokens.get(at + 1).is_some_and(|next| next.is("as"));
        let local = if renamed { tokens.get(at + 2).and_then(ident).unwrap_or(name) } else { name };
        if let Some(verb) = verbs.iter().copied().find(|verb| verb.kind == name && verb.module == module) {
            known.insert(local.to_owned(), Meaning::Verb(verb));
        } else if verbs.iter().any(|verb| verb.module == name) {
            module = name.to_owned();
            known.insert(local.to_owned(), Meaning::Module(module.clone()));
        }
    }
}

fn side(all: &[Token], at: usize) -> Side {
    let mut start = at;
    while module_before(all, start).is_some() {
        start -= 3;
    }
    let before = |back: usize| start.checked_sub(back).and_then(|idx| all.get(idx));
    let word = |back: usize, name: &str| before(back).is_some_and(|token| token.is(name));
    let sign = |back: usize, sign: char| before(back).is_some_and(|token| token.sign(sign));
    let generic_of = |name: &str| sign(1, '<') && sign(2, ':') && word(4, name);
    let after = |ahead: usize, sign: char| all.get(at + ahead).is_some_and(|token| token.sign(sign));
    let arm = after(1, ':')
        && all.get(at + 3).is_some_and(|token| token.is("NAME"))
        && after(4, '=')
        && after(5, '>');
    if (sign(1, '(') && (word(2, "on") || word(2, "on_inline")))
        || arm
        || generic_of("info")
        || generic_of("attach")
    {
        Side::Serves
    } else if let (true, Some(Kind::Text(op))) = (generic_of("of"), all.get(at + 3).map(|token| &token.kind))
    {
        Side::RunBy(op.trim_matches('"').to_owned())
    } else if generic_of("of") || generic_of("params") || generic_of("read") {
        Side::Neither
    } else {
        Side::Calls
    }
}
