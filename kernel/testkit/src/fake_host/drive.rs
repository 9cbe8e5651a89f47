//! One call from its beginning to its reply, with its limits.

use super::clock::Entered;
use super::guard::{BoxFuture, Guarded, entry};
use super::open_call::{Callee, Cause, OpenCall, Phase};
use super::shared::Shared;
use dispatch_abi::{BODY_BYTES_MAX, CallCtx, SharedBytes};
use dispatch_contracts::Fault;
use dispatch_contracts::fault::{CANCELLED, TOO_LARGE};
use dispatch_wire::result_from_abi;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::oneshot;

impl Shared {
    /// Runs one call to its end and completes its reply.
    pub(super) async fn drive(
        self: Arc<Self>,
        call: Arc<OpenCall>,
        body: SharedBytes,
        reply: oneshot::Sender<Result<SharedBytes, Fault>>,
    ) {
        let mut result = self.run(&call, body).await.and_then(|bytes| within_bounds(&call, bytes));
        let phase = std::mem::replace(&mut call.lock().phase, Phase::Over);
        if let Phase::Cancelled(cause) = phase
            && cause.is_abrupt()
        {
            result = Err(call.fault(cause));
        }
        call.changed.notify_waiters();
        call.delivered().await;
        let parent = {
            let mut calls = self.calls();
            calls.remove(&call.id);
            calls.get(&call.parent_id).cloned()
        };
        if let Some(parent) = parent {
            parent.lock().last_sign = Instant::now();
        }
        self.cancel_children(call.id);
        // The caller may have gone; then nobody wants the reply.
        let _ = reply.send(result);
    }

    async fn run(self: &Arc<Self>, call: &Arc<OpenCall>, body: SharedBytes) -> Result<SharedBytes, Fault> {
        let mut callee = Guarded::new(format!("`{}`", call.verb), self.begin(call, body)?);
        let deadline = async {
            match call.deadline {
                Some(at) => Entered::sleep(&self.timers, at.saturating_duration_since(Instant::now())).await,
                None => std::future::pending().await,
            }
        };
        let cause = tokio::select! {
            biased;
            result = &mut callee => return result,
            cause = call.cancelled() => cause,
            () = deadline => {
                self.cancel(call, Cause::Deadline);
                Cause::Deadline
            }
            () = self.silence(call) => {
                self.cancel(call, Cause::Silence);
                Cause::Silence
            }
        };
        if let Callee::Instance(slot) = &call.callee {
            slot.object.cancel(call.id);
        }
        let answered = tokio::select! {
            biased;
            result = &mut callee => Some(result),
            () = call.broken_off() => None,
            () = self.grace(call) => None,
        };
        match answered {
            Some(Err(fault)) if fault.is(CANCELLED) => Err(call.fault(cause)),
            Some(result) => result,
            None => {
                if let Err(fault) = callee.discard() {
                    self.records.log_host(1, &fault.message);
                }
                Err(call.fault(cause))
            }
        }
    }

    fn begin(
        self: &Arc<Self>,
        call: &Arc<OpenCall>,
        body: SharedBytes,
    ) -> Result<BoxFuture<Result<SharedBytes, Fault>>, Fault> {
        let slot = match &call.callee {
            Callee::Instance(slot) => slot,
            Callee::Fake(fake) => {
                return entry(&format!("the fake of `{}`", call.verb), || (fake.begin)(call, &body));
            }
        };
        let ctx = CallCtx {
            call_id: call.id,
            parent_id: call.parent_id,
            budget_ms: call.budget_ms(),
            streamed: call.stream_id != 0,
            caller: call.caller.name().into(),
            meta: call.meta.clone(),
        };
        let reply =
            entry(&format!("`{}`", call.verb), || slot.object.call(call.verb.as_str().into(), ctx, body))?;
        Ok(Box::pin(async move { result_from_abi(reply.await) }))
    }
}

fn within_bounds(call: &OpenCall, bytes: SharedBytes) -> Result<SharedBytes, Fault> {
    if bytes.len() <= BODY_BYTES_MAX {
        return Ok(bytes);
    }
    let callee = call.callee.name();
    let message = format!(
        "`{callee}` answered `{}` with {} bytes; a reply has at most {BODY_BYTES_MAX}: what is larger goes as a blob, or \
         in frames",
        call.verb,
        bytes.len()
    );
    Err(Fault::new(TOO_LARGE, message))
}
