//! `turns.v1/stop`, and what happens to running turns when the host goes down.

use crate::ending;
use crate::orchestrator::Orchestrator;
use crate::turn_table::{EndWish, Turn};
use dispatch_sdk::contracts::conversations::{
    Append, Get, GetParams, OpenTurn, RequestStop, RequestStopParams, Seal, SealParams, Watch, WatchParams,
    check_id,
};
use dispatch_sdk::contracts::event::TURN_ENDED;
use dispatch_sdk::contracts::fault::{CONFLICT, DEADLINE, NOT_FOUND};
use dispatch_sdk::contracts::kernel::HostInfo;
use dispatch_sdk::contracts::turns::{StopParams, StopReply};
use dispatch_sdk::contracts::{Empty, turn};
use dispatch_sdk::{Call, CallStream, Fault, Host, Item};
use std::sync::Arc;
use std::time::Duration;

/// How long a stopped turn may take to write down its end.
const STOP_WAIT_MS: u64 = 25_000;
/// How long the end of a turn that another host runs is waited for, once the wish is written down.
const ELSEWHERE_WAIT_MS: u64 = 10_000;
/// How long all turns together may take for it when the host goes down.
const SHUTDOWN_WAIT_MS: u64 = 8_000;
/// Between two attempts to tell the kernel about a turn that it does not know yet.
const TELL_WAIT_MS: u64 = 50;

const STOPPED: StopReply = StopReply { stopped: true, requested: false };
const NOTHING: StopReply = StopReply { stopped: false, requested: false };
/// The wish is written down, and the turn has not ended yet.
const REQUESTED: StopReply = StopReply { stopped: false, requested: true };

impl Orchestrator {
    pub(crate) async fn stop_turn(
        self: Arc<Self>,
        call: Call,
        params: StopParams,
    ) -> Result<StopReply, Fault> {
        check_id(&params.conversation_id)?;
        let running = self.turns.of_conversation(&params.conversation_id);
        let meant = running.filter(|turn| params.turn_id.as_ref().is_none_or(|id| *id == turn.turn_id));
        match meant {
            Some(turn) => self.stop_here(turn).await,
            None => self.stop_elsewhere(&call, &params).await,
        }
    }

    /// Stops a turn that this instance runs.
    async fn stop_here(&self, turn: Arc<Turn>) -> Result<StopReply, Fault> {
        turn.wish_end(EndWish::Cancel);
        // Root calls: whoever asked may leave, the turn ends all the same.
        let host = self.host.with_meta(&turn.meta());
        let told = self.host.runtime()?.spawn({
            let turn = Arc::clone(&turn);
            async move { end(&host, &turn, STOP_WAIT_MS).await }
        });
        if !told.await.unwrap_or(false) {
            let message =
                format!("turn `{}` was told to stop and has not ended after {STOP_WAIT_MS} ms", turn.turn_id);
            return Err(Fault::new(DEADLINE, message));
        }
        match self.unwritten.get(&turn.turn_id) {
            Some(fault) => Err(fault),
            None => Ok(STOPPED),
        }
    }

