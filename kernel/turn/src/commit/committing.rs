//! One commit, offered again while its fault may pass by itself: what was paid for is not lost to a limit of ours.
//!
//! Offers carry the number of the commit, so that one which got through although its answer did not is written once.
//! Nothing is offered for ever: when nobody takes it within [`COMMIT_TRIES_MS`], the turn ends and says so.

use crate::ctx::Ctx;
use crate::limits::{COMMIT_TRIES_MS, COMMIT_TRIES_STOPPED_MS, COMMIT_WAIT_MAX_MS, COMMIT_WAIT_MS};
use crate::ports::TurnPorts;
use crate::progress::Progress;
use crate::stop::StopSignal;
use dispatch_contracts::Fault;
use dispatch_contracts::fault::{DEADLINE, OVERLOADED, UNAVAILABLE};
use dispatch_contracts::kernel::WaitOn;
use dispatch_contracts::turn::CommitParams;
use serde_json::Value;

/// The store's code for a full disk.
const NO_SPACE: &str = "no_space";

/// Commits. Errors: the last fault, when it cannot pass by itself or the time for offers is over.
pub(crate) async fn commit(ctx: &Ctx<'_>, params: CommitParams) -> Result<(), Fault> {
    let began_at = ctx.now_ms();
    let committed = offer(ctx.ports, ctx.stop, ctx.progress, &params).await;
    ctx.timing.committed(ctx.since(began_at));
    committed
}

/// The same for whoever runs a turn otherwise than in the loop.
pub async fn offer(
    ports: &dyn TurnPorts,
    stop: &StopSignal,
    progress: &Progress,
    params: &CommitParams,
) -> Result<(), Fault> {
    let began_at = ports.now_ms();
    let _wait = progress.wait(began_at, WaitOn::Commit, "", None);
    let mut wait_ms = COMMIT_WAIT_MS;
    loop {
        let Err(fault) = ports.commit(params).await else { return Ok(()) };
        let tries_ms = if stop.is_given() { COMMIT_TRIES_STOPPED_MS } else { COMMIT_TRIES_MS };
        let left_ms = tries_ms.saturating_sub(ports.now_ms().saturating_sub(began_at));
        if !passes(&fault) || left_ms == 0 {
            return Err(fault);
        }
        let asked_ms = fault.detail.get("retry_after_ms").and_then(Value::as_u64).unwrap_or(0);
        let now_ms = asked_ms.max(wait_ms).min(COMMIT_WAIT_MAX_MS).min(left_ms);
        tracing::warn!(turn_id = params.turn_id, %fault, wait_ms = now_ms, "a commit is offered again");
        ports.sleep(now_ms).await;
        wait_ms = wait_ms.saturating_mul(2);
    }
}

/// Whether the same commit may be taken later.
fn passes(fault: &Fault) -> bool {
    [OVERLOADED, DEADLINE, UNAVAILABLE, NO_SPACE].contains(&fault.code.as_str())
}
