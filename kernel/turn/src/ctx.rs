//! What every part of a running turn shares: its inputs, its ports, and the counted way out for frames.

use crate::commit::events::{event, notice};
use crate::limits::EMIT_GRACE_MS;
use crate::ports::{NobodyListens, TurnPorts};
use crate::progress::{Progress, Waiting};
use crate::stop::StopSignal;
use crate::timing::Timing;
use crate::tools::TurnTools;
use dispatch_contracts::event::EventBody;
use dispatch_contracts::filter;
use dispatch_contracts::kernel::WaitOn;
use dispatch_contracts::turn::BoundaryReason;
use serde::Serialize;
use std::future::Future;
use std::sync::RwLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// `turn.v1/run`'s parameters without the history.
pub(crate) struct About {
    pub(crate) conversation_id: String,
    pub(crate) turn_id: String,
    pub(crate) provider: String,
    pub(crate) model: String,
    pub(crate) system: String,
    pub(crate) cwd: String,
    pub(crate) computer: String,
    pub(crate) steps_max: u32,
    pub(crate) boundaries: Vec<BoundaryReason>,
}

/// The unchanging surroundings of one turn.
pub(crate) struct Ctx<'a> {
    pub(crate) about: &'a About,
    pub(crate) tools: &'a TurnTools,
    pub(crate) ports: &'a dyn TurnPorts,
    pub(crate) stop: &'a StopSignal,
    pub(crate) frames: &'a FramesOut<'a>,
    pub(crate) progress: &'a Progress,
    /// Names of the tools that the model sees; none until `turn.tools` was filtered.
    pub(crate) offered: RwLock<Option<Vec<String>>>,
    pub(crate) timing: Timing,
}

impl Ctx<'_> {
    pub(crate) fn now_ms(&self) -> u64 {
        self.ports.now_ms()
    }

    /// What a filter is told of the turn.
    pub(crate) fn about_now(&self) -> filter::About {
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
    pub(crate) fn since(&self, then_ms: u64) -> u64 {
        self.now_ms().saturating_sub(then_ms)
    }

    /// Notes that the turn waits, until the answer is dropped.
    pub(crate) fn wait(&self, on: WaitOn, name: &str, tool_call_id: Option<&str>) -> Waiting {
        self.progress.wait(self.now_ms(), on, name, tool_call_id)
    }
}

/// What `work` answers; once the turn is stopped it has `grace_ms` more.
pub(crate) async fn with_grace<T>(
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
pub struct FramesOut<'a> {
    ports: &'a dyn TurnPorts,
    stop: &'a StopSignal,
    progress: &'a Progress,
    n_shown: AtomicU64,
    /// Nobody takes frames any more, or did not after a stop.
    deaf: AtomicBool,
}

impl<'a> FramesOut<'a> {
    /// None shown yet.
    pub fn new(ports: &'a dyn TurnPorts, stop: &'a StopSignal, progress: &'a Progress) -> Self {
        Self { ports, stop, progress, n_shown: AtomicU64::new(0), deaf: AtomicBool::new(false) }
    }

    /// Frames taken so far.
    pub fn n_shown(&self) -> u64 {
        self.n_shown.load(Ordering::Acquire)
    }

    /// Shows one frame; waits for credit, after a stop no longer than [`EMIT_GRACE_MS`].
    pub(crate) async fn emit(&self, kind: &str, data: &impl Serialize) {
        self.show(event(kind, data)).await;
    }

    /// Shows a `notice`.
    pub(crate) async fn notice(&self, code: &str, message: &str) {
        self.show(notice(code, message)).await;
    }

    /// Shows one frame that somebody else made; the same.
    pub async fn show(&self, frame: EventBody) {
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
