//! What the kernel's own service, and every activation, works on.
//!
//! It must not know how an instance is started, or a verb answered.

use super::contributions::contribute;
use super::engines::Desk;
use super::reading::Read;
use super::records::{Record, RecordState, engines_of};
use super::trust::Trust;
use crate::router::{Endpoint, OpEntry, Router, Table};
use dispatch_contracts::kernel::{
    CONTRIBUTIONS_TOPIC, Dirs, InstanceInfo, InstanceState, InventoryReply, KERNEL_INSTANCE, PointFilters,
};
use dispatch_turn::{Progress, StopSignal, ToolPolicy};
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::Notify;

/// Contracts that the kernel answers itself.
pub(super) const CONTRACTS: &[&str] = &["kernel.v1", "turn.v1", "op.v1"];

/// All that is shared.
pub(super) struct Shared {
    pub(super) router: Arc<Router>,
    pub(super) dirs: Dirs,
    pub(super) host_id: String,
    pub(super) policy: ToolPolicy,
    pub(super) binds: BTreeMap<String, String>,
    /// Rises with each change of what instances contribute.
    pub(super) contributed: AtomicU64,
    /// In order of activation.
    pub(super) records: Mutex<Vec<Record>>,
    /// Instances that are being started, with what they contributed by `kernel.v1/update` meanwhile.
    pub(super) starting: Mutex<HashMap<String, Option<Read>>>,
    /// Turns that run now.
    pub(super) turns: Mutex<HashMap<String, RunningTurn>>,
    /// Those of them that an engine runs, by the call of `turn.v1/run`.
    pub(super) engine_turns: Mutex<HashMap<u64, Arc<Desk>>>,
    pub(super) trust: Arc<dyn Trust>,
    /// Some instance has reported how it stands.
    pub(super) reported: Notify,
    /// The kernel's own endpoint, and the ops it brings; set right after it was made.
    pub(super) own: std::sync::OnceLock<Own>,
}

/// The kernel as one party among others.
pub(super) struct Own {
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) ops: Vec<Arc<OpEntry>>,
}

/// What can be asked of, and done to, a turn that runs now.
pub(super) struct RunningTurn {
    pub(super) stop: StopSignal,
    pub(super) progress: Progress,
    /// Where the turn's own clock began.
    pub(super) began: Instant,
    pub(super) filters: Vec<PointFilters>,
}

impl Shared {
    pub(super) fn records(&self) -> MutexGuard<'_, Vec<Record>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn starting(&self) -> MutexGuard<'_, HashMap<String, Option<Read>>> {
        self.starting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters an instance that has been started or not, with what it updated meanwhile.
    pub(super) fn enter(&self, record: Record) {
        let id = record.planned.id.clone();
        let active = matches!(record.state, RecordState::Active);
        {
            let mut records = self.records();
            records.push(record);
            // Under the lock of the records, so that an update finds the one or the other.
            let updated = self.starting().remove(&id).flatten().filter(|_| active);
            if let Some(contributes) = updated
                && let Err(reason) = contribute(&mut records, &id, contributes, self.kernel_ops())
            {
                tracing::warn!(instance = %id, reason, "what it contributed while it was being started is refused");
            }
        }
        self.rebuild_table();
    }

    pub(super) fn kernel_ops(&self) -> &[Arc<OpEntry>] {
        self.own.get().map_or(&[], |own| &own.ops)
    }

    pub(super) fn inventory(&self) -> InventoryReply {
        let records = self.records();
        let mut instances: Vec<InstanceInfo> = records.iter().map(Record::info).collect();
        instances.sort_by_key(|info| info.state == InstanceState::Disabled);
        let table = self.router.table.load();
        let services =
            table.services.iter().map(|(contract, endpoint)| (contract.clone(), endpoint.id.clone()));
        InventoryReply {
            kernel: env!("CARGO_PKG_VERSION").to_owned(),
            host_id: self.host_id.clone(),
            engines: engines_of(&records),
            instances,
            services: services.collect(),
        }
    }

    /// Swaps in a table made of what is active now.
    pub(super) fn rebuild_table(&self) {
        let records = self.records();
        let mut table = Table::default();
        if let Some(own) = self.own.get() {
            for contract in CONTRACTS {
                table.services.insert((*contract).to_owned(), Arc::clone(&own.endpoint));
            }
            for op in &own.ops {
                table.ops.insert(op.spec.id.clone(), Arc::clone(op));
            }
        }
        for record in records.iter().filter(|record| matches!(record.state, RecordState::Active)) {
            let endpoint = &record.endpoint;
            for contract in record.services(&self.binds) {
                table.services.insert(contract.clone(), Arc::clone(endpoint));
            }
            for name in record.named() {
                table.named.insert(name, Arc::clone(endpoint));
            }
            for op in &record.ops {
                table.ops.insert(op.spec.id.clone(), Arc::clone(op));
            }
            for topic in &record.planned.manifest.subscribes {
                table.topics.entry(topic.clone()).or_default().push(Arc::clone(endpoint));
            }
        }
        // Under the lock: a table that was made before must not take the place of a newer one.
        self.router.table.store(Arc::new(table));
        drop(records);
        self.contributed.fetch_add(1, Ordering::AcqRel);
        self.router.publish(KERNEL_INSTANCE, CONTRIBUTIONS_TOPIC, &dispatch_wire::shared(b"{}".to_vec()));
    }
}
