//! The kernel's own verbs: `kernel.v1`, `turn.v1`, `op.v1/list`.

use super::contributions::contribute;
use super::engines;
use super::ops;
use super::ports::{RouterPorts, ms_since};
use super::reading::{self, params};
use super::records::{Record, RecordState, engines_of};
use super::shared::{Own, RunningTurn, Shared};
use super::turn_tools::{renewing, tools_of};
use crate::router::{CancelReason, Endpoint, NativeCall, NativeService};
use dispatch_abi::SharedBytes;
use dispatch_contracts::engine::is_native;
use dispatch_contracts::fault::{CONFLICT, INVALID, IO, NOT_FOUND, UNKNOWN_VERB};
use dispatch_contracts::kernel::{
    DisabledInstance, Explain, ExplainParams, ExplainReply, ExtensionInfo, Extensions, ExtensionsReply,
    Health, HostAlive, HostAliveReply, HostInfo, HostInfoReply, InstanceInfo, Inventory, KERNEL_INSTANCE,
    Providers, ProvidersReply, Report, Trusted, TrustedParams, TrustedReply, Update, VerbInfo,
};
use dispatch_contracts::op::{self, ListReply, ListedOp};
use dispatch_contracts::{ContributionKind, Empty, Fault, Verb, engine, turn};
use dispatch_load::host_lock::{self, Lock};
use dispatch_turn::{Progress, StopReason, StopSignal, run_turn};
use dispatch_wire::encode;
use futures_util::future::BoxFuture;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, Weak};
use std::time::Instant;

pub(super) fn install(shared: &Arc<Shared>) {
    let service = KernelService { shared: Arc::downgrade(shared) };
    let verbs = service.verbs();
    let endpoint = Endpoint::native(KERNEL_INSTANCE, Arc::new(service), false);
    let ops = ops::of(&endpoint, &verbs);
    shared.own.set(Own { endpoint, ops }).ok();
    shared.rebuild_table();
}

struct KernelService {
    // The endpoint is held by `Shared`, so a strong reference would be a circle.
    shared: Weak<Shared>,
}

fn info<V: Verb>() -> VerbInfo {
    VerbInfo { name: V::NAME.to_owned(), mode: V::MODE, limits: V::LIMITS }
}

impl NativeService for KernelService {
    fn verbs(&self) -> Vec<VerbInfo> {
        vec![
            info::<Inventory>(),
            info::<Extensions>(),
            info::<Providers>(),
            info::<Trusted>(),
            info::<Update>(),
            info::<Report>(),
            info::<HostInfo>(),
            info::<HostAlive>(),
            info::<Health>(),
            info::<Explain>(),
            info::<turn::Run>(),
            info::<turn::Stop>(),
            info::<engine::Commit>(),
            info::<engine::Ask>(),
            info::<engine::Steering>(),
            info::<engine::Boundary>(),
            info::<engine::History>(),
            info::<op::List>(),
        ]
    }

    fn call(&self, call: NativeCall, body: SharedBytes) -> BoxFuture<'static, Result<SharedBytes, Fault>> {
        let Some(shared) = self.shared.upgrade() else {
            return Box::pin(std::future::ready(Err(Fault::new(IO, "the kernel has been stopped"))));
        };
        Box::pin(async move {
            match call.verb() {
                Inventory::NAME => encode(Inventory::NAME, &shared.inventory()),
                Providers::NAME => encode(Providers::NAME, &providers(&shared)),
                Extensions::NAME => encode(Extensions::NAME, &extensions(&shared)),
                Trusted::NAME => encode(Trusted::NAME, &trusted(&shared, params::<Trusted>(&body)?).await?),
                Health::NAME => encode(Health::NAME, &shared.health()),
                Explain::NAME => encode(Explain::NAME, &explain(&shared, &params::<Explain>(&body)?)?),
                HostInfo::NAME => encode(HostInfo::NAME, &HostInfoReply { host_id: shared.host_id.clone() }),
                HostAlive::NAME => {
                    encode(HostAlive::NAME, &host_alive(&shared, params::<HostAlive>(&body)?)?)
                }
                Report::NAME => {
                    call.note_health(params::<Report>(&body)?);
                    shared.reported.notify_waiters();
                    encode(Report::NAME, &Empty {})
                }
                Update::NAME => encode(Update::NAME, &update(&shared, &call, &body)?),
                op::List::NAME => encode(op::List::NAME, &list_ops(&shared)),
                turn::Stop::NAME => {
                    encode(turn::Stop::NAME, &stop_turn(&shared, &params::<turn::Stop>(&body)?))
                }
                turn::Run::NAME => {
                    let params = params::<turn::Run>(&body)?;
                    drop(body);
                    run(shared, call, params).await
                }
                asked if asked.starts_with(engines::HOST_CONTRACT) => {
                    engines::answer(&shared, &call, &body).await
                }
                other => Err(Fault::new(UNKNOWN_VERB, format!("the kernel does not serve `{other}`"))),
            }
        })
    }
}

