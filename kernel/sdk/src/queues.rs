//! Frames on their way from the host to whoever reads a stream of this instance.

use dispatch_abi::SharedBytes;
use dispatch_abi::abi_stable::std_types::RSlice;
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

/// The open streams of one instance.
#[derive(Default)]
pub(crate) struct Streams {
    next_id: AtomicU64,
    open: Mutex<HashMap<u64, Arc<Queue>>>,
}

impl Streams {
    pub(crate) fn open(&self) -> (u64, Arc<Queue>) {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed) + 1;
        let queue = Arc::new(Queue::default());
        self.lock().insert(id, Arc::clone(&queue));
        (id, queue)
    }

    pub(crate) fn close(&self, id: u64) {
        self.lock().remove(&id);
    }

    /// Takes frames from the host; bounded by the credit that was granted.
    pub(crate) fn deliver(&self, id: u64, frames: RSlice<'_, SharedBytes>) {
        let queue = self.lock().get(&id).cloned();
        if let Some(queue) = queue {
            queue.push(frames.as_slice());
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Arc<Queue>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Default)]
pub(crate) struct Queue {
    state: Mutex<QueueState>,
}

#[derive(Default)]
struct QueueState {
    frames: VecDeque<SharedBytes>,
    waker: Option<Waker>,
}

impl Queue {
    fn push(&self, frames: &[SharedBytes]) {
        let waker = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.frames.extend(frames.iter().cloned());
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// The next frame; without one, `waker` is woken when there is.
    pub(crate) fn pop_or_wait(&self, waker: &Waker) -> Option<SharedBytes> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let frame = state.frames.pop_front();
        if frame.is_none() {
            state.waker = Some(waker.clone());
        }
        frame
    }
}
