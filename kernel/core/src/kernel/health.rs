//! How the host stands: what its instances report of themselves, and which of these the build cannot do without.
//!
//! It must not know why an instance can or cannot work.

use super::Kernel;
use super::records::{Record, RecordState};
use super::shared::Shared;
use dispatch_contracts::kernel::{HealthReply, HealthState, InstanceHealth};
use std::collections::HashSet;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

impl Kernel {
    /// Waits until an instance that the build cannot do without has failed for good; its id, and its reason.
    ///
    /// Dropping the future loses nothing.
    pub async fn failed(&self) -> (String, String) {
        loop {
            let reported = self.shared.reported.notified();
            if let Some(failed) = self.shared.failed() {
                return failed;
            }
            reported.await;
        }
    }
}

impl Shared {
    pub(super) fn health(&self) -> HealthReply {
        let records = self.records();
        let needed = needed(&records);
        let active = records.iter().filter(|record| matches!(record.state, RecordState::Active));
        let instances: Vec<InstanceHealth> = active.map(of_record).collect();
        let needed = instances.iter().filter(|instance| needed.contains(instance.id.as_str()));
        HealthReply {
            state: needed
                .map(|instance| instance.state)
                .max_by_key(|state| state.severity())
                .unwrap_or_default(),
            calls_open: self.router.calls.len() as u64,
            long_calls_open: self.router.long_calls_open.load(Ordering::Relaxed),
            instances,
        }
    }

    fn failed(&self) -> Option<(String, String)> {
        let records = self.records();
        let needed = needed(&records);
        let mut needed = records.iter().filter(|record| needed.contains(record.planned.id.as_str()));
        needed.find_map(|record| {
            let health = record.endpoint.health();
            (health.state == HealthState::Failed).then(|| (record.planned.id.clone(), health.reason))
        })
    }
}

fn of_record(record: &Record) -> InstanceHealth {
    let endpoint = &record.endpoint;
    let health = endpoint.health();
    InstanceHealth {
        id: endpoint.id.clone(),
        calls: endpoint.calls.load(Ordering::Relaxed),
        panics: endpoint.panics.load(Ordering::Relaxed),
        last_panic: endpoint.last_panic.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        overloaded: endpoint.overloaded.load(Ordering::Relaxed),
        calls_in_flight: u64::from(endpoint.calls_in_flight.load(Ordering::Relaxed)),
        state: health.state,
        reason: health.reason,
    }
}

/// Ids of what the build requires, and of what these depend on. Who is depended on stands before who depends.
fn needed(records: &[Record]) -> HashSet<&str> {
    let mut needed = HashSet::new();
    for record in records.iter().rev() {
        let id = record.planned.id.as_str();
        if record.planned.required || needed.contains(id) {
            needed.insert(id);
            needed.extend(record.planned.dependencies.iter().map(String::as_str));
        }
    }
    needed
}
