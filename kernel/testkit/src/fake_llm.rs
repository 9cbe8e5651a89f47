//! A fake LLM: a server on loopback that speaks the Chat Completions wire and answers what a script says.
//!
//! It serves `POST /v1/chat/completions` (streamed and plain) and `GET /v1/models` over HTTP/1.1.
//! It must not know the host it judges: it sees only what comes over the socket.
//!
//! # By model name
//! Without a rule that matches, the model's name answers:
//! ```text
//! local                         that it is no model, and the last user message
//! fake-text-<n>[OPTIONS]        n text deltas `w0 w1 …`
//! fake-reasoning-<n>[OPTIONS]   n deltas of `reasoning_content`, then the text `done`
//! fake-echo[OPTIONS]            the last user message
//! fake-tool                     calls the first offered tool, then answers with its result
//! fake-tool-<name>              the same with this tool; its arguments are the user's text if that is a JSON object
//! fake-status-<code>            an HTTP error
//! fake-stall                    headers, then nothing
//! OPTIONS: -delay-<ms> between deltas · -stamp (each delta is the time in unix ns) · -cut-<bytes> of body
//! ```
//!
//! # By script
//! The first rule whose conditions hold and whose `times` are not used up answers; see [`Action`] for all it can do.
//! ```json
//! {
//!   "api_key": "secret",
//!   "rules": [
//!     {"when": {"n_tool_results_in_turn": 0, "last_user_contains": "weather"}, "times": 1, "answer": [
//!       {"reasoning_content": "let me look"},
//!       {"tool_call": {"name": "read_file", "arguments": {"path": "{{last_user}}"}, "deltas": 3, "quirks": ["missing_index"]}},
//!       {"usage": {"place": "choice", "prompt_tokens": 12}}
//!     ]},
//!     {"when": {"n_tool_results_in_turn": 1}, "answer": [{"text": ["the file says ", "{{last_tool_result}}"]}, "no_done"]},
//!     {"times": 2, "answer": [{"http_error": {"status": 429, "retry_after": {"seconds": 1}}}]},
//!     {"answer": [{"text": {"n": 20, "delay_ms": 5}}, {"cut_after_bytes": 900}]}
//!   ]
//! }
//! ```
//! Templates: `{{last_user}}`, `{{last_tool_result}}`, `{{tool_result:<idx>}}`, `{{system}}`, `{{model}}`, `{{tool_names}}`, `{{n_messages}}`; a missing one becomes `<no NAME>`.
//! In a plain answer `garbage`, `bytes` and `long_line` stand before the JSON, and `event`, `chunk` and `repeat_last` of an event do nothing.
//!
//! # Strict
//! Unless the script says `"strict": false`, a request that a strict provider refuses is answered 400 with the reason, and recorded with it.

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

pub use log::{RECORDED_BYTES_MAX, REQUESTS_MAX, Recorded};
pub use script::{
    Action, Counted, DELTAS_MAX, Deltas, Feature, HttpError, LINE_BYTES_MAX, Pace, Quirk, RetryAfter, Rule,
    Script, ToolCall, Usage, UsagePlace, When,
};

use log::Counts;
use server::Server;

mod answer;
mod asked;
mod check;
mod chunk;
mod connection;
mod log;
mod model_name;
mod respond;
mod script;
mod server;
mod sink;
mod strict;
mod template;
#[cfg(test)]
mod tests;

