//! The frames of one call: byte credit, order, and delivery without a lock held.

use dispatch_abi::{EMIT_DROPPED, EMIT_FULL, EMIT_OVER, STREAM_CREDIT_BYTES, SharedBytes};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc::UnboundedSender;

/// Most credit a caller can pile up.
const CREDIT_BYTES_MAX: i64 = 64 * 1024 * 1024;

/// A caller that frames are handed to, a batch at a time and in order.
pub(crate) trait TakesFrames: Send + Sync {
    fn take(&self, stream_id: u64, batch: &[SharedBytes]);
}

/// Where frames go. Their amount is bounded by the credit, not by the sink.
pub(crate) enum Sink {
    /// The caller wants none.
    Dropped,
    /// An instance's `on_stream`.
    Instance { caller: Arc<dyn TakesFrames>, stream_id: u64 },
    /// A native caller's channel.
    Native(UnboundedSender<SharedBytes>),
}

pub(crate) struct Frames {
    sink: Sink,
    state: Mutex<State>,
}

struct State {
    credit: i64,
    /// Frames taken so far.
    n_taken: u64,
    queue: VecDeque<SharedBytes>,
    /// Somebody is handing frames over right now; whoever emits meanwhile only queues.
    delivering: bool,
    /// No frame is taken any more; those that wait are still handed over.
    sealed: bool,
    /// None is handed over either.
    over: bool,
}

impl Frames {
    pub(super) fn new(sink: Sink) -> Self {
        let credit = i64::try_from(STREAM_CREDIT_BYTES).expect("64 KiB");
        let state = State {
            credit,
            n_taken: 0,
            queue: VecDeque::new(),
            delivering: false,
            sealed: false,
            over: false,
        };
        Self { sink, state: Mutex::new(state) }
    }

    pub(super) fn streamed(&self) -> bool {
        !matches!(self.sink, Sink::Dropped)
    }

    pub(super) fn stream_id(&self) -> Option<u64> {
        match &self.sink {
            Sink::Instance { stream_id, .. } => Some(*stream_id),
            Sink::Dropped | Sink::Native(_) => None,
        }
    }

    /// Takes a frame, or says why not. `delivered` is called when the last queued frame has been handed over.
    pub(super) fn emit(&self, frame: SharedBytes, delivered: impl Fn()) -> i64 {
        if !self.streamed() {
            return EMIT_DROPPED;
        }
        let left = {
            let mut state = self.lock();
            if state.sealed {
                return EMIT_OVER;
            }
            if state.credit <= 0 {
                return EMIT_FULL;
            }
            state.credit -= i64::try_from(cost(&frame)).unwrap_or(i64::MAX);
            state.n_taken += 1;
            state.queue.push_back(frame);
            let left = state.credit.max(0);
            if std::mem::replace(&mut state.delivering, true) {
                return left;
            }
            left
        };
        self.deliver();
        delivered();
        left
    }

    fn deliver(&self) {
        loop {
            let batch: Vec<SharedBytes> = {
                let mut state = self.lock();
                if state.queue.is_empty() || state.over {
                    state.queue.clear();
                    state.delivering = false;
                    return;
                }
                state.queue.drain(..).collect()
            };
            match &self.sink {
                Sink::Dropped => {}
                Sink::Instance { caller, stream_id } => caller.take(*stream_id, &batch),
                Sink::Native(sender) => {
                    for frame in batch {
                        // A closed channel means the caller is gone; the call's end follows.
                        let _ = sender.send(frame);
                    }
                }
            }
        }
    }

    /// Adds credit.
    pub(super) fn grant(&self, bytes: u64) {
        let mut state = self.lock();
        let bytes = i64::try_from(bytes).unwrap_or(CREDIT_BYTES_MAX);
        state.credit = state.credit.saturating_add(bytes).min(CREDIT_BYTES_MAX);
    }

    pub(super) fn credit(&self) -> i64 {
        self.lock().credit
    }

    pub(super) fn n_taken(&self) -> u64 {
        self.lock().n_taken
    }

    pub(super) fn is_over(&self) -> bool {
        self.lock().sealed
    }

    /// The callee has answered: from now on no frame is taken. Answers whether some are still being handed over.
    pub(super) fn seal(&self) -> bool {
        let mut state = self.lock();
        state.sealed = true;
        state.delivering
    }

    pub(super) fn is_delivering(&self) -> bool {
        self.lock().delivering
    }

    /// From now on no frame is taken, and none that still waits is handed over. Answers whether some are being handed
    /// over right now.
    pub(super) fn close(&self) -> bool {
        let mut state = self.lock();
        state.sealed = true;
        state.over = true;
        state.delivering
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a frame takes of the credit, and its reader gives back: its bytes, and one for an empty one.
pub(super) fn cost(frame: &SharedBytes) -> u64 {
    frame.len().max(1) as u64
}