fn host_alive(
    shared: &Shared,
    params: dispatch_contracts::kernel::HostAliveParams,
) -> Result<HostAliveReply, Fault> {
    let lock = host_lock::look(Path::new(&shared.dirs.state), &params.host_id)
        .map_err(|e| Fault::new(INVALID, e))?;
    Ok(HostAliveReply { alive: lock != Lock::Free, known: lock != Lock::Missing })
}

fn extensions(shared: &Shared) -> ExtensionsReply {
    let short = |info: InstanceInfo| ExtensionInfo {
        id: info.id,
        from: info.from,
        version: info.version,
        state: info.state,
        reason: info.reason,
        provides: info.provides,
    };
    ExtensionsReply { extensions: shared.inventory().instances.into_iter().map(short).collect() }
}

fn providers(shared: &Shared) -> ProvidersReply {
    let records = shared.records();
    let mut reply = ProvidersReply {
        host_id: shared.host_id.clone(),
        providers: Vec::new(),
        disabled: Vec::new(),
        engines: engines_of(&records),
    };
    for record in records.iter() {
        match &record.state {
            RecordState::Active => reply.providers.extend_from_slice(&record.contributes.providers),
            RecordState::Disabled(reason)
                if !record.planned.contributes.of(ContributionKind::Provider).is_empty() =>
            {
                reply
                    .disabled
                    .push(DisabledInstance { id: record.planned.id.clone(), reason: reason.clone() });
            }
            RecordState::Disabled(_) => {}
        }
    }
    reply
}

/// A question to files: asked on a thread that may block.
async fn trusted(shared: &Arc<Shared>, params: TrustedParams) -> Result<TrustedReply, Fault> {
    let dir = PathBuf::from(params.dir);
    if !dir.is_absolute() {
        let message = format!("`dir` must be an absolute path; found `{}`", dir.display());
        return Err(Fault::new(INVALID, message));
    }
    let (file, sha256) = (params.file, params.sha256);
    if !file.is_empty() && Path::new(&file).file_name() != Some(file.as_ref()) {
        return Err(Fault::new(INVALID, format!("`file` must be a name in `dir`; found `{file}`")));
    }
    let trust = Arc::clone(&shared.trust);
    let trusted = tokio::task::spawn_blocking(move || match file.is_empty() {
        true => trust.trusts(&dir),
        false => trust.trusts(&dir) && trust.trusts_file(&dir.join(file), &sha256),
    })
    .await;
    // A question that broke off is a no.
    Ok(TrustedReply { trusted: trusted.unwrap_or(false) })
}

/// Taken within `start` and beside it as well: then it counts when the instance is there.
fn update(shared: &Arc<Shared>, call: &NativeCall, body: &[u8]) -> Result<Empty, Fault> {
    let id = call.caller();
    let read = reading::update(body)?;
    reading::warn_of(id, &read.left_out);
    {
        let mut records = shared.records();
        let active = |record: &Record| record.planned.id == id && matches!(record.state, RecordState::Active);
        if !records.iter().any(active) {
            let mut starting = shared.starting();
            let Some(updated) = starting.get_mut(id) else {
                let message = format!("`{id}` is no active instance and cannot update what it contributes");
                return Err(Fault::new(INVALID, message));
            };
            *updated = Some(read);
            return Ok(Empty {});
        }
        contribute(&mut records, id, read, shared.kernel_ops()).map_err(|reason| {
            Fault::new(INVALID, format!("cannot update what `{id}` contributes: {reason}"))
        })?;
    }
    shared.rebuild_table();
    Ok(Empty {})
}

