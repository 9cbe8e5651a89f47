//! Load, open, start, register; and back again when one of these fails.

use super::contributions::check;
use super::reading::{self, Refused};
use super::{Record, RecordState, Shared, instance_of};
use crate::crash::{self, Crash};
use crate::guard::panic_text;
use crate::library::{self, LibraryCache};
use crate::plan::PlannedInstance;
use crate::router::{Endpoint, OpEntry, Peer};
use dispatch_abi::abi_stable::std_types::RResult;
use dispatch_abi::{Bytes, SharedBytes};
use dispatch_contracts::kernel::{Contributions, OpenParams, Started};
use std::collections::HashSet;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Longest `start`.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest `stop`.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// Activates one instance; whatever happens, it stands in the records afterwards.
pub(super) async fn activate(
    shared: &Arc<Shared>,
    cache: &LibraryCache,
    crashes: &[Crash],
    planned: PlannedInstance,
) {
    let endpoint = Arc::new(endpoint_of(&planned));
    let mut record = Record {
        planned,
        endpoint,
        state: RecordState::Active,
        sha256: String::new(),
        contributes: Contributions::default(),
        left_out: Vec::new(),
        ops: Vec::new(),
    };
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
            tracing::warn!(instance = %record.planned.id, reason, "disabled");
            record.state = RecordState::Disabled(reason);
        }
    }
    shared.records().push(record);
    shared.rebuild_table();
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
    cache: &LibraryCache,
    record: &mut Record,
) -> Result<(Started, Vec<Arc<OpEntry>>), String> {
    missing_dependency(shared, &record.planned)?;
    open(shared, cache, record)?;
    let started = start(record).await;
    let checked = started.and_then(|(started, left_out)| {
        for refused in &left_out {
            tracing::warn!(instance = %record.planned.id, %refused, "a contribution cannot be read");
        }
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
        let reason = match records
            .iter()
            .find(|record| record.planned.id == *dependency)
            .map(|record| &record.state)
        {
            Some(RecordState::Active) => continue,
            Some(RecordState::Disabled(reason)) => reason.as_str(),
            None => "it was not activated before",
        };
        return Err(format!("it needs `{dependency}`, which is disabled: {reason}"));
    }
    Ok(())
}

fn open(shared: &Arc<Shared>, cache: &LibraryCache, record: &mut Record) -> Result<(), String> {
    let planned = &record.planned;
    let loaded = library::load(cache, &planned.library, &planned.manifest)?;
    crash::watch(&planned.id, &loaded.copy);
    record.sha256 = loaded.sha256;
    let params = OpenParams {
        instance: planned.id.clone(),
        config: planned.config.clone(),
        dirs: shared.dirs.clone(),
        workers: usize::try_from(planned.workers).unwrap_or(1),
        topic_queue_max: usize::try_from(planned.manifest.limits.topic_queue_max).unwrap_or(1),
    };
    let params = serde_json::to_vec(&params).expect("strings, numbers and JSON always encode");
    let host = shared.router.host_for(&record.endpoint);
    let opened = catch_unwind(AssertUnwindSafe(|| (loaded.module.open())(host, Bytes::from(params))));
    match opened {
        Ok(RResult::ROk(instance)) => {
            record.endpoint.peer.set(Peer::Extension(instance)).map_err(|_| "it was opened twice".to_owned())
        }
        Ok(RResult::RErr(fault)) => Err(format!("`open` failed: {} ({})", fault.message, fault.code)),
        Err(panic) => Err(format!("`open` panicked: {}", panic_text(panic))),
    }
}

async fn start(record: &Record) -> Result<(Started, Vec<Refused>), String> {
    let Some(instance) = instance_of(&record.endpoint) else { return Err("it is not open".to_owned()) };
    let reply = catch_unwind(AssertUnwindSafe(|| instance.start())).map_err(panic_text)?;
    let bytes: SharedBytes = bounded("start", START_TIMEOUT, reply).await?;
    reading::started(&bytes).map_err(|e| format!("what `start` answered cannot be read: {e}"))
}

async fn bounded<T>(
    what: &str,
    limit: Duration,
    reply: impl Future<Output = RResult<T, dispatch_abi::Fault>>,
) -> Result<T, String> {
    let mut reply = pin!(reply);
    let guarded = std::future::poll_fn(|cx| {
        catch_unwind(AssertUnwindSafe(|| reply.as_mut().poll(cx))).unwrap_or_else(|panic| {
            let fault =
                dispatch_contracts::Fault::new(dispatch_contracts::fault::PANICKED, panic_text(panic));
            std::task::Poll::Ready(RResult::RErr(crate::router::fault_to_abi(fault)))
        })
    });
    match tokio::time::timeout(limit, guarded).await {
        Ok(RResult::ROk(value)) => Ok(value),
        Ok(RResult::RErr(fault)) => Err(format!("`{what}` failed: {} ({})", fault.message, fault.code)),
        Err(_) => Err(format!("`{what}` did not end within {} s", limit.as_secs())),
    }
}

async fn stop_instance(shared: &Shared, record: &Record) {
    shared.router.end_calls_to(&record.endpoint).await;
    let Some(instance) = instance_of(&record.endpoint) else { return };
    let stopped = match catch_unwind(AssertUnwindSafe(|| instance.stop())) {
        Ok(reply) => bounded("stop", STOP_TIMEOUT, reply).await,
        Err(panic) => Err(panic_text(panic)),
    };
    if let Err(reason) = stopped {
        tracing::warn!(instance = %record.planned.id, reason, "did not stop in order");
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
