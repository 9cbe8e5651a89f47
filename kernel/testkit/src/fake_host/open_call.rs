//! One open call: who made it, who answers it, and the two phases in which it is cancelled.
//!
//! It must not know the host, nor the other calls.

use super::flow::{Flow, TestQueue};
use super::guard::BoxFuture;
use super::slot::Slot;
use dispatch_abi::SharedBytes;
use dispatch_contracts::fault::{CANCELLED, DEADLINE, UNAVAILABLE};
use dispatch_contracts::{Fault, Mode};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::Notify;

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
    pub(super) fn is_abrupt(self) -> bool {
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
    Fake(Fake),
}

impl Callee {
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Instance(slot) => &slot.id,
            Self::Fake(_) => "the test",
        }
    }
}

/// How the test answers one verb.
#[derive(Clone)]
pub(super) struct Fake {
    pub(super) mode: Mode,
    pub(super) begin: Arc<Begin>,
}

/// Takes a call and the body of its parameters.
pub(super) type Begin = dyn Fn(&Arc<OpenCall>, &[u8]) -> BoxFuture<Result<SharedBytes, Fault>> + Send + Sync;

/// What an open call holds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Held {
    /// Nothing, as a call above it holds a slot of the same callee, or a fake answers.
    Nothing,
    InFlight,
    Long,
    /// A call to whoever made the parent call.
    Back,
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

    pub(super) async fn broken_off(&self) {
        loop {
            let changed = self.changed.notified();
            if matches!(self.lock().phase, Phase::Cancelled(cause) if cause.is_abrupt()) {
                return;
            }
            changed.await;
        }
    }

    pub(super) async fn over(&self) {
        loop {
            let changed = self.changed.notified();
            if self.lock().phase == Phase::Over {
                return;
            }
            changed.await;
        }
    }

    /// First phase, of this call alone. True if it was open until now.
    pub(super) fn cancel(&self, cause: Cause) -> bool {
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

    /// What the caller is told when it ends for `cause`.
    pub(super) fn fault(&self, cause: Cause) -> Fault {
        let verb = &self.verb;
        match cause {
            Cause::Cancelled => Fault::new(CANCELLED, format!("`{verb}` was cancelled before it was done")),
            Cause::Deadline => Fault::new(DEADLINE, format!("`{verb}` did not answer within its budget")),
            Cause::Silence => {
                let (callee, silence_ms) = (self.callee.name(), self.silence_ms);
                let message = format!("`{callee}` showed no sign of life in `{verb}` for {silence_ms} ms");
                Fault::new(DEADLINE, message)
            }
            Cause::HostClosed => Fault::new(UNAVAILABLE, "the host has been closed"),
            Cause::Killed => Fault::new(UNAVAILABLE, format!("who answers `{verb}` was killed")),
        }
    }
}