fn list_ops(shared: &Shared) -> ListReply {
    let table = shared.router.table.load();
    let ops = table.ops.values().map(|op| ListedOp {
        instance: op.endpoint.id.clone(),
        schema_hash: op.schema_hash.clone(),
        spec: op.spec.clone(),
    });
    ListReply { ops: ops.collect() }
}

fn stop_turn(shared: &Shared, params: &turn::StopParams) -> turn::StopReply {
    let turns = shared.turns.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(running) = turns.get(&params.turn_id) else { return turn::StopReply { stopping: false } };
    running.stop.give(if params.interrupted { StopReason::HostEnds } else { StopReason::Person });
    turn::StopReply { stopping: true }
}

impl Shared {
    /// Tells every running turn that the host goes down, and answers how many there are.
    pub(super) fn interrupt_turns(&self) -> usize {
        let turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.values().for_each(|running| running.stop.give(StopReason::HostEnds));
        turns.len()
    }
}

fn explain(shared: &Shared, params: &ExplainParams) -> Result<ExplainReply, Fault> {
    let turns = shared.turns.lock().unwrap_or_else(PoisonError::into_inner);
    let running = turns.get(&params.turn_id).ok_or_else(|| {
        let message = format!("no turn `{}` runs in this process; its log says what it did", params.turn_id);
        Fault::new(NOT_FOUND, message)
    })?;
    let running_ms = ms_since(running.began);
    Ok(ExplainReply {
        turn_id: params.turn_id.clone(),
        step_idx: running.progress.step_idx(),
        running_ms,
        stopping: running.stop.is_given(),
        waits: running.progress.waits(running_ms),
        filters: running.filters.clone(),
    })
}

async fn run(shared: Arc<Shared>, call: NativeCall, params: turn::RunParams) -> Result<SharedBytes, Fault> {
    let (stop, progress, began) = (StopSignal::new(), Progress::new(), Instant::now());
    let renewed = renewing(&shared);
    let tools = tools_of(&shared, &params.provider);
    let filters = tools.filters_by_point();
    let entry = RunningTurn { stop: stop.clone(), progress: progress.clone(), began, filters };
    let _running = Running::enter(&shared, &params.turn_id, entry)?;
    let ports = RouterPorts::new(call.clone(), params.turn_id.clone(), renewed, began);
    let mut turn = std::pin::pin!(async {
        if is_native(&params.engine) {
            return run_turn(params, tools, &ports, stop.clone(), &progress).await;
        }
        engines::run(&shared, &call, params, ports, stop.clone(), progress.clone()).await
    });
    let ended = tokio::select! {
        ended = &mut turn => ended,
        reason = call.cancelled() => {
            stop.give(match reason {
                CancelReason::Caller => StopReason::CallerGone,
                CancelReason::Ended => StopReason::HostEnds,
                CancelReason::Deadline => StopReason::Deadline,
                CancelReason::Silence => StopReason::Silence,
            });
            turn.await
        }
    };
    encode(turn::Run::NAME, &ended)
}

/// The entry of a running turn, taken out when it ends in whatever way.
struct Running {
    shared: Arc<Shared>,
    turn_id: String,
}

impl Running {
    fn enter(shared: &Arc<Shared>, turn_id: &str, entry: RunningTurn) -> Result<Self, Fault> {
        let mut turns = shared.turns.lock().unwrap_or_else(PoisonError::into_inner);
        if turns.contains_key(turn_id) {
            return Err(Fault::new(CONFLICT, format!("turn `{turn_id}` is running already")));
        }
        turns.insert(turn_id.to_owned(), entry);
        Ok(Self { shared: Arc::clone(shared), turn_id: turn_id.to_owned() })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shared.turns.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.turn_id);
    }
}

#[cfg(test)]
mod tests;
