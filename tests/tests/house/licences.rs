//! The packages of others: their licences, where they come from, and that each is there once.
//!
//! It must not know what they are for.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::rule::Rule;
use super::tree::exceptions;
use super::workspace::{Package, workspace};

/// A licence that may be in what we ship, and why.
struct Accepted {
    name: &'static str,
    why: &'static str,
}

const fn accepted(name: &'static str, why: &'static str) -> Accepted {
    Accepted { name, why }
}

const ACCEPTED: &[Accepted] = &[
    accepted("0BSD", "permissive, asks for nothing"),
    accepted("Apache-2.0", "permissive, our own"),
    accepted("Apache-2.0 WITH LLVM-exception", "Apache-2.0 with less to ask for"),
    accepted("BSD-2-Clause", "permissive, asks for the notice"),
    accepted("BSD-3-Clause", "permissive, asks for the notice"),
    accepted("BSL-1.0", "permissive, the notice in source only"),
    accepted("CC0-1.0", "public domain"),
    accepted("CDLA-Permissive-2.0", "permissive, for the root certificates that ship as data"),
    accepted("ISC", "permissive, asks for the notice"),
    accepted("MIT", "permissive, our own"),
    accepted("MIT-0", "MIT without the notice"),
    accepted("MPL-2.0", "copyleft per file: we change none of its files and link it as it is"),
    accepted("Unicode-3.0", "permissive, for Unicode's tables"),
    accepted("Unlicense", "public domain"),
    accepted("Zlib", "permissive, asks not to claim authorship"),
];

const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

#[test]
fn every_licence_is_one_of_the_reasoned_list() {
    let mut broken = Vec::new();
    for package in workspace().third_party() {
        let Package { name, version, license, .. } = package;
        match license {
            None => broken.push(format!("{name} {version}: no licence expression")),
            Some(expression) if !may_be_used(expression) => {
                broken.push(format!("{name} {version}: `{expression}`"));
            }
            Some(_) => {}
        }
    }
    Rule {
        says: "what we are built from may be shipped under `MIT OR Apache-2.0`",
        mend: "choose another crate, or add the licence with its reason to `tests/tests/house/licences.rs` and \
               to `deny.toml`",
    }
    .holds(&broken);
}

/// Whether an SPDX expression (`/` is an old `OR`) leaves a choice that is accepted throughout.
fn may_be_used(expression: &str) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut reader = Expression { words: &words, at: 0 };
    let outcome = reader.either();
    outcome && reader.at == words.len()
}

/// A reader of `A OR B AND (C OR D WITH E)`; `AND` binds closer.
struct Expression<'a> {
    words: &'a [&'a str],
    at: usize,
}

impl Expression<'_> {
    fn either(&mut self) -> bool {
        let mut outcome = self.both();
        while self.takes("OR") {
            outcome |= self.both();
        }
        outcome
    }

    fn both(&mut self) -> bool {
        let mut outcome = self.one();
        while self.takes("AND") {
            outcome &= self.one();
        }
        outcome
    }

    fn one(&mut self) -> bool {
        if self.takes("(") {
            let outcome = self.either();
            return self.takes(")") && outcome;
        }
        let Some(word) = self.words.get(self.at) else { return false };
        self.at += 1;
        let mut name = (*word).to_owned();
        if self.takes("WITH") {
            name = format!("{name} WITH {}", self.words.get(self.at).copied().unwrap_or_default());
            self.at += 1;
        }
        ACCEPTED.iter().any(|accepted| accepted.name == name)
    }

    fn takes(&mut self, word: &str) -> bool {
        let here = self.words.get(self.at) == Some(&word);
        self.at += usize::from(here);
        here
    }
}

#[test]
fn a_licence_expression_is_read_as_spdx_means_it() {
    for good in [
        "MIT",
        "MIT/Apache-2.0",
        "GPL-3.0-only OR MIT",
        "(MIT OR GPL-3.0-only) AND ISC",
        "Apache-2.0 WITH LLVM-exception OR GPL-2.0-only",
        "GPL-2.0-only AND X OR ISC",
    ] {
        assert!(may_be_used(good), "`{good}` may be used");
    }
    for bad in ["", "GPL-3.0-only", "MIT AND GPL-3.0-only", "(MIT", "MIT WITH Something", "MIT GPL-3.0-only"]
    {
        assert!(!may_be_used(bad), "`{bad}` may not be used");
    }
}

#[test]
fn every_package_of_others_comes_from_crates_io() {
    let foreign = workspace().third_party().filter(|package| package.source.as_deref() != Some(CRATES_IO));
    let broken: Vec<String> = foreign
        .map(|package| {
            format!(
                "{} {}: from {}",
                package.name,
                package.version,
                package.source.as_deref().unwrap_or("a path")
            )
        })
        .collect();
    Rule { says: "every package of others comes from crates.io", mend: "depend on a published version" }
        .holds(&broken);
}

#[derive(Deserialize)]
struct Duplicates {
    #[serde(default)]
    duplicate: Vec<Duplicate>,
}

#[derive(Deserialize)]
struct Duplicate {
    name: String,
    reason: String,
}

#[test]
fn a_crate_is_built_in_one_version_unless_a_reason_is_written_down() {
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for package in workspace().third_party() {
        versions.entry(&package.name).or_default().insert(&package.version);
    }
    let listed = exceptions::<Duplicates>("duplicates.toml").duplicate;
    let mut broken: Vec<String> = versions
        .iter()
        .filter(|(name, versions)| versions.len() > 1 && !listed.iter().any(|known| known.name == **name))
        .map(|(name, versions)| {
            let versions: Vec<&str> = versions.iter().copied().collect();
            format!(
                "{name}: {}; `cargo tree -i {name}@{}` shows who wants it",
                versions.join(" and "),
                versions[0]
            )
        })
        .collect();
    for known in &listed {
        if versions.get(known.name.as_str()).is_none_or(|versions| versions.len() < 2) {
            broken.push(format!(
                "tests/duplicates.toml: `{}` is there once now; take the line out",
                known.name
            ));
        }
        if known.reason.trim().is_empty() {
            broken.push(format!("tests/duplicates.toml: `{}` has no reason", known.name));
        }
    }
    Rule {
        says: "a crate is built in one version; `tests/duplicates.toml` lists those that cannot, with the reason",
        mend: "choose versions that agree, or add `[[duplicate]]` with `name` and `reason`",
    }
    .holds(&broken);
}

#[test]
fn deny_toml_says_the_same_as_the_rules() {
    let text =
        std::fs::read_to_string(::house::workspace_dir().join("deny.toml")).expect("deny.toml can be read");
    let deny: toml::Table = text.parse().expect("deny.toml is TOML");
    let allowed = deny["licenses"]["allow"].as_array().expect("`licenses.allow` is a list");
    let allowed: BTreeSet<&str> = allowed.iter().filter_map(toml::Value::as_str).collect();
    let accepted: BTreeSet<&str> = ACCEPTED.iter().map(|accepted| accepted.name).collect();
    let mut broken: Vec<String> = allowed
        .symmetric_difference(&accepted)
        .map(|name| format!("deny.toml: `{name}` stands only in one of the two lists"))
        .collect();
    broken.extend(
        ACCEPTED
            .iter()
            .filter(|accepted| accepted.why.is_empty())
            .map(|accepted| format!("tests/tests/house/licences.rs: `{}` has no reason", accepted.name)),
    );
    Rule { says: "`deny.toml` allows the licences that the house rule accepts", mend: "change both" }
        .holds(&broken);
}
