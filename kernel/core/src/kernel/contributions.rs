//! What `start` returned against what the manifest declares, and against everybody else.

use super::reading::{Read, Refused};
use super::records::Record;
use crate::router::{Endpoint, OpEntry};
use dispatch_compose::PlannedInstance;
use dispatch_contracts::kernel::{KERNEL_INSTANCE, Started, VerbInfo};
use dispatch_contracts::op::OpSpec;
use dispatch_contracts::{ContributionKind, Contributions};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Characters of the hash that names an op's two schemas, 64 bits.
const SCHEMA_HASH_CHARS: usize = 16;

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
    let returned = contributes.names(kind);
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
            .find(|other| other.planned.id != planned.id && other.contributes.names(kind).contains(name));
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
    let mut schema_hash =
        dispatch_load::sha256(format!("{}\n{}", spec.input_schema, spec.output_schema).as_bytes());
    schema_hash.truncate(SCHEMA_HASH_CHARS);
    Ok(OpEntry::new(Arc::clone(endpoint), spec.clone(), schema_hash))
}

/// Replaces what an instance contributes, within what its manifest declares.
pub(super) fn contribute(
    records: &mut [Record],
    id: &str,
    Read { contributes, left_out }: Read,
    kernel_ops: &[Arc<OpEntry>],
) -> Result<(), String> {
    let Some(index) = records.iter().position(|record| record.planned.id == id) else {
        return Err("it is not there".to_owned());
    };
    let record = &records[index];
    let verbs = record.endpoint.verbs.load().values().cloned().collect();
    let started = Started { verbs, contributes };
    let ops = check(record, &started, &left_out, records, kernel_ops)?;
    records[index].contributes = started.contributes;
    records[index].left_out = left_out;
    records[index].ops = ops;
    Ok(())
}
