//! What `start` returned against what the manifest declares, and against everybody else.

use super::Record;
use super::reading::Refused;
use crate::manifest::ContributionKind;
use crate::plan::PlannedInstance;
use crate::router::{Endpoint, OpEntry};
use dispatch_contracts::engine::{NATIVE, is_native};
use dispatch_contracts::kernel::{Contributions, KERNEL_INSTANCE, Started, VerbInfo};
use dispatch_contracts::op::OpSpec;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Longest tool name; providers refuse longer ones.
const TOOL_NAME_BYTES_MAX: usize = 64;

/// Checks everything that an instance contributes and makes its ops. Every problem at once, one line. What was
/// left out is not missed.
pub(super) fn check(
    record: &Record,
    started: &Started,
    left_out: &[Refused],
    others: &[Record],
    kernel_ops: &[Arc<OpEntry>],
) -> Result<Vec<Arc<OpEntry>>, String> {
    let mut problems = Vec::new();
    for spec in &started.contributes.ops {
        if kernel_ops.iter().any(|op| op.spec.id == spec.id) {
            problems.push(format!("the op `{}` is contributed by `{KERNEL_INSTANCE}` already", spec.id));
        }
    }
    for kind in ContributionKind::ALL {
        check_names(kind, &record.planned, (&started.contributes, left_out), others, &mut problems);
    }
    if started.contributes.engines.iter().any(|engine| is_native(&engine.name)) {
        problems.push(format!(
            "an engine cannot be called `{NATIVE}`, which is the kernel's own loop, nor nothing"
        ));
    }
    for tool in &started.contributes.tools {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if tool.name.is_empty() || tool.name.len() > TOOL_NAME_BYTES_MAX || !tool.name.chars().all(plain) {
            problems.push(format!(
                "tool name `{}` is not of [a-zA-Z0-9_-]{{1,{TOOL_NAME_BYTES_MAX}}}",
                tool.name
            ));
        }
    }
    let mut ops = Vec::new();
    for spec in &started.contributes.ops {
        match entry_of(spec, &started.verbs, &record.endpoint) {
            Ok(op) => ops.push(Arc::new(op)),
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() { Ok(ops) } else { Err(problems.join("; ")) }
}

fn check_names(
    kind: ContributionKind,
    planned: &PlannedInstance,
    (contributes, left_out): (&Contributions, &[Refused]),
    others: &[Record],
    problems: &mut Vec<String>,
) {
    let noun = kind.noun();
    let returned = names(contributes, kind);
    let mut seen = BTreeSet::new();
    for name in &returned {
        if !seen.insert(name) {
            problems.push(format!("`start` returned the {noun} `{name}` twice"));
        }
        if !planned.contributes.declares(kind, name) {
            problems.push(format!(
                "`start` returned the {noun} `{name}`, which the manifest does not declare; add it to `contributes.{}`",
                kind.key()
            ));
        }
        let holder = others
            .iter()
            .find(|other| other.planned.id != planned.id && names(&other.contributes, kind).contains(name));
        if let Some(holder) = holder {
            problems.push(format!("the {noun} `{name}` is contributed by `{}` already", holder.planned.id));
        }
    }
    for declared in planned.contributes.of(kind) {
        let left_out = left_out.iter().any(|one| one.kind == kind && one.name == *declared);
        if !declared.ends_with('*') && !left_out && !returned.iter().any(|name| name == declared) {
            problems
                .push(format!("the manifest declares the {noun} `{declared}`, which `start` did not return"));
        }
    }
}

fn names(contributes: &Contributions, kind: ContributionKind) -> Vec<&str> {
    match kind {
        ContributionKind::Tool => contributes.tools.iter().map(|tool| tool.name.as_str()).collect(),
        ContributionKind::Provider => contributes.providers.iter().map(|p| p.name.as_str()).collect(),
        ContributionKind::Engine => contributes.engines.iter().map(|engine| engine.name.as_str()).collect(),
        ContributionKind::Op => contributes.ops.iter().map(|op| op.id.as_str()).collect(),
        ContributionKind::Filter => contributes.filters.iter().map(|filter| filter.name.as_str()).collect(),
        ContributionKind::Command => {
            contributes.commands.iter().map(|command| command.name.as_str()).collect()
        }
    }
}

/// Makes an op of `endpoint`, which serves `verbs`.
pub(super) fn entry_of(
    spec: &OpSpec,
    verbs: &[VerbInfo],
    endpoint: &Arc<Endpoint>,
) -> Result<OpEntry, String> {
    let id = &spec.id;
    if !verbs.iter().any(|verb| verb.name == spec.verb) {
        return Err(format!(
            "the op `{id}` names the verb `{}`, which the instance does not serve",
            spec.verb
        ));
    }
    let hash = Sha256::digest(format!("{}\n{}", spec.input_schema, spec.output_schema));
    let schema_hash = crate::library::hex(&hash[..8]);
    Ok(OpEntry::new(Arc::clone(endpoint), spec.clone(), schema_hash))
}