/// A running fake LLM; dropping it closes its port and every socket before the drop returns.
///
/// It runs on a thread of its own, so it serves sync tests, async tests and paused clocks alike.
pub struct FakeLlm {
    server: Arc<Server>,
    address: SocketAddr,
    handle: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl FakeLlm {
    /// Starts a server on a free port of 127.0.0.1.
    ///
    /// # Panics
    /// When the script has a mistake (the message names rule and action) or loopback cannot be bound.
    pub fn start(script: Script) -> Self {
        match Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), script) {
            Ok(fake) => fake,
            Err(error) => panic!("cannot start the fake LLM: {error}"),
        }
    }

    /// Starts a server on an address of loopback; port 0 takes a free one.
    ///
    /// Errors: `InvalidInput` for a mistake in the script or an address others could reach; what the socket says.
    pub fn start_at(address: SocketAddr, script: Script) -> io::Result<Self> {
        let invalid = |reason| io::Error::new(io::ErrorKind::InvalidInput, reason);
        check::check(&script).map_err(invalid)?;
        if !address.ip().is_loopback() {
            let reason = format!("`{address}` is not an address of loopback, and nothing guards it");
            return Err(invalid(reason));
        }
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let server = Arc::new(Server::new(script));
        let (stop, stopped) = oneshot::channel();
        let listener = {
            let _entered = runtime.enter();
            tokio::net::TcpListener::from_std(listener)?
        };
        let serving = Arc::clone(&server);
        let thread = std::thread::Builder::new().name("fake-llm".into()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    // A dropped sender means the same as a sent stop.
                    _ = stopped => {}
                    () = server::accept(serving, listener) => {}
                }
            });
        })?;
        Ok(Self { server, address, handle, stop: Some(stop), thread: Some(thread) })
    }

    /// What a host is configured with: `http://127.0.0.1:PORT/v1`.
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The requests so far, oldest first; the latest [`REQUESTS_MAX`].
    pub fn requests(&self) -> Vec<Recorded> {
        self.server.log.requests()
    }

    /// How many requests came, those no longer kept included.
    pub fn n_requests(&self) -> usize {
        self.server.log.counts().n_requests
    }

    /// How many sockets are open, idle ones that a client keeps for later included.
    pub fn open_connections(&self) -> usize {
        self.server.log.counts().n_connections
    }

    /// How many requests are being answered, stalled ones included.
    pub fn open_answers(&self) -> usize {
        self.server.log.counts().n_answers
    }

    /// The clock of [`Recorded::at_ns`] and of stamps: unix nanoseconds, never backward.
    pub fn now_ns(&self) -> u64 {
        self.server.log.clock.now_ns()
    }

    /// Waits until `n` requests came, and returns those kept.
    ///
    /// # Panics
    /// After `timeout`, saying what came; so do the other waits.
    pub async fn await_requests(&self, n: usize, timeout: Duration) -> Vec<Recorded> {
        let enough = move |counts: &Counts| counts.n_requests >= n;
        if let Err(counts) = self.await_counts(timeout, enough).await {
            let seen = self.requests();
            let seen: Vec<String> = seen.iter().map(describe).collect();
            let came = counts.n_requests;
            panic!("waited {timeout:?} for {n} requests, {came} came: {seen:?}");
        }
        self.requests()
    }

    /// Waits until no socket is open. A client that keeps idle sockets needs a script with `keep_alive: false`, or [`FakeLlm::await_no_answers`].
    pub async fn await_no_connections(&self, timeout: Duration) {
        let none = |counts: &Counts| counts.n_connections == 0;
        if let Err(counts) = self.await_counts(timeout, none).await {
            let open = counts.n_connections;
            let busy = counts.n_answers;
            panic!("{open} sockets are still open after {timeout:?}, {busy} of them in an answer");
        }
    }

    /// Waits until no request is being answered.
    pub async fn await_no_answers(&self, timeout: Duration) {
        let none = |counts: &Counts| counts.n_answers == 0;
        if let Err(counts) = self.await_counts(timeout, none).await {
            let busy = counts.n_answers;
            panic!("{busy} answers are still under way after {timeout:?}");
        }
    }

    /// Runs one of the waits in a test that is not async.
    ///
    /// # Panics
    /// When called inside an async runtime; await there instead.
    pub fn block_on<F: Future>(&self, wait: F) -> F::Output {
        self.handle.block_on(wait)
    }

    async fn await_counts(
        &self,
        timeout: Duration,
        enough: impl FnMut(&Counts) -> bool + Send + 'static,
    ) -> Result<(), Counts> {
        let mut counts = self.server.log.watch();
        // On the server's own runtime: the caller may have none, or one whose clock is paused.
        let wait = self.handle.spawn(async move {
            let waited = tokio::time::timeout(timeout, counts.wait_for(enough)).await;
            waited.is_ok_and(|found| found.is_ok())
        });
        match wait.await {
            Ok(true) => Ok(()),
            Ok(false) | Err(_) => Err(self.server.log.counts()),
        }
    }
}

fn describe(request: &Recorded) -> String {
    let Recorded { method, path, .. } = request;
    match &request.refused {
        Some(reason) => format!("{method} {path} (refused: {reason})"),
        None => format!("{method} {path}"),
    }
}

impl Drop for FakeLlm {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the server's thread was printed there; a second one here would abort the test.
            let _ = thread.join();
        }
    }
}
