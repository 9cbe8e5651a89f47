//! What the server saw: requests, open sockets, and the clock they are stamped with.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use tokio::sync::watch;

/// Most requests kept; the oldest go first.
pub const REQUESTS_MAX: usize = 1024;
/// Most bytes of bodies kept; the oldest requests go first, the newest always stays.
pub const RECORDED_BYTES_MAX: usize = 256 * 1024 * 1024;

/// One request as the server read it.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// `POST`, `GET` …
    pub method: String,
    /// The path with its query, such as `/v1/chat/completions`.
    pub path: String,
    /// Names in lower case, in the order sent.
    pub headers: Vec<(String, String)>,
    /// The body; null when there was none or it is not JSON.
    pub body: Value,
    /// Bytes of the body as sent.
    pub body_bytes: usize,
    /// When it was read whole, on the clock of [`super::FakeLlm::now_ns`].
    pub at_ns: u64,
    /// Why the server answered it with an error of its own (strict mode, wrong key, no rule); never a scripted one.
    pub refused: Option<String>,
}

impl Recorded {
    /// The first header of this lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The request's `messages`; empty when it has none.
    pub fn messages(&self) -> &[Value] {
        let messages = self.body["messages"].as_array();
        messages.map_or(&[], |list| list.as_slice())
    }
}

/// What is counted, to be waited for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) n_requests: usize,
    pub(super) n_connections: usize,
    pub(super) n_answers: usize,
}

/// A clock in unix nanoseconds that never goes backward.
#[derive(Clone, Copy)]
pub(super) struct Clock {
    started: Instant,
    started_ns: u64,
}

impl Clock {
    #[expect(
        clippy::disallowed_methods,
        reason = "stamps are compared by another process, which knows no clock of ours"
    )]
    pub(super) fn start() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Self { started: Instant::now(), started_ns: since.map_or(0, |since| since.as_nanos() as u64) }
    }

    pub(super) fn now_ns(&self) -> u64 {
        self.started_ns + self.started.elapsed().as_nanos() as u64
    }
}

/// The requests kept and the counts.
pub(super) struct Log {
    pub(super) clock: Clock,
    kept: Mutex<Kept>,
    counts: watch::Sender<Counts>,
}

#[derive(Default)]
struct Kept {
    requests: VecDeque<Recorded>,
    body_bytes: usize,
}

impl Log {
    pub(super) fn new() -> Self {
        Self { clock: Clock::start(), kept: Mutex::default(), counts: watch::Sender::new(Counts::default()) }
    }

    pub(super) fn record(&self, request: Recorded) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.body_bytes += request.body_bytes;
        kept.requests.push_back(request);
        while kept.requests.len() > REQUESTS_MAX
            || (kept.body_bytes > RECORDED_BYTES_MAX && kept.requests.len() > 1)
        {
            let oldest = kept.requests.pop_front().expect("the list is not empty");
            kept.body_bytes -= oldest.body_bytes;
        }
        drop(kept);
        self.counts.send_modify(|counts| counts.n_requests += 1);
    }

    pub(super) fn requests(&self) -> Vec<Recorded> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.requests.iter().cloned().collect()
    }

    pub(super) fn counts(&self) -> Counts {
        *self.counts.borrow()
    }

    pub(super) fn watch(&self) -> watch::Receiver<Counts> {
        self.counts.subscribe()
    }

    /// Counts a connection until the guard is dropped.
    pub(super) fn connection(&self) -> Guard<'_> {
        Guard::new(self, |counts| &mut counts.n_connections)
    }

    /// Counts an answer until the guard is dropped.
    pub(super) fn answer(&self) -> Guard<'_> {
        Guard::new(self, |counts| &mut counts.n_answers)
    }
}

/// Holds one count up.
pub(super) struct Guard<'l> {
    log: &'l Log,
    field: fn(&mut Counts) -> &mut usize,
}

impl<'l> Guard<'l> {
    fn new(log: &'l Log, field: fn(&mut Counts) -> &mut usize) -> Self {
        log.counts.send_modify(|counts| *field(counts) += 1);
        Self { log, field }
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        let field = self.field;
        self.log.counts.send_modify(|counts| *field(counts) -= 1);
    }
}
