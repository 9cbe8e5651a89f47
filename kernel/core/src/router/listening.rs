//! What the host binary listens to: notifications of topics, and a record of each call. Lossy, and bounded in bytes.
//!
//! Nothing is made for nobody: without a listener a call pays one relaxed load. It must not know
//! who listens, nor the router.

use serde::Serialize;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Most bytes that wait for one listener; the oldest items go first, and are counted.
pub const LISTENER_BYTES_MAX: usize = 1024 * 1024;

/// One call that is over, or was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CallRecord {
    /// Its number; 0 = it was refused before it had one.
    pub call: u64,
    /// The call out of which it was made; 0 = none.
    pub parent: u64,
    /// Wire name with its target; cut at 256 bytes.
    pub verb: String,
    /// Instance id of the caller.
    pub caller: String,
    /// Instance id of the callee; empty when there was none.
    pub callee: String,
    /// Unix ms.
    pub began: u64,
    /// From its start to its end.
    pub ms: u64,
    /// The fault's code; empty = it was answered. A call that nobody waited for any more is `cancelled`.
    pub code: String,
}

/// A notification, as its publisher sent it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// `<instance>.<word>`.
    pub topic: String,
    /// JSON.
    pub data: Vec<u8>,
}

/// One item, and how many were lost before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard<T> {
    /// It.
    pub item: T,
    /// Items since the last one that were dropped, because too much waited.
    pub missed: u64,
}

struct Queue<T> {
    state: Mutex<State<T>>,
    came: Notify,
}

struct State<T> {
    items: VecDeque<(T, usize)>,
    bytes: usize,
    missed: u64,
}

impl<T> Queue<T> {
    fn new() -> Arc<Self> {
        let state = State { items: VecDeque::new(), bytes: 0, missed: 0 };
        Arc::new(Self { state: Mutex::new(state), came: Notify::new() })
    }

    fn push(&self, item: T, bytes: usize) {
        {
            let mut state = self.lock();
            state.items.push_back((item, bytes));
            state.bytes += bytes;
            while state.bytes > LISTENER_BYTES_MAX {
                let Some((_, bytes)) = state.items.pop_front() else { break };
                state.bytes -= bytes;
                state.missed += 1;
            }
        }
        self.came.notify_one();
    }

    fn pop(&self) -> Option<Heard<T>> {
        let mut state = self.lock();
        let (item, bytes) = state.items.pop_front()?;
        state.bytes -= bytes;
        Some(Heard { item, missed: std::mem::take(&mut state.missed) })
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who listens to what. `C` is what each chose by.
struct Listeners<C, T> {
    n: AtomicUsize,
    all: Mutex<Vec<(C, Arc<Queue<T>>)>>,
}

impl<C, T> Default for Listeners<C, T> {
    fn default() -> Self {
        Self { n: AtomicUsize::new(0), all: Mutex::default() }
    }
}

impl<C, T> Listeners<C, T> {
    fn any(&self) -> bool {
        self.n.load(Ordering::Relaxed) > 0
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(C, Arc<Queue<T>>)>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, choice: C) -> Arc<Queue<T>> {
        let queue = Queue::new();
        let mut all = self.lock();
        all.push((choice, Arc::clone(&queue)));
        self.n.store(all.len(), Ordering::Relaxed);
        queue
    }

    fn leave(&self, queue: &Arc<Queue<T>>) {
        let mut all = self.lock();
        all.retain(|(_, known)| !Arc::ptr_eq(known, queue));
        self.n.store(all.len(), Ordering::Relaxed);
    }
}

/// Listeners of one router.
#[derive(Default)]
pub(crate) struct Listening {
    calls: Listeners<(), CallRecord>,
    topics: Listeners<Vec<String>, Notification>,
}

/// Hears one kind of thing until it is dropped.
pub struct Listener<T> {
    queue: Arc<Queue<T>>,
    listening: Arc<Listening>,
    leave: fn(&Listening, &Arc<Queue<T>>),
}

impl<T> Listener<T> {
    /// The next item; dropping the future loses nothing.
    pub async fn next(&mut self) -> Heard<T> {
        loop {
            let came = self.queue.came.notified();
            if let Some(heard) = self.queue.pop() {
                return heard;
            }
            came.await;
        }
    }
}

impl<T> Drop for Listener<T> {
    fn drop(&mut self) {
        (self.leave)(&self.listening, &self.queue);
    }
}

impl Listening {
    /// Hears of each call from now on.
    pub(super) fn to_calls(self: &Arc<Self>) -> Listener<CallRecord> {
        let queue = self.calls.enter(());
        Listener {
            queue,
            listening: Arc::clone(self),
            leave: |listening, queue| listening.calls.leave(queue),
        }
    }

    /// Hears what is published on these topics from now on.
    pub(super) fn to_topics(self: &Arc<Self>, topics: Vec<String>) -> Listener<Notification> {
        let queue = self.topics.enter(topics);
        Listener {
            queue,
            listening: Arc::clone(self),
            leave: |listening, queue| listening.topics.leave(queue),
        }
    }

    /// Whether anybody listens to calls.
    pub(super) fn hears_calls(&self) -> bool {
        self.calls.any()
    }

    /// Hands a record to each that listens to calls.
    pub(super) fn tell_call(&self, record: &CallRecord) {
        let texts = [&record.verb, &record.caller, &record.callee, &record.code];
        let bytes = size_of::<CallRecord>() + texts.iter().map(|text| text.len()).sum::<usize>();
        for (_, queue) in self.calls.lock().iter() {
            queue.push(record.clone(), bytes);
        }
    }

    /// What was published, for those listeners that chose its topic.
    pub(super) fn tell_topic(&self, topic: &str, data: &[u8]) {
        if !self.topics.any() {
            return;
        }
        for (topics, queue) in self.topics.lock().iter() {
            if topics.iter().any(|chosen| chosen == topic) {
                let item = Notification { topic: topic.to_owned(), data: data.to_vec() };
                queue.push(item, size_of::<Notification>() + topic.len() + data.len());
            }
        }
    }
}
