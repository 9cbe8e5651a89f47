//! Call streams: frames against credit, in order, with no lock held while the caller takes them.

use super::open_call::{OpenCall, Phase};
use dispatch_abi::{EMIT_DROPPED, EMIT_FULL, EMIT_OVER, FRAME_BYTES_MAX, SharedBytes};
use dispatch_contracts::fault::CANCELLED;
use dispatch_contracts::{Fault, Mode};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

/// Why a frame was refused for good; it goes to the log.
pub(super) type Refusal = Option<String>;

impl OpenCall {
    /// Takes a frame whole while there is credit.
    pub(super) fn emit(&self, frame: SharedBytes) -> (i64, Refusal) {
        if self.mode == Mode::Inline {
            let verb = &self.verb;
            return (EMIT_OVER, Some(format!("`{verb}` is inline and may not emit; serve it spawned")));
        }
        if frame.len() > FRAME_BYTES_MAX {
            let (verb, len) = (&self.verb, frame.len());
            return (
                EMIT_OVER,
                Some(format!("a frame of `{verb}` has {len} bytes, at most {FRAME_BYTES_MAX} go")),
            );
        }
        let left = {
            let mut state = self.lock();
            state.last_sign = Instant::now();
            if state.phase == Phase::Over || state.caller_gone {
                return (EMIT_OVER, None);
            }
            if self.stream_id == 0 {
                return (EMIT_DROPPED, None);
            }
            if state.flow.credit <= 0 {
                return (EMIT_FULL, None);
            }
            state.flow.credit -= i64::try_from(frame.len()).expect("bounded just above");
            state.flow.queue.push_back(frame);
            let left = state.flow.credit.max(0);
            if std::mem::replace(&mut state.flow.delivering, true) {
                return (left, None);
            }
            left
        };
        self.deliver();
        (left, None)
    }

    /// Hands over what is queued until nothing is; exactly one thread at a time is here.
    fn deliver(&self) {
        loop {
            let frames: Vec<SharedBytes> = {
                let mut state = self.lock();
                if state.flow.queue.is_empty() {
                    state.flow.delivering = false;
                    break;
                }
                state.flow.queue.drain(..).collect()
            };
            let sent = catch_unwind(AssertUnwindSafe(|| self.caller.on_stream(self.stream_id, &frames)));
            if sent.is_err() {
                self.lock().caller_gone = true;
            }
        }
        self.changed.notify_waiters();
    }

    pub(super) fn grant(&self, bytes: u64) {
        {
            let mut state = self.lock();
            let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
            state.flow.credit = state.flow.credit.saturating_add(bytes);
        }
        self.changed.notify_waiters();
    }

    /// The credit once there is some, or `cancelled` as soon as nobody takes frames any more.
    pub(super) async fn drained(&self) -> Result<u64, Fault> {
        loop {
            let changed = self.changed.notified();
            {
                let state = self.lock();
                if state.phase != Phase::Open || state.caller_gone || self.mode == Mode::Inline {
                    return Err(Fault::new(
                        CANCELLED,
                        format!("nobody takes frames of `{}` any more", self.verb),
                    ));
                }
                if self.stream_id == 0 {
                    return Ok(u64::MAX >> 1);
                }
                if state.flow.credit > 0 {
                    return Ok(state.flow.credit.cast_unsigned());
                }
            }
            changed.await;
        }
    }

    /// Waits until the caller has every frame that was taken.
    pub(super) async fn delivered(&self) {
        loop {
            let changed = self.changed.notified();
            if !self.lock().flow.delivering {
                return;
            }
            changed.await;
        }
    }
}
