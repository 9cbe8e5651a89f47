//! A build list and a catalog in, a plan out, or all reasons why not: a pure function.
//!
//! It must not touch the disk, nor know any extension.

mod activation;
mod binding;
mod collision;
mod instance;

use semver::Version;

use crate::build_list::BuildList;
use crate::catalog::Catalog;
use crate::plan::{Plan, PlannedInstance};
use crate::problem::Problems;

use activation::Activation;
use binding::Bindings;
use instance::Choice;

/// Resolves a build against the extensions that were found.
///
/// The instances come in activation order: each after what it requires, otherwise as the build lists them.
/// Errors: every reason at once, each at the line of the build list that can mend it.
pub fn resolve(build: &BuildList, catalog: &Catalog, kernel_version: &Version) -> Result<Plan, Problems> {
    let mut problems = Problems::default();
    let choices: Vec<Choice<'_>> = build
        .entries
        .iter()
        .filter_map(|entry| Choice::of(entry, catalog, kernel_version, &mut problems))
        .collect();
    collision::find(&choices, &mut problems);
    let bindings = Bindings::of(build, &choices, &mut problems);
    bindings.check_requirements(build, &choices, catalog, &mut problems);
    let activation = Activation::of(&choices, &bindings, &mut problems);
    problems.none_or(|| plan(build, &choices, &bindings, &activation))
}

fn plan(build: &BuildList, choices: &[Choice<'_>], bindings: &Bindings, activation: &Activation) -> Plan {
    let ids = |answerers: &[usize]| -> Vec<String> {
        let in_order = activation.order.iter().filter(|idx| answerers.contains(idx));
        in_order.map(|idx| choices[*idx].id().to_owned()).collect()
    };
    let instance = |idx: &usize| -> PlannedInstance {
        let edges = &activation.edges[*idx];
        choices[*idx].planned(ids(&edges.required), ids(&edges.optional))
    };
    Plan {
        instances: activation.order.iter().map(instance).collect(),
        binds: bindings.named(choices),
        policy: build.policy,
    }
}
