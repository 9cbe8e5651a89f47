//! What every part of a running turn shares: its inputs, its ports, and the counted way out for frames.

use super::events::{event, notice};
use super::limits::EMIT_GRACE_MS;
use super::ports::{NobodyListens, TurnPorts};
use super::progress::{Progress, Waiting};
use super::stop::StopSignal;
use super::tools::TurnTools;
use dispatch_contracts::event::EventBody;
use dispatch_contracts::filter;
use dispatch_contracts::kernel::WaitOn;
use serde::Serialize;
use std::future::Future;
use std::sync::RwLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// `turn.v1/run`'s parameters without the history.
pub(super) struct About {
    pub(super) conversation_id: String,
    pub(super) turn_id: String,
    pub(super) provider: String,
    pub(super) model: String,
    pub(super) system: String,
    pub(super) cwd: String,
    pub(super) computer: String,
    pub(super) steps_max: u32,
}

/// The unchanging surroundings of one turn.
pub(super) struct Ctx<'a> {
    pub(super) about: &'a About,
    pub(super) tools: &'a TurnTools,
    pub(super) ports: &'a dyn TurnPorts,
    pub(super) stop: &'a StopSignal,
    pub(super) frames: &'a Frames<'a>,
    pub(super) progress: &'a Progress,
    /// Names of the tools that the model sees; none until `turn.tools` was filtered.
    pub(super) offered: RwLock<Option<Vec<String>>>,
}

impl Ctx<'_> {
    pub(super) fn now_ms(&self) -> u64 {
        self.ports.now_ms()
    }

    /// What a filter is told of the turn.
    pub(super) fn about_now(&self) -> filter::About {
        let about = self.about;
        filter::About {
            conversation_id: about.conversation_id.clone(),
            turn_id: about.turn_id.clone(),
            step_id: format!("{}#{}", about.turn_id, self.progress.step_idx().unwrap_or(0)),
            provider: about.provider.clone(),
            model: about.model.clone(),
            cwd: about.cwd.clone(),
            computer: about.computer.clone(),
        }
    }

    /// Ms since `then`.
    pub(super) fn since(&self, then_ms: u64) -> u64 {
        self.now_ms().saturating_sub(then_ms)
    }

    /// Notes that the turn waits, until the answer is dropped.
    pub(super) fn wait(&self, on: WaitOn, name: &str, tool_call_id: Option<&str>) -> Waiting {
        self.progress.wait(self.now_ms(), on, name, tool_call_id)
    }
}

/// What `work` answers; once the turn is stopped it has `grace_ms` more.
pub(super) async fn with_grace<T>(
    ports: &dyn TurnPorts,
    stop: &StopSignal,
    grace_ms: u64,
    work: impl Future<Output = T>,
) -> Option<T> {
    let grace_over = async {
        stop.given().await;
        ports.sleep(grace_ms).await;
    };
    tokio::select! {
        biased;
        answer = work => Some(answer),
        () = grace_over => None,
    }
}

/// The frames of `turn.v1/run`: counted, because each commit says how many came before it.
pub(super) struct Frames<'a> {
    ports: &'a dyn TurnPorts,
    stop: &'a StopSignal,
    progress: &'a Progress,
    n_shown: AtomicU64,
    /// Nobody takes frames any more, or did not after a stop.
    deaf: AtomicBool,
}

impl<'a> Frames<'a> {
    pub(super) fn new(ports: &'a dyn TurnPorts, stop: &'a StopSignal, progress: &'a Progress) -> Self {
        Self { ports, stop, progress, n_shown: AtomicU64::new(0), deaf: AtomicBool::new(false) }
    }

    /// Frames taken so far.
    pub(super) fn n_shown(&self) -> u64 {
        self.n_shown.load(Ordering::Acquire)
    }

    /// Shows one frame; waits for credit, after a stop no longer than [`EMIT_GRACE_MS`].
    pub(super) async fn emit(&self, kind: &str, data: &impl Serialize) {
        self.send(event(kind, data)).await;
    }

    /// Shows a `notice`.
    pub(super) async fn notice(&self, code: &str, message: &str) {
        self.send(notice(code, message)).await;
    }

    async fn send(&self, frame: EventBody) {
        if self.deaf.load(Ordering::Acquire) {
            return;
        }
        let _wait = self.progress.wait(self.ports.now_ms(), WaitOn::Reader, "", None);
        match with_grace(self.ports, self.stop, EMIT_GRACE_MS, self.ports.emit(frame)).await {
            Some(Ok(())) => {
                self.n_shown.fetch_add(1, Ordering::AcqRel);
            }
            Some(Err(NobodyListens)) => {
                tracing::debug!("nobody takes the frames of this turn any more");
                self.deaf.store(true, Ordering::Release);
            }
            None => {
                tracing::debug!("the frames of this turn found no credit after it was stopped");
                self.deaf.store(true, Ordering::Release);
            }
        }
    }
}
