//! Which instance answers which single-valued contract.
//!
//! It must not know in which order instances start.

use std::collections::BTreeMap;

use super::instance::Choice;
use crate::build_list::BuildList;
use crate::catalog::Catalog;
use crate::contract_kind::ContractKind;
use crate::document::quoted;
use crate::nearest::nearest;
use crate::problem::Problems;

/// Single-valued contract to those that provide it, as indices into the choices.
pub(super) struct Bindings {
    answerers: BTreeMap<String, Answerer>,
}

enum Answerer {
    One(usize),
    /// Several, and the build does not say which; told already.
    Undecided,
}

impl Bindings {
    pub(super) fn of(build: &BuildList, choices: &[Choice<'_>], problems: &mut Problems) -> Self {
        check_binds(build, choices, problems);
        let mut providers: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (idx, choice) in choices.iter().enumerate() {
            for contract in &choice.manifest().provides {
                if ContractKind::of(contract) == ContractKind::Single {
                    providers.entry(contract).or_default().push(idx);
                }
            }
        }
        let decide = |(contract, idxs): (&str, Vec<usize>)| {
            let bound = build.bind.get(contract);
            let named = |idx: &&usize| bound.is_some_and(|instance| instance.value == choices[**idx].id());
            let answerer = match (idxs.iter().find(named), idxs.as_slice()) {
                (Some(idx), _) | (None, [idx]) => Answerer::One(*idx),
                (None, several) => {
                    // A wrong bind is a problem of its own.
                    if bound.is_none() {
                        tell_undecided(build, choices, contract, several, problems);
                    }
                    Answerer::Undecided
                }
            };
            (contract.to_owned(), answerer)
        };
        Self { answerers: providers.into_iter().map(decide).collect() }
    }

    /// The choice that answers a contract, if one does.
    pub(super) fn answerer(&self, contract: &str) -> Option<usize> {
        match self.answerers.get(contract)? {
            Answerer::One(idx) => Some(*idx),
            Answerer::Undecided => None,
        }
    }

    pub(super) fn named(&self, choices: &[Choice<'_>]) -> BTreeMap<String, String> {
        let one =
            |contract: &String| Some((contract.clone(), choices[self.answerer(contract)?].id().to_owned()));
        self.answerers.keys().filter_map(one).collect()
    }

    /// Tells each required contract that nobody in the build answers.
    pub(super) fn check_requirements(
        &self,
        build: &BuildList,
        choices: &[Choice<'_>],
        catalog: &Catalog,
        problems: &mut Problems,
    ) {
        for choice in choices {
            for contract in &choice.manifest().requires {
                let single = ContractKind::of(contract) == ContractKind::Single;
                if !single || self.answerers.contains_key(contract) {
                    continue;
                }
                let id = choice.id();
                let message =
                    format!("`{id}` requires `{contract}`, which no instance of this build provides");
                let problem = choice.entry.id.place.problem(message);
                problems.0.push(match catalog.providers_of(contract).as_slice() {
                    [] => problem.help("no known extension provides it"),
                    [one] => problem.help(format!(
                        "add `[[extension]]` with `id = \"{one}\"` to {}",
                        build.path.display()
                    )),
                    several => problem.help(format!("these extensions provide it: {}", quoted(several))),
                });
            }
        }
    }
}

fn tell_undecided(
    build: &BuildList,
    choices: &[Choice<'_>],
    contract: &str,
    providers: &[usize],
    problems: &mut Problems,
) {
    let ids: Vec<&str> = providers.iter().map(|idx| choices[*idx].id()).collect();
    let (Some(first), Some(last)) = (ids.first(), providers.last()) else {
        return;
    };
    let message = format!("`{contract}` is provided by {}, but one instance answers it", quoted(&ids));
    let file = build.path.display();
    let help = if build.bind.is_empty() {
        format!("say which: add `bind = {{ \"{contract}\" = \"{first}\" }}` at the top of {file}")
    } else {
        format!("say which: add `\"{contract}\" = \"{first}\"` to `bind` in {file}")
    };
    problems.0.push(choices[*last].entry.id.place.problem(message).help(help));
}

/// Each bind names an instance of the build that provides a single-valued contract.
fn check_binds(build: &BuildList, choices: &[Choice<'_>], problems: &mut Problems) {
    for (contract, instance) in &build.bind {
        let id = &instance.value;
        if ContractKind::of(contract) != ContractKind::Single {
            let message = format!("`{contract}` cannot be bound to one instance");
            let problem = instance.place.problem(message);
            problems.0.push(problem.help("the kernel answers it itself, or by the name that is called"));
            continue;
        }
        if !build.entries.iter().any(|entry| entry.id.value == *id) {
            let message = format!("`{contract}` is bound to `{id}`, which is no instance of this build");
            let problem = instance.place.problem(message);
            problems.0.push(match nearest(id, build.entries.iter().map(|entry| entry.id.as_str())) {
                Some(near) => problem.help(format!("did you mean `{near}`?")),
                None => problem,
            });
            continue;
        }
        // An instance without a choice is a problem of its own.
        let Some(choice) = choices.iter().find(|choice| choice.id() == id) else { continue };
        let provides = &choice.manifest().provides;
        if !provides.contains(contract) {
            let message = format!("`{contract}` is bound to `{id}`, which does not provide it");
            let problem = instance.place.problem(message);
            problems.0.push(if provides.is_empty() {
                problem.help("it provides no contract")
            } else {
                problem.help(format!("it provides {}", quoted(provides)))
            });
        }
    }
}
