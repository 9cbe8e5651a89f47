//! Load, open, start, register; and back again when one of these fails.

use super::contributions::check;
use super::foreign::{Trouble, on_own_thread, wait_for};
use super::reading::{self, Refused};
use super::records::{Record, RecordState, instance_of};
use super::shared::Shared;
use crate::router::{Endpoint, OpEntry, Peer};
use dispatch_abi::abi_stable::std_types::RResult;
use dispatch_abi::{Bytes, SharedBytes};
use dispatch_compose::PlannedInstance;
use dispatch_contracts::Contributions;
use dispatch_contracts::kernel::{OpenParams, Started};
use dispatch_load::LibraryCache;
use dispatch_load::crash::{self, Crash};
use dispatch_wire::panic_text;
use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Longest `open`, its library loaded and mapped.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest `start`.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest `stop`.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// Activates one instance; whatever happens, it stands in the records afterwards.
pub(super) async fn activate(
    shared: &Arc<Shared>,
    cache: &Arc<LibraryCache>,
    crashes: &[Crash],
    planned: PlannedInstance,
) {
    let endpoint = Arc::new(endpoint_of(&planned));
    let mut unfinished = Unfinished(Some(Arc::clone(&endpoint)));
    let mut record = Record {
        planned,
        endpoint,
        state: RecordState::Active,
        sha256: String::new(),
        contributes: Contributions::default(),
        left_out: Vec::new(),
        ops: Vec::new(),
    };
    shared.starting().insert(record.planned.id.clone(), None);
    let kept_out = crash::quarantined(crashes, &record.planned.id, shared.router.clock.now_ms());
    let activated = match kept_out {
        Some(reason) => Err(reason),
        None => try_activate(shared, cache, &mut record).await,
    };
    match activated {
        Ok((started, ops)) => {
            record.contributes = started.contributes;
            record.ops = ops;
            tracing::debug!(instance = %record.planned.id, "active");
        }
        Err(reason) => {
            record.endpoint.gone.store(true, Ordering::Release);
            // What another one's failure explains, and what the boot itself fails of, is told elsewhere.
            if record.planned.required || missing_dependency(shared, &record.planned).is_err() {
                tracing::info!(instance = %record.planned.id, reason, "disabled");
            } else {
                tracing::warn!(instance = %record.planned.id, reason, "disabled");
            }
            record.state = RecordState::Disabled(reason);
        }
    }
    shared.enter(record);
    unfinished.0 = None;
}

/// A party whose activation is dropped before its end: it makes no call from then on, and answers none.
struct Unfinished(Option<Arc<Endpoint>>);

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(endpoint) = self.0.take() {
            endpoint.gone.store(true, Ordering::Release);
            endpoint.stopped.store(true, Ordering::Release);
        }
    }
}

fn endpoint_of(planned: &PlannedInstance) -> Endpoint {
    let manifest = &planned.manifest;
    let may_call: HashSet<String> = manifest.requires.iter().chain(&manifest.optional).cloned().collect();
    let identity = planned.grants.iter().any(|capability| capability.family() == "identity");
    let mut endpoint =
        Endpoint::new(&planned.id, Some(may_call), identity, manifest.limits.calls_in_flight_max);
    endpoint.manifest_hint = format!("the extension.toml of `{}`", planned.from);
    endpoint
}

async fn try_activate(
    shared: &Arc<Shared>,
    cache: &Arc<LibraryCache>,
    record: &mut Record,
) -> Result<(Started, Vec<Arc<OpEntry>>), String> {
    missing_dependency(shared, &record.planned)?;
    record.sha256 = open(shared, cache, record).await.map_err(Trouble::reason)?;
    let started = match start(shared, record).await {
        Ok(started) => Ok(started),
        // Its `stop` would wait for its `start`, or worse.
        Err(Trouble::Blocked(reason)) => {
            shared.router.end_calls_of(&record.endpoint).await;
            return Err(reason);
        }
        Err(Trouble::Failed(reason)) => Err(reason),
    };
    let checked = started.and_then(|(started, left_out)| {
        reading::warn_of(&record.planned.id, &left_out);
        let others = shared.records();
        let ops = check(record, &started, &left_out, &others, shared.kernel_ops())?;
        Ok((started, left_out, ops))
    });
    match checked {
        Ok((started, left_out, ops)) => {
            record.left_out = left_out;
            record.endpoint.set_verbs(started.verbs.clone());
            Ok((started, ops))
        }
        Err(reason) => {
            stop_instance(shared, record).await;
            Err(reason)
        }
    }
}

