//! Open calls: who called whom, and the two phases in which a call is cancelled.

use super::clock::Entered;
use super::fakes::FakeCallee;
use super::guard::{BoxFuture, Guarded, entry};
use super::limits::Held;
use super::streams::{Flow, TestQueue};
use super::{Shared, Slot};
use dispatch_abi::{BODY_BYTES_MAX, CallCtx, SharedBytes};
use dispatch_contracts::fault::{CANCELLED, DEADLINE, TOO_LARGE, UNAVAILABLE};
use dispatch_contracts::{Fault, Mode};
use dispatch_wire::result_from_abi;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;
use tokio::sync::{Notify, oneshot};

/// One call between its making and its reply.
pub(super) struct OpenCall {
    pub(super) id: u64,
    pub(super) parent_id: u64,
    pub(super) depth: u32,
    pub(super) verb: String,
    pub(super) caller: Caller,
    pub(super) callee: Callee,
    /// 0 = the caller wants no frames.
    pub(super) stream_id: u64,
    pub(super) mode: Mode,
    pub(super) meta: SharedBytes,
    pub(super) deadline: Option<Instant>,
    /// 0 = no limit.
    pub(super) silence_ms: u64,
    pub(super) held: Held,
    pub(super) state: Mutex<State>,
    pub(super) changed: Notify,
}

pub(super) struct State {
    pub(super) phase: Phase,
    pub(super) caller_gone: bool,
    pub(super) flow: Flow,
    /// When it began, emitted, made a call, or was answered one.
    pub(super) last_sign: Instant,
    pub(super) children_made: u64,
}

impl State {
    pub(super) fn new() -> Self {
        Self {
            phase: Phase::Open,
            caller_gone: false,
            flow: Flow::new(),
            last_sign: Instant::now(),
            children_made: 0,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Open,
    Cancelled(Cause),
    Over,
}

/// Why a call does not run to its own end.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    Cancelled,
    Deadline,
    Silence,
    HostClosed,
    /// The instance that answers it was killed.
    Killed,
}

impl Cause {
    /// Whether it leaves no grace: nobody is there to answer.
    fn is_abrupt(self) -> bool {
        match self {
            Self::HostClosed | Self::Killed => true,
            Self::Cancelled | Self::Deadline | Self::Silence => false,
        }
    }
}

#[derive(Clone)]
pub(super) enum Caller {
    Instance(Arc<Slot>),
    Test { name: String, frames: Arc<TestQueue> },
}

impl Caller {
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Instance(slot) => &slot.id,
            Self::Test { name, .. } => name,
        }
    }

    pub(super) fn on_stream(&self, stream_id: u64, frames: &[SharedBytes]) {
        match self {
            Self::Instance(slot) => slot.object.on_stream(stream_id, frames.into()),
            Self::Test { frames: queue, .. } => queue.push(frames.into()),
        }
    }
}

pub(super) enum Callee {
    Instance(Arc<Slot>),
    Fake(FakeCallee),
}

impl OpenCall {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether `instance` answers this call.
    pub(super) fn is_answered_by(&self, instance: &str) -> bool {
        matches!(&self.callee, Callee::Instance(slot) if slot.id == instance)
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.lock().phase != Phase::Open
    }

    /// Milliseconds left, at least 1; 0 = no deadline.
    pub(super) fn budget_ms(&self) -> u64 {
        self.deadline.map_or(0, |at| {
            let left = at.saturating_duration_since(Instant::now());
            u64::try_from(left.as_millis()).unwrap_or(u64::MAX).max(1)
        })
    }

    pub(super) async fn cancelled(&self) -> Cause {
        loop {
            let changed = self.changed.notified();
            match self.lock().phase {
                Phase::Cancelled(cause) => return cause,
                Phase::Open => {}
                Phase::Over => return Cause::Cancelled,
            }
            changed.await;
        }
    }

    async fn broken_off(&self) {
        loop {
            let changed = self.changed.notified();
            if matches!(self.lock().phase, Phase::Cancelled(cause) if cause.is_abrupt()) {
                return;
            }
            changed.await;
        }
    }

    async fn over(&self) {
        loop {
            let changed = self.changed.notified();
            if self.lock().phase == Phase::Over {
                return;
            }
            changed.await;
        }
    }

    /// First phase. True if it was open until now.
    fn cancel(&self, cause: Cause) -> bool {
        let was_open = {
            let mut state = self.lock();
            let was_open = state.phase == Phase::Open;
            if was_open {
                state.phase = Phase::Cancelled(cause);
            }
            was_open
        };
        self.changed.notify_waiters();
        was_open
    }

