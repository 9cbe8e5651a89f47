//! Frames on the way: what one call has taken and not handed over, and what the test has not read.

use dispatch_abi::abi_stable::std_types::RSlice;
use dispatch_abi::{STREAM_CREDIT_BYTES, SharedBytes};
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use tokio::sync::Notify;

/// The flow of one call's frames; kept in the call's state.
pub(super) struct Flow {
    pub(super) credit: i64,
    pub(super) queue: VecDeque<SharedBytes>,
    pub(super) delivering: bool,
}

impl Flow {
    pub(super) fn new() -> Self {
        Self { credit: STREAM_CREDIT_BYTES.cast_signed(), queue: VecDeque::new(), delivering: false }
    }
}

/// The frames of a stream that the test itself reads.
#[derive(Default)]
pub(super) struct TestQueue {
    frames: Mutex<VecDeque<SharedBytes>>,
    pub(super) came: Notify,
}

impl TestQueue {
    pub(super) fn push(&self, frames: RSlice<'_, SharedBytes>) {
        self.frames.lock().unwrap_or_else(PoisonError::into_inner).extend(frames.iter().cloned());
        self.came.notify_waiters();
    }

    pub(super) fn pop(&self) -> Option<SharedBytes> {
        self.frames.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}
