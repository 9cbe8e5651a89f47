//! One watcher's queue of frames. Writers push and never wait; a watcher that falls behind reads the log instead.

use dispatch_sdk::SharedBytes;
use dispatch_sdk::contracts::event::Event;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Most frames that wait for one watcher.
pub(crate) const WATCHER_QUEUE_MAX: usize = 1024;
/// Most bytes of frames that wait for one watcher; one frame more may tip it.
pub(crate) const WATCHER_QUEUE_BYTES_MAX: usize = 1024 * 1024;

/// Most bytes of a frame that a stream takes.
const FRAME_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What stands for the data of an event that no stream takes.
#[derive(Debug, Serialize)]
struct Elided {
    elided_bytes: u64,
}

/// What the envelope of a live event takes beside its data, for a buffer that does not have to grow.
const ENVELOPE_BYTES: usize = 256;

/// A live event, of exactly one number: the envelope of [`Event`], written from its parts without a copy of any.
#[derive(Debug, Serialize)]
pub(crate) struct LiveEvent<'a> {
    pub(crate) seq: u64,
    pub(crate) conversation_id: &'a str,
    pub(crate) turn_id: &'a str,
    pub(crate) at: u64,
    #[serde(rename = "type")]
    pub(crate) kind: &'a str,
    pub(crate) data: &'a RawValue,
}

/// An encoded event; watchers share it.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) seq: u64,
    pub(crate) json: SharedBytes,
}

impl Frame {
    pub(crate) fn new(event: &Event) -> Arc<Self> {
        let encode = |event: &Event| {
            serde_json::to_vec(event).expect("a struct of strings, numbers and JSON always encodes")
        };
        let mut json = encode(event);
        if json.len() > FRAME_BYTES_MAX {
            let elided = Elided { elided_bytes: event.data.get().len() as u64 };
            let data = to_raw_value(&elided).expect("a number always encodes");
            json = encode(&Event { data, ..event.clone() });
        }
        Arc::new(Self { seq: event.seq, json: SharedBytes::from(Arc::new(json.into())) })
    }

    pub(crate) fn live(event: &LiveEvent<'_>) -> Arc<Self> {
        let mut json = Vec::with_capacity(ENVELOPE_BYTES + event.data.get().len());
        serde_json::to_writer(&mut json, event)
            .expect("a struct of strings, numbers and JSON always encodes");
        Arc::new(Self { seq: event.seq, json: SharedBytes::from(Arc::new(json.into())) })
    }
}

#[derive(Debug)]
pub(crate) struct Watcher {
    queue: Mutex<Queue>,
    changed: Notify,
}

#[derive(Debug)]
struct Queue {
    frames: VecDeque<Arc<Frame>>,
    bytes: usize,
    /// Frames are not queued: the watcher must read the log first.
    behind: bool,
}

/// What a watcher does next.
#[derive(Debug)]
pub(crate) enum Next {
    Frame(Arc<Frame>),
    /// The log must be read from the cursor on.
    Behind,
    Nothing,
}

impl Watcher {
    /// A watcher that has read nothing yet.
    pub(crate) fn new() -> Arc<Self> {
        let queue = Queue { frames: VecDeque::new(), bytes: 0, behind: true };
        Arc::new(Self { queue: Mutex::new(queue), changed: Notify::new() })
    }

    /// From now on frames are queued.
    pub(crate) fn attach(&self) {
        let mut queue = self.lock();
        queue.frames.clear();
        queue.bytes = 0;
        queue.behind = false;
    }

    /// Drops what is queued: the watcher reads the log.
    pub(crate) fn fall_behind(&self) {
        let mut queue = self.lock();
        queue.frames = VecDeque::new();
        queue.bytes = 0;
        queue.behind = true;
        drop(queue);
        self.changed.notify_one();
    }

    pub(crate) fn push(&self, frame: &Arc<Frame>) {
        let mut queue = self.lock();
        if queue.behind {
            return;
        }
        if queue.frames.len() == WATCHER_QUEUE_MAX || queue.bytes > WATCHER_QUEUE_BYTES_MAX {
            drop(queue);
            self.fall_behind();
            return;
        }
        queue.bytes += frame.json.len();
        queue.frames.push_back(Arc::clone(frame));
        drop(queue);
        self.changed.notify_one();
    }

    pub(crate) fn next(&self) -> Next {
        let mut queue = self.lock();
        match queue.frames.pop_front() {
            Some(frame) => {
                queue.bytes -= frame.json.len();
                Next::Frame(frame)
            }
            None if queue.behind => Next::Behind,
            None => Next::Nothing,
        }
    }

    /// Waits until something was pushed, or the watcher fell behind.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