    fn fault(&self, cause: Cause) -> Fault {
        let verb = &self.verb;
        match cause {
            Cause::Cancelled => Fault::new(CANCELLED, format!("`{verb}` was cancelled before it was done")),
            Cause::Deadline => Fault::new(DEADLINE, format!("`{verb}` did not answer within its budget")),
            Cause::Silence => Fault::new(DEADLINE, Cause::silent(self)),
            Cause::HostClosed => Fault::new(UNAVAILABLE, "the host has been closed"),
            Cause::Killed => Fault::new(UNAVAILABLE, format!("who answers `{verb}` was killed")),
        }
    }
}

impl Shared {
    /// Cancels a call and, with it, every call made out of it.
    pub(super) fn cancel(&self, call: &OpenCall, cause: Cause) {
        if call.cancel(cause) {
            self.cancel_children(call.id);
        }
    }

    fn cancel_children(&self, parent_id: u64) {
        let children: Vec<_> =
            self.calls().values().filter(|call| call.parent_id == parent_id).cloned().collect();
        for child in children {
            self.cancel(&child, Cause::Cancelled);
        }
    }

    /// Ends every open call without grace. All are marked before any is told, so that none answers in between.
    pub(super) fn close_calls(&self) {
        let open: Vec<_> = self.calls().values().cloned().collect();
        break_off(&open, Cause::HostClosed);
    }

    /// Ends what a killed instance answered, without grace, and waits for the end of what it had asked of others: they
    /// live, and do it whole or not at all.
    pub(super) async fn end_calls_of_killed(&self, slot: &Arc<Slot>) {
        let open: Vec<_> = self.calls().values().cloned().collect();
        let is = |other: &Arc<Slot>| Arc::ptr_eq(other, slot);
        let (answered, others): (Vec<_>, Vec<_>) =
            open.into_iter().partition(|call| matches!(&call.callee, Callee::Instance(callee) if is(callee)));
        break_off(&answered, Cause::Killed);
        let asked =
            others.iter().filter(|call| matches!(&call.caller, Caller::Instance(caller) if is(caller)));
        for call in asked {
            self.cancel(call, Cause::Cancelled);
            call.over().await;
        }
        for call in &answered {
            call.over().await;
        }
    }

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
                    self.log_host(1, &fault.message);
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
                return entry(&format!("the fake of `{}`", call.verb), || fake.begin(self, call, &body));
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
    let callee = match &call.callee {
        Callee::Instance(slot) => slot.id.as_str(),
        Callee::Fake(_) => "the test",
    };
    let message = format!(
        "`{callee}` answered `{}` with {} bytes; a reply has at most {BODY_BYTES_MAX}: what is larger goes as a blob, or \
         in frames",
        call.verb,
        bytes.len()
    );
    Err(Fault::new(TOO_LARGE, message))
}

fn break_off(calls: &[Arc<OpenCall>], cause: Cause) {
    for call in calls {
        let mut state = call.lock();
        if state.phase != Phase::Over {
            state.phase = Phase::Cancelled(cause);
        }
    }
    for call in calls {
        call.changed.notify_waiters();
    }
}

/// The caller's end of a call; dropping it before the reply cancels the call.
pub(super) struct PendingReply {
    shared: Arc<Shared>,
    call: Option<Arc<OpenCall>>,
    reply: oneshot::Receiver<Result<SharedBytes, Fault>>,
}

impl PendingReply {
    pub(super) fn of(
        shared: &Arc<Shared>,
        call: Arc<OpenCall>,
        reply: oneshot::Receiver<Result<SharedBytes, Fault>>,
    ) -> Self {
        Self { shared: Arc::clone(shared), call: Some(call), reply }
    }

    pub(super) fn refused(shared: &Arc<Shared>, fault: Fault) -> Self {
        let (sender, reply) = oneshot::channel();
        // The receiver stands beside it, so this cannot fail.
        let _ = sender.send(Err(fault));
        Self { shared: Arc::clone(shared), call: None, reply }
    }

    pub(super) fn cancel(&self) {
        if let Some(call) = &self.call {
            self.shared.cancel(call, Cause::Cancelled);
        }
    }

    pub(super) fn grant(&self, bytes: u64) {
        if let Some(call) = &self.call {
            call.grant(bytes);
        }
    }
}

impl Future for PendingReply {
    type Output = Result<SharedBytes, Fault>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Poll::Ready(received) = Pin::new(&mut self.reply).poll(cx) else { return Poll::Pending };
        self.call = None;
        Poll::Ready(
            received.unwrap_or_else(|_| Err(Fault::new(UNAVAILABLE, "the host was closed before the reply"))),
        )
    }
}

impl Drop for PendingReply {
    fn drop(&mut self) {
        if let Some(call) = self.call.take() {
            call.lock().caller_gone = true;
            self.shared.cancel(&call, Cause::Cancelled);
            call.changed.notify_waiters();
        }
    }
}