    /// Stops a turn that is open and not run here: it waits for the next host, its end could not be written, or it is of
    /// another host. A turn that another process runs, or takes over, is ended by that one: the wish is written down.
    async fn stop_elsewhere(&self, call: &Call, params: &StopParams) -> Result<StopReply, Fault> {
        let host = call.host();
        let conversation_id = params.conversation_id.clone();
        let found = match host.call(Get, &GetParams { conversation_id: conversation_id.clone() }).await {
            Err(fault) if fault.is(NOT_FOUND) => return Ok(NOTHING),
            found => found?,
        };
        let meant = |open: &OpenTurn| params.turn_id.as_ref().is_none_or(|id| *id == open.turn_id);
        let Some(open) = found.open_turn.filter(meant) else { return Ok(NOTHING) };
        let own_host_id = host.call(HostInfo, &Empty {}).await?.host_id;
        let is_ours = open.host_id == own_host_id;
        if is_ours && let Some(turn) = self.turns.get(&open.turn_id) {
            return self.stop_here(turn).await;
        }
        let runs_elsewhere = !is_ours && self.runs_somewhere(&host, &own_host_id, &open).await;
        if !runs_elsewhere {
            // It is over, and how it ended is known.
            if self.unwritten.offer(&open.turn_id).await? {
                return Ok(STOPPED);
            }
            let turn = Turn::new(conversation_id.clone(), open.turn_id.clone(), self.host.now_ms());
            // The store knows a turn that was begun here, and takes its end; any other gets one from its rows.
            match host.call(Append, &ending::stopped(&turn)).await {
                Err(fault) if fault.is(CONFLICT) => {}
                appended => {
                    appended?;
                    self.unwritten.forget(&turn.turn_id);
                    return Ok(STOPPED);
                }
            }
        }
        let turn_id = open.turn_id.clone();
        let by = call.meta().actor;
        let wish =
            RequestStopParams { conversation_id: conversation_id.clone(), turn_id: turn_id.clone(), by };
        match host.call(RequestStop, &wish).await {
            Ok(_) => {}
            // It ended meanwhile.
            Err(fault) if fault.is(CONFLICT) => return Ok(NOTHING),
            Err(fault) => return Err(fault),
        }
        if !runs_elsewhere {
            let dead_host_id = Some(open.host_id);
            let seal = SealParams {
                conversation_id: conversation_id.clone(),
                turn_id: turn_id.clone(),
                dead_host_id,
            };
            if host.call(Seal, &seal).await?.sealed {
                self.unwritten.forget(&turn_id);
                return Ok(STOPPED);
            }
        }
        // Whoever has it sees the wish.
        let watch = WatchParams { conversation_id, after: found.seq_last };
        tokio::select! {
            biased;
            ended = ends(host.stream(Watch, &watch), &turn_id) => Ok(if ended { STOPPED } else { REQUESTED }),
            () = self.host.sleep(Duration::from_millis(ELSEWHERE_WAIT_MS)) => Ok(REQUESTED),
        }
    }

    /// Ends every running turn as `interrupted`, within [`SHUTDOWN_WAIT_MS`] in all; lets no new one in.
    pub(crate) async fn interrupt_all(&self) {
        let running = self.turns.close();
        for turn in &running {
            turn.wish_end(EndWish::Interrupt);
        }
        let deadline = self.host.now_ms().saturating_add(SHUTDOWN_WAIT_MS);
        // One after another is enough: the wish was given to all, and telling the kernel takes microseconds.
        for turn in &running {
            tell(&self.host, turn).await;
        }
        for turn in &running {
            let left_ms = deadline.saturating_sub(self.host.now_ms()).max(1);
            if !end(&self.host, turn, left_ms).await {
                tracing::error!(
                    turn_id = turn.turn_id,
                    "a turn did not end in time; the next start seals it"
                );
            }
        }
    }
}

/// Waits until the turn's end is shown; false when nothing is shown any more.
async fn ends(mut events: CallStream<Watch>, turn_id: &str) -> bool {
    loop {
        match events.next().await {
            Ok(Item::Frame(event)) => {
                if event.kind == TURN_ENDED && event.turn_id.as_deref() == Some(turn_id) {
                    return true;
                }
            }
            Ok(Item::End(_)) => return false,
            Err(fault) => {
                let (code, message) = (fault.code, fault.message);
                tracing::warn!(turn_id, code, message, "the end of a turn of another host cannot be watched");
                return false;
            }
        }
    }
}

/// Tells the kernel until it knows the turn or the turn is over; true once it is over.
async fn end(host: &Host, turn: &Turn, wait_ms: u64) -> bool {
    let telling = async {
        while !tell(host, turn).await {
            host.sleep(Duration::from_millis(TELL_WAIT_MS)).await;
        }
        turn.ended().await;
    };
    tokio::select! {
        biased;
        () = turn.ended() => true,
        () = telling => true,
        () = host.sleep(Duration::from_millis(wait_ms)) => false,
    }
}

/// Whether the kernel runs the turn and ends it now.
pub(crate) async fn tell(host: &Host, turn: &Turn) -> bool {
    let interrupted = *turn.end_wish.borrow() == Some(EndWish::Interrupt);
    let params = turn::StopParams { turn_id: turn.turn_id.clone(), interrupted };
    match host.call(turn::Stop, &params).await {
        Ok(reply) => reply.stopping,
        Err(fault) => {
            tracing::warn!(
                turn_id = turn.turn_id,
                code = fault.code,
                "the kernel could not be told to stop a turn"
            );
            false
        }
    }
}
