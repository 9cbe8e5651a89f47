//! The state of one open call, shared by both sides and by the router.

use super::frames::Frames;
use super::state::{CallState, CancelReason, Children, Endpoint, Parts, Slot};
use dispatch_abi::SharedBytes;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Instant;
use tokio::sync::Notify;

/// What a new call is made of.
pub(super) struct NewCall {
    pub(super) id: u64,
    pub(super) verb: String,
    pub(super) parent: Option<Arc<CallState>>,
    pub(super) caller: Arc<Endpoint>,
    pub(super) callee: Arc<Endpoint>,
    pub(super) meta: SharedBytes,
    pub(super) inline: bool,
    pub(super) slot: Slot,
    pub(super) deadline: Option<Instant>,
    pub(super) silence_ms: u64,
    pub(super) frames: Frames,
}

impl CallState {
    pub(super) fn new(new: NewCall) -> Self {
        Self {
            id: new.id,
            verb: new.verb,
            depth: new.parent.as_ref().map_or(1, |parent| parent.depth + 1),
            parent: new.parent,
            caller: new.caller,
            callee: new.callee,
            meta: new.meta,
            inline: new.inline,
            slot: new.slot,
            deadline: new.deadline,
            silence_ms: new.silence_ms,
            frames: new.frames,
            began: Instant::now(),
            last_sign_ms: AtomicU64::new(0),
            children: Children::default(),
            calls_back: AtomicU32::new(0),
            waits: AtomicU32::new(0),
            cancelled: OnceLock::new(),
            parked: OnceLock::new(),
            code: OnceLock::new(),
            changed: Notify::new(),
        }
    }

    /// Until the answer is dropped the call waits for the host, which is no silence.
    pub(super) fn waiting(self: &Arc<Self>) -> Waiting {
        self.waits.fetch_add(1, Ordering::AcqRel);
        Waiting { call: Arc::clone(self) }
    }

    /// Notes a sign of life: a frame, a nested call, or the end of a wait.
    pub(super) fn sign(&self) {
        let ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_sign_ms.store(ms, Ordering::Release);
    }

    /// When the limit of silence will have run out, as things stand; `None` = there is none now.
    pub(super) fn silent_at(&self) -> Option<Instant> {
        if self.silence_ms == 0 {
            return None;
        }
        let base = if self.waits.load(Ordering::Acquire) > 0 || self.children.any_open() {
            Instant::now()
        } else {
            self.began + std::time::Duration::from_millis(self.last_sign_ms.load(Ordering::Acquire))
        };
        Some(base + std::time::Duration::from_millis(self.silence_ms))
    }

    /// When the first of its limits runs out, or when it was cancelled; `None` = it may go on for ever.
    pub(super) fn due_at(&self) -> Option<Instant> {
        let cancelled = self.cancelled.get().map(|(_, at)| *at);
        [self.deadline, self.silent_at(), cancelled].into_iter().flatten().min()
    }

    pub(super) fn note_code(&self, code: &str) {
        self.code.set(code.to_owned()).ok();
    }

    pub(super) fn code(&self) -> Option<&str> {
        self.code.get().map(String::as_str)
    }

    pub(super) fn set_parked(&self, parked: Weak<dyn Parts>) {
        self.parked.set(parked).ok();
    }

    pub(super) fn parked(&self) -> Option<Arc<dyn Parts>> {
        self.parked.get()?.upgrade()
    }

    /// Which of its limits has run out by now.
    pub(super) fn limit_passed(&self, now: Instant) -> Option<CancelReason> {
        let passed = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if passed(self.deadline) {
            Some(CancelReason::Deadline)
        } else if passed(self.silent_at()) {
            Some(CancelReason::Silence)
        } else {
            None
        }
    }

    /// Marks it cancelled; true the first time.
    pub(super) fn mark_cancelled(&self, reason: CancelReason) -> bool {
        let first = self.cancelled.set((reason, Instant::now())).is_ok();
        self.changed.notify_waiters();
        first
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.get().is_some()
    }

    /// Why it was told to end, if it was.
    pub(super) fn cancel_reason(&self) -> Option<CancelReason> {
        self.cancelled.get().map(|(reason, _)| *reason)
    }

    /// Waits until it is cancelled, and says why.
    pub(crate) async fn cancelled(&self) -> CancelReason {
        loop {
            let changed = self.changed.notified();
            if let Some(reason) = self.cancel_reason() {
                return reason;
            }
            changed.await;
        }
    }
}

/// A wait of a call for the host.
pub(super) struct Waiting {
    call: Arc<CallState>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.call.waits.fetch_sub(1, Ordering::AcqRel);
        self.call.sign();
    }
}
