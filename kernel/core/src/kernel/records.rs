//! What is kept of each instance: what was planned, its endpoint, and what became of it.
//!
//! It must not know how it came to be what it is.

use super::reading::Refused;
use crate::router::{Endpoint, OpEntry, Peer};
use dispatch_abi::InstanceObj;
use dispatch_compose::PlannedInstance;
use dispatch_contracts::engine::{EngineSpec, NATIVE};
use dispatch_contracts::instance::INSTANCE_CONTRACT;
use dispatch_contracts::kernel::{InstanceInfo, InstanceState};
use dispatch_contracts::{ContributionKind, Contributions};
use std::collections::BTreeMap;
use std::sync::Arc;

/// One instance.
pub(super) struct Record {
    pub(super) planned: PlannedInstance,
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) state: RecordState,
    pub(super) sha256: String,
    pub(super) contributes: Contributions,
    pub(super) left_out: Vec<Refused>,
    pub(super) ops: Vec<Arc<OpEntry>>,
}

/// What became of it.
pub(super) enum RecordState {
    Active,
    Disabled(String),
}

impl Record {
    /// Single-valued contracts that this instance answers in this build.
    pub(super) fn services<'a>(
        &'a self,
        binds: &'a BTreeMap<String, String>,
    ) -> impl Iterator<Item = &'a String> {
        binds.iter().filter(|(_, id)| **id == self.planned.id).map(|(contract, _)| contract)
    }

    /// `contract#name` of everything it contributes, and of itself.
    pub(super) fn named(&self) -> Vec<String> {
        let of = |kind: ContributionKind| {
            self.contributes.names(kind).into_iter().map(move |name| format!("{}#{name}", kind.contract()))
        };
        // Of a contract that one instance answers, any other that provides it is reached by its id.
        let itself = std::iter::once(INSTANCE_CONTRACT).chain(self.planned.single_contracts());
        let itself = itself.map(|contract| format!("{contract}#{}", self.planned.id));
        // An op is routed to the verb that it names, not to whoever brings it.
        let named = ContributionKind::ALL.into_iter().filter(|kind| *kind != ContributionKind::Op);
        named.flat_map(of).chain(itself).collect()
    }

    /// The verbs of `instance.v1` that it serves, sorted.
    pub(super) fn serves(&self) -> Vec<String> {
        let verbs = self.endpoint.verbs.load();
        let of_itself = |name: &String| {
            let (contract, verb) = name.split_once('/')?;
            (contract == INSTANCE_CONTRACT).then(|| verb.to_owned())
        };
        let mut serves: Vec<String> = verbs.keys().filter_map(of_itself).collect();
        serves.sort_unstable();
        serves
    }

    pub(super) fn info(&self) -> InstanceInfo {
        let (state, reason) = match &self.state {
            RecordState::Active => (InstanceState::Active, String::new()),
            RecordState::Disabled(reason) => (InstanceState::Disabled, reason.clone()),
        };
        InstanceInfo {
            id: self.planned.id.clone(),
            from: self.planned.from.clone(),
            version: self.planned.manifest.version.to_string(),
            sha256: self.sha256.clone(),
            state,
            reason,
            provides: self.planned.manifest.provides.clone(),
            serves: self.serves(),
            contributes: self.contributes.clone(),
            left_out: self.left_out.iter().map(Refused::to_string).collect(),
        }
    }
}

/// What can run a turn: the loop first, then what active instances contribute.
pub(super) fn engines_of(records: &[Record]) -> Vec<EngineSpec> {
    let native = EngineSpec { name: NATIVE.to_owned(), ready: true, reason: String::new() };
    let active = records.iter().filter(|record| matches!(record.state, RecordState::Active));
    let theirs = active.flat_map(|record| record.contributes.engines.iter().cloned());
    std::iter::once(native).chain(theirs).collect()
}

/// An opened instance, for `start` and `stop`.
pub(super) fn instance_of(endpoint: &Endpoint) -> Option<&InstanceObj> {
    match endpoint.peer.get() {
        Some(Peer::Extension(instance)) => Some(instance),
        Some(Peer::Native(_)) | None => None,
    }
}
