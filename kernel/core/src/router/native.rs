//! Endpoints without a library: the kernel's own services and the host binary.

use super::drive::RoutedCall;
use super::frames::cost;
use super::state::{CallState, CancelReason, Endpoint, NativeCall, Router};
use dispatch_abi::{CallOpts, EMIT_FULL, EMIT_OVER, SharedBytes};
use dispatch_contracts::Fault;
use dispatch_contracts::fault::CANCELLED;
use dispatch_contracts::kernel::ReportParams;
use dispatch_wire::shared;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedReceiver;

impl NativeCall {
    pub(super) fn new(router: Arc<Router>, state: Arc<CallState>) -> Self {
        Self { router, state }
    }

    pub(crate) fn id(&self) -> u64 {
        self.state.id
    }

    /// The verb, its target included.
    pub(crate) fn verb(&self) -> &str {
        &self.state.verb
    }

    /// The call out of which this one was made.
    pub(crate) fn parent(&self) -> Option<Self> {
        let state = Arc::clone(self.state.parent.as_ref()?);
        Some(Self { router: Arc::clone(&self.router), state })
    }

    /// Frames that were taken of its callee so far.
    pub(crate) fn n_frames_taken(&self) -> u64 {
        self.state.frames.n_taken()
    }

    /// Instance id of the caller.
    pub(crate) fn caller(&self) -> &str {
        &self.state.caller.id
    }

    /// Takes down how the caller says that it stands.
    pub(crate) fn note_health(&self, report: ReportParams) {
        self.state.caller.note_health(report);
    }

    /// Waits until the call is cancelled, and says why.
    pub(crate) async fn cancelled(&self) -> CancelReason {
        self.state.cancelled().await
    }

    /// Sleeps on the host's clock. A call that sleeps so is not silent.
    pub(crate) async fn sleep(&self, duration: Duration) {
        let _waiting = self.state.waiting();
        self.router.clock.sleep(duration).await;
    }

    /// Emits one frame, waiting for credit.
    pub(crate) async fn emit(&self, frame: SharedBytes) -> Result<(), Fault> {
        loop {
            match self.router.emit(&self.state.callee, self.state.id, frame.clone()) {
                EMIT_FULL => {
                    self.router.drained(&self.state.callee, self.state.id).await?;
                }
                EMIT_OVER => return Err(Fault::new(CANCELLED, "nobody takes frames of this call any more")),
                _ => return Ok(()),
            }
        }
    }

    /// Makes a call that belongs to this one.
    pub(crate) async fn child(
        &self,
        verb: &str,
        body: SharedBytes,
        budget_ms: u64,
    ) -> Result<SharedBytes, Fault> {
        let wishes = NativeWishes { budget_ms, meta: Vec::new() };
        self.router.native_call(&self.state.callee, Some(self), verb, body, wishes).await
    }

    /// Makes a call that belongs to this one, and listens to its frames.
    pub(crate) fn child_stream(
        &self,
        verb: &str,
        body: SharedBytes,
        budget_ms: u64,
    ) -> Result<NativeStream, Fault> {
        let wishes = NativeWishes { budget_ms, meta: Vec::new() };
        self.router.native_stream(&self.state.callee, Some(self), verb, body, wishes)
    }
}

/// What comes out of a native stream.
pub(crate) enum StreamItem {
    /// One frame; more may follow.
    Frame(SharedBytes),
    /// The reply; nothing follows.
    End(SharedBytes),
}

/// A call whose frames are read by the host. Dropping it cancels the call in two phases.
pub(crate) struct NativeStream {
    state: Arc<CallState>,
    call: RoutedCall,
    frames: UnboundedReceiver<SharedBytes>,
    answer: Option<Result<SharedBytes, Fault>>,
}

impl NativeStream {
    pub(super) fn new(call: RoutedCall, frames: UnboundedReceiver<SharedBytes>) -> Self {
        Self { state: call.state(), call, frames, answer: None }
    }

    /// The next frame, or the reply. An `Err` is the end as well.
    pub(crate) async fn next(&mut self) -> Result<StreamItem, Fault> {
        loop {
            if self.answer.is_some() {
                // The reply comes after the last frame was handed over, so what is left is in the channel.
                return match self.frames.try_recv() {
                    Ok(frame) => Ok(StreamItem::Frame(frame)),
                    Err(_) => self.answer.take().expect("checked just above").map(StreamItem::End),
                };
            }
            tokio::select! {
                biased;
                Some(frame) = self.frames.recv() => {
                    self.state.frames.grant(cost(&frame));
                    self.state.changed.notify_waiters();
                    return Ok(StreamItem::Frame(frame));
                }
                answer = &mut self.call => self.answer = Some(answer),
            }
        }
    }

    /// Cancels in its first phase: the callee may still answer with what there is.
    pub(crate) fn cancel(&self) {
        self.state.cancel_tree(CancelReason::Caller);
    }
}

impl Router {
    /// A call made by a native endpoint, without frames.
    pub(crate) async fn native_call(
        self: &Arc<Self>,
        caller: &Arc<Endpoint>,
        parent: Option<&NativeCall>,
        verb: &str,
        body: SharedBytes,
        wishes: NativeWishes,
    ) -> Result<SharedBytes, Fault> {
        let opts = CallOpts {
            parent_call_id: parent.map_or(0, NativeCall::id),
            stream_id: 0,
            budget_ms: wishes.budget_ms,
            meta: shared(wishes.meta),
        };
        self.start_call(caller, verb, opts, body, None)?.await
    }

    /// A call made by a native endpoint, with frames.
    pub(crate) fn native_stream(
        self: &Arc<Self>,
        caller: &Arc<Endpoint>,
        parent: Option<&NativeCall>,
        verb: &str,
        body: SharedBytes,
        wishes: NativeWishes,
    ) -> Result<NativeStream, Fault> {
        let stream_id = self.next_call_id.fetch_add(1, Ordering::Relaxed);
        let opts = CallOpts {
            parent_call_id: parent.map_or(0, NativeCall::id),
            stream_id,
            budget_ms: wishes.budget_ms,
            meta: shared(wishes.meta),
        };
        let (sender, frames) = tokio::sync::mpsc::unbounded_channel();
        let call = self.start_call(caller, verb, opts, body, Some(sender))?;
        Ok(NativeStream::new(call, frames))
    }
}

/// What a native caller wishes of a call.
#[derive(Debug, Clone, Default)]
pub(crate) struct NativeWishes {
    /// Total budget; 0 = the verb's own.
    pub(crate) budget_ms: u64,
    /// JSON for a root call's meta, or empty.
    pub(crate) meta: Vec<u8>,
}
