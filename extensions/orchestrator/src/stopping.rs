//! `turns.v1/stop`, and what happens to running turns when the host goes down.

use crate::Orchestrator;
use crate::turn_table::{StopWish, Turn};
use dispatch_sdk::contracts::fault::DEADLINE;
use dispatch_sdk::contracts::turn;
use dispatch_sdk::contracts::turns::{StopParams, StopReply};
use dispatch_sdk::{Call, Fault, Host};
use std::sync::Arc;
use std::time::Duration;

/// How long a stopped turn may take to write down its end.
const STOP_WAIT_MS: u64 = 25_000;
/// The same when the host goes down.
const SHUTDOWN_WAIT_MS: u64 = 8_000;
/// Between two attempts to tell the kernel about a turn that it does not know yet.
const TELL_WAIT_MS: u64 = 50;

impl Orchestrator {
    pub(crate) async fn stop_turn(
        self: Arc<Self>,
        _call: Call,
        params: StopParams,
    ) -> Result<StopReply, Fault> {
        let running = self.turns.of_conversation(&params.conversation_id);
        let meant = running.filter(|turn| params.turn_id.as_ref().is_none_or(|id| *id == turn.turn_id));
        let Some(turn) = meant else { return Ok(StopReply { stopped: false }) };
        turn.wish_stop(StopWish::Cancel);
        // Root calls: whoever asked may leave, the turn ends all the same.
        let host = self.host.with_meta(&turn.meta);
        let told = self.host.runtime()?.spawn({
            let turn = Arc::clone(&turn);
            async move { end(&host, &turn, STOP_WAIT_MS).await }
        });
        if told.await.unwrap_or(false) {
            return Ok(StopReply { stopped: true });
        }
        let message =
            format!("turn `{}` was told to stop and has not ended after {STOP_WAIT_MS} ms", turn.turn_id);
        Err(Fault::new(DEADLINE, message))
    }

    /// Ends every running turn as `interrupted`, within [`SHUTDOWN_WAIT_MS`] in all; lets no new one in.
    pub(crate) async fn interrupt_all(&self) {
        let running = self.turns.close();
        for turn in &running {
            turn.wish_stop(StopWish::Interrupt);
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
async fn tell(host: &Host, turn: &Turn) -> bool {
    let interrupted = *turn.stop_wish.borrow() == Some(StopWish::Interrupt);
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
