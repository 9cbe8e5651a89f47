//! What the kernel does for the engine of one turn while that runs: takes its commits in order, and passes its questions.
//!
//! It must not know frames beyond their number.

use super::written::Written;
use crate::kernel::ports::RouterPorts;
use crate::router::NativeCall;
use dispatch_contracts::fault::{CONFLICT, INVALID, PANICKED};
use dispatch_contracts::kernel::WaitOn;
use dispatch_contracts::tool::{Decision, Effect};
use dispatch_contracts::turn::{
    AllowScope, AskParams, AskReply, BoundaryParams, BoundaryReply, CommitParams, HistoryParams,
    HistoryReply, RunParams,
};
use dispatch_contracts::{Empty, Fault};
use dispatch_turn::{Progress, StopSignal, ToolPolicy, TurnPorts, offer};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{Mutex, watch};

/// One turn that an engine runs.
pub(crate) struct Desk {
    conversation_id: String,
    pub(super) turn_id: String,
    pub(super) engine: String,
    pub(super) ports: RouterPorts,
    pub(super) stop: StopSignal,
    pub(super) progress: Progress,
    policy: ToolPolicy,
    /// Frames of the engine that were handed on, or dropped because nobody takes them any more.
    n_handed_on: watch::Sender<u64>,
    /// Those of them that were shown.
    pub(super) n_shown: AtomicU64,
    /// Held while a commit is under way, so that they go one after another and the end comes after the last.
    pub(super) written: Mutex<Written>,
    /// It takes no commit any more, whatever the engine does.
    given_up: watch::Sender<bool>,
}

impl Desk {
    pub(super) fn new(
        params: &RunParams,
        ports: RouterPorts,
        policy: ToolPolicy,
        stop: StopSignal,
        progress: Progress,
    ) -> Self {
        Self {
            conversation_id: params.conversation_id.clone(),
            turn_id: params.turn_id.clone(),
            engine: params.engine.clone(),
            ports,
            stop,
            progress,
            policy,
            n_handed_on: watch::Sender::new(0),
            n_shown: AtomicU64::new(0),
            written: Mutex::default(),
            given_up: watch::Sender::new(false),
        }
    }

    /// One more frame was handed on; `n_shown` were shown in all.
    pub(super) fn handed_on(&self, n_shown: u64) {
        self.n_shown.store(n_shown, Ordering::Release);
        self.n_handed_on.send_modify(|n| *n = n.saturating_add(1));
    }

    /// No commit waits for a frame any more.
    pub(super) fn no_more_frames(&self) {
        self.n_handed_on.send_replace(u64::MAX);
    }

    /// Ready when the engine must end: it was stopped, or whatever it does now is lost.
    pub(super) async fn told_to_end(&self) {
        let mut given_up = self.given_up.subscribe();
        tokio::select! {
            () = self.stop.given() => {}
            // The sender is a field of `self`.
            _ = given_up.wait_for(|given_up| *given_up) => {}
        }
    }

    /// Takes no commit from now on; one under way is finished first.
    pub(super) async fn close(&self) {
        self.written.lock().await.closed = true;
        self.given_up.send_replace(true);
    }

    /// `engine_host.v1/commit`, out of the call `run` of the engine.
    pub(super) async fn commit(
        self: &Arc<Self>,
        run: &NativeCall,
        params: CommitParams,
    ) -> Result<Empty, Fault> {
        self.check_turn(&params.turn_id)?;
        let (said, n_emitted) = (params.frames_before, run.n_frames_taken());
        if said > n_emitted {
            let message = format!(
                "the commit of engine `{}` says that {said} frames come before it; it has emitted {n_emitted}",
                self.engine
            );
            return Err(Fault::new(INVALID, message));
        }
        // The sender is a field of `self`, so the channel cannot close while this is awaited.
        let _ = self.n_handed_on.subscribe().wait_for(|n| *n >= said).await;
        let desk = Arc::clone(self);
        // A task, so that neither a cancel nor a dropped handler leaves half known what was written.
        let written = tokio::spawn(async move { desk.write(params).await });
        written.await.map_err(|e| Fault::new(PANICKED, format!("the commit broke off: {e}")))?
    }

    async fn write(&self, mut params: CommitParams) -> Result<Empty, Fault> {
        let mut written = self.written.lock().await;
        // Its answer was lost.
        if params.commit_idx.is_some_and(|idx| idx < written.n_commits) {
            return Ok(Empty {});
        }
        if written.closed {
            return Err(Fault::new(CONFLICT, format!("turn `{}` is over", self.turn_id)));
        }
        let after = written.with(&params)?;
        params.frames_before = params.frames_before.min(self.n_shown.load(Ordering::Acquire));
        match offer(&self.ports, &self.stop, &self.progress, &params).await {
            Ok(()) => {
                *written = after;
                Ok(Empty {})
            }
            Err(fault) => {
                written.closed = true;
                written.fault = Some(fault.clone());
                self.given_up.send_replace(true);
                Err(fault)
            }
        }
    }

    /// `engine_host.v1/ask`: the policy first, which no engine loosens.
    pub(super) async fn ask(&self, mut params: AskParams) -> Result<AskReply, Fault> {
        self.check_turn(&params.turn_id)?;
        self.check_conversation(&mut params.conversation_id)?;
        match self.policy.decide(params.effect) {
            Decision::Allow => Ok(allowed_by_policy()),
            Decision::Deny => Ok(denied_by_policy(&params)),
            Decision::Ask => {
                let (now_ms, id) = (self.ports.now_ms(), params.tool_call_id.clone());
                let _wait = self.progress.wait(now_ms, WaitOn::Ask, &params.tool, Some(&id));
                self.ports.ask(params).await
            }
        }
    }

    /// `engine_host.v1/boundary`.
    pub(super) async fn boundary(&self, mut params: BoundaryParams) -> Result<BoundaryReply, Fault> {
        if params.turn_id.is_empty() {
            self.turn_id.clone_into(&mut params.turn_id);
        }
        self.check_turn(&params.turn_id)?;
        self.ports.boundary(params).await
    }

    /// `engine_host.v1/history`.
    pub(super) async fn history(&self, params: &HistoryParams) -> Result<HistoryReply, Fault> {
        self.check_turn(&params.turn_id)?;
        self.ports.history(params).await
    }

    /// What was allowed in one conversation answers nothing in another.
    fn check_conversation(&self, named: &mut String) -> Result<(), Fault> {
        if named.is_empty() {
            self.conversation_id.clone_into(named);
        }
        if *named == self.conversation_id {
            return Ok(());
        }
        let (engine, runs) = (&self.engine, &self.conversation_id);
        let message = format!("engine `{engine}` runs a turn of conversation `{runs}`; it named `{named}`");
        Err(Fault::new(INVALID, message))
    }

    fn check_turn(&self, turn_id: &str) -> Result<(), Fault> {
        if turn_id == self.turn_id {
            return Ok(());
        }
        let message = format!("engine `{}` runs turn `{}`; it named `{turn_id}`", self.engine, self.turn_id);
        Err(Fault::new(INVALID, message))
    }
}

fn allowed_by_policy() -> AskReply {
    AskReply::Allow { scope: AllowScope::Once, args: None, by: String::new() }
}

fn denied_by_policy(params: &AskParams) -> AskReply {
    let doing = match params.effect {
        Effect::Read => "reads",
        Effect::Write => "writes",
        Effect::Exec => "runs programs",
    };
    let reason = format!("`{}` was not run: the policy of this host denies what {doing}", params.tool);
    AskReply::Deny { reason, by: String::new() }
}
