//! Finds contributed names that two instances claim, wildcards included.
//!
//! It must not know what a tool or an op is.

use std::collections::BTreeMap;

use super::instance::Choice;
use crate::problem::Problems;
use dispatch_contracts::ContributionKind;

/// The most names one problem lists; the rest is counted.
const NAMES_SHOWN_MAX: usize = 3;

/// A name as one instance claims it; `mcp__*` is the stem `mcp__` and a wildcard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Claim<'a> {
    stem: &'a str,
    /// Sorts a wildcard before the exact name of the same stem.
    exact: bool,
    choice_idx: usize,
    name: &'a str,
}

/// Tells every name claimed twice: one problem for each kind and pair of instances.
pub(super) fn find(choices: &[Choice<'_>], problems: &mut Problems) {
    for kind in ContributionKind::ALL {
        let mut by_pair: BTreeMap<(usize, usize), Vec<String>> = BTreeMap::new();
        for (held, late) in collisions(claims(choices, kind)) {
            let pair = (held.choice_idx.min(late.choice_idx), held.choice_idx.max(late.choice_idx));
            let shown = if held.name == late.name {
                format!("`{}`", late.name)
            } else {
                format!("`{}` (under `{}`)", late.name, held.name)
            };
            by_pair.entry(pair).or_default().push(shown);
        }
        for ((first, second), names) in by_pair {
            tell(choices, kind, (first, second), &names, problems);
        }
    }
}

fn claims<'a>(choices: &'a [Choice<'_>], kind: ContributionKind) -> Vec<Claim<'a>> {
    let of_choice = |(choice_idx, choice): (usize, &'a Choice<'_>)| {
        choice.contributes.of(kind).iter().map(move |name| {
            let wildcard = name.strip_suffix('*');
            Claim { stem: wildcard.unwrap_or(name), exact: wildcard.is_none(), choice_idx, name }
        })
    };
    let mut claims: Vec<Claim<'a>> = choices.iter().enumerate().flat_map(of_choice).collect();
    claims.sort_unstable();
    claims
}

/// Walks the sorted claims once: a name lies under a wildcard exactly while that wildcard's stem begins it.
fn collisions(claims: Vec<Claim<'_>>) -> Vec<(Claim<'_>, Claim<'_>)> {
    let mut wildcards: Vec<Claim<'_>> = Vec::new();
    let mut exact: Option<Claim<'_>> = None;
    let mut found = Vec::new();
    for claim in claims {
        while wildcards.last().is_some_and(|wildcard| !claim.stem.starts_with(wildcard.stem)) {
            wildcards.pop();
        }
        let same = exact.filter(|held| claim.exact && held.stem == claim.stem);
        // A name says more than a pattern of the same instance, and is no second claim.
        let says_more = |held: &Claim<'_>| claim.exact && held.choice_idx == claim.choice_idx;
        let under = wildcards.iter().rev().find(|held| !says_more(held)).copied();
        if let Some(held) = under.or(same) {
            found.push((held, claim));
        }
        if claim.exact {
            exact = same.or(Some(claim));
        } else {
            wildcards.push(claim);
        }
    }
    found
}

fn tell(
    choices: &[Choice<'_>],
    kind: ContributionKind,
    (first, second): (usize, usize),
    names: &[String],
    problems: &mut Problems,
) {
    let mut listed = names.iter().take(NAMES_SHOWN_MAX).cloned().collect::<Vec<_>>().join(", ");
    if names.len() > NAMES_SHOWN_MAX {
        listed.push_str(&format!(" and {} more", names.len() - NAMES_SHOWN_MAX));
    }
    let noun = if names.len() == 1 { kind.noun() } else { kind.key() };
    let verb = if names.len() == 1 { "is" } else { "are" };
    let (one, other) = (choices[first].id(), choices[second].id());
    let place = &choices[second].entry.id.place;
    problems.0.push(if first == second {
        let message = format!("the {noun} {listed} {verb} contributed twice by `{one}`");
        place.problem(message).help("give the instance another id, so that its names differ")
    } else {
        let message = format!("the {noun} {listed} {verb} contributed by `{one}` and by `{other}`");
        place.problem(message).help("take one of the two instances out of the build")
    });
}