fn missing_dependency(shared: &Shared, planned: &PlannedInstance) -> Result<(), String> {
    let records = shared.records();
    for dependency in &planned.dependencies {
        return match records
            .iter()
            .find(|record| record.planned.id == *dependency)
            .map(|record| &record.state)
        {
            Some(RecordState::Active) => continue,
            // Why, is said once: of that one.
            Some(RecordState::Disabled(_)) => Err(format!("it needs `{dependency}`, which is disabled")),
            None => Err(format!("it needs `{dependency}`, which was not activated before")),
        };
    }
    Ok(())
}

/// Opens it, and answers the hash of its library.
async fn open(shared: &Arc<Shared>, cache: &Arc<LibraryCache>, record: &Record) -> Result<String, Trouble> {
    let planned = &record.planned;
    let params = OpenParams {
        instance: planned.id.clone(),
        config: planned.config.clone(),
        dirs: shared.dirs.clone(),
        workers: usize::try_from(planned.workers).unwrap_or(1),
        topic_queue_max: usize::try_from(planned.manifest.limits.topic_queue_max).unwrap_or(1),
    };
    let params = serde_json::to_vec(&params).expect("strings, numbers and JSON always encode");
    let host = shared.router.host_for(&record.endpoint);
    let (id, library, manifest) = (planned.id.clone(), planned.library.clone(), planned.manifest.clone());
    let cache = Arc::clone(cache);
    let opening = move || {
        let loaded = dispatch_load::load(&cache, &library, &manifest)?;
        crash::watch(&id, &loaded.copy);
        let opened = catch_unwind(AssertUnwindSafe(|| (loaded.module.open())(host, Bytes::from(params))));
        match opened {
            Ok(RResult::ROk(instance)) => Ok((instance, loaded.sha256)),
            Ok(RResult::RErr(fault)) => Err(format!("`open` failed: {} ({})", fault.message, fault.code)),
            Err(panic) => Err(format!("`open` panicked: {}", panic_text(panic))),
        }
    };
    let (instance, sha256) = on_own_thread(&planned.id, "open", OPEN_TIMEOUT, opening).await?;
    let opened = record.endpoint.peer.set(Peer::Extension(instance));
    opened.map(|()| sha256).map_err(|_| Trouble::Failed("it was opened twice".to_owned()))
}

async fn start(shared: &Shared, record: &Record) -> Result<(Started, Vec<Refused>), Trouble> {
    let (endpoint, runtime) = (Arc::clone(&record.endpoint), shared.router.runtime.clone());
    let starting = move || {
        let Some(instance) = instance_of(&endpoint) else { return Err("it is not open".to_owned()) };
        let bytes: SharedBytes = wait_for(&runtime, "start", START_TIMEOUT, instance.start())?;
        reading::started(&bytes).map_err(|e| format!("what `start` answered cannot be read: {e}"))
    };
    on_own_thread(&record.planned.id, "start", START_TIMEOUT, starting).await
}

/// No new calls; what it answers is cancelled and has its grace; then it stops, and what is left of it ends.
async fn stop_instance(shared: &Shared, record: &Record) {
    shared.router.end_calls_to(&record.endpoint).await;
    let (endpoint, runtime) = (Arc::clone(&record.endpoint), shared.router.runtime.clone());
    let stopping = move || {
        let Some(instance) = instance_of(&endpoint) else { return Ok(()) };
        wait_for(&runtime, "stop", STOP_TIMEOUT, instance.stop())
    };
    if let Err(trouble) = on_own_thread(&record.planned.id, "stop", STOP_TIMEOUT, stopping).await {
        tracing::warn!(instance = %record.planned.id, reason = trouble.reason(), "did not stop in order");
    }
    shared.router.end_calls_of(&record.endpoint).await;
}

/// Stops one instance and takes what it contributes out of the table. Its library stays mapped.
pub(super) async fn deactivate(shared: &Arc<Shared>, id: &str) {
    let Some(record) = ({
        let mut records = shared.records();
        let index = records.iter().position(|record| record.planned.id == id);
        index.map(|index| records.remove(index))
    }) else {
        return;
    };
    if matches!(record.state, RecordState::Active) {
        stop_instance(shared, &record).await;
    }
    shared.rebuild_table();
}
