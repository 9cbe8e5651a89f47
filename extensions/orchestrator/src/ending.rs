//! That an accepted turn gets exactly one terminal state, also when what ran it did not write one.

use crate::running::Outcome;
use crate::starting::event;
use crate::turn_table::{StopWish, Turn};
use dispatch_sdk::contracts::conversations::{Append, AppendParams};
use dispatch_sdk::contracts::event::{ERROR, EventBody, TURN_ENDED, TurnEnded, TurnError, TurnStatus};
use dispatch_sdk::contracts::fault::{BROKEN, CONFLICT, NOT_FOUND};
use dispatch_sdk::contracts::provider::Usage;
use dispatch_sdk::{Fault, Host};
use std::time::Duration;

/// How often the end is offered to the store; with the waits below about two minutes.
pub(crate) const END_ATTEMPTS_MAX: u32 = 12;
/// Before the second offer; doubled for each further one.
const END_WAIT_MS: u64 = 100;
/// Longest wait between two offers.
const END_WAIT_MAX_MS: u64 = 30_000;

/// Writes the turn's end unless it is in the log already. Appends under way finish first; later ones are refused.
pub(crate) async fn make_sure(host: &Host, turn: &Turn, outcome: Outcome) {
    let mut written = turn.written.lock().await;
    if written.closed {
        return;
    }
    written.closed = true;
    let duration_ms = host.now_ms().saturating_sub(turn.started_at);
    let append = AppendParams {
        conversation_id: turn.conversation_id.clone(),
        turn_id: turn.turn_id.clone(),
        events: last_events(outcome, *turn.stop_wish.borrow(), written.fault.take(), duration_ms),
        messages: Vec::new(),
        end_turn: true,
        ..AppendParams::default()
    };
    write(host, turn, &append).await;
}

/// The events of an end that the kernel did not commit.
fn last_events(
    outcome: Outcome,
    wish: Option<StopWish>,
    append_fault: Option<Fault>,
    duration_ms: u64,
) -> Vec<EventBody> {
    let (usage, context_tokens) = match &outcome {
        Outcome::Ran(ended) => (ended.usage, ended.context_tokens),
        Outcome::StoppedBefore | Outcome::Broke(_) => (Usage::default(), 0),
    };
    let ended = |status, reason: &str| TurnEnded {
        status,
        reason: reason.to_owned(),
        usage,
        context_tokens,
        duration_ms,
    };
    let fault = match (outcome, append_fault) {
        (Outcome::StoppedBefore, _) => None,
        (Outcome::Broke(_) | Outcome::Ran(_), Some(fault)) | (Outcome::Broke(fault), None) => Some(fault),
        (Outcome::Ran(ended), None) => {
            let code = if ended.status == TurnStatus::Failed { &ended.reason } else { BROKEN };
            Some(Fault::new(code, "the turn ended without writing down its end"))
        }
    };
    match (wish, fault) {
        (Some(wish), _) => {
            let status = match wish {
                StopWish::Cancel => TurnStatus::Cancelled,
                StopWish::Interrupt => TurnStatus::Interrupted,
            };
            vec![event(TURN_ENDED, &ended(status, "stopped"))]
        }
        (None, None) => vec![event(TURN_ENDED, &ended(TurnStatus::Cancelled, "stopped"))],
        (None, Some(fault)) => {
            let error = TurnError {
                code: fault.code.clone(),
                class: None,
                message: fault.message,
                retry_after_ms: None,
                http_status: None,
            };
            vec![event(ERROR, &error), event(TURN_ENDED, &ended(TurnStatus::Failed, &fault.code))]
        }
    }
}

async fn write(host: &Host, turn: &Turn, append: &AppendParams) {
    let turn_id = &turn.turn_id;
    let mut wait_ms = END_WAIT_MS;
    for attempt in 1..=END_ATTEMPTS_MAX {
        match host.call(Append, append).await {
            Ok(_) => return,
            // An earlier append got through although its reply did not, or the turn was sealed: it has its end.
            Err(fault) if fault.is(CONFLICT) || fault.is(NOT_FOUND) => {
                tracing::warn!(turn_id, code = fault.code, "the turn had its end already");
                return;
            }
            Err(fault) => {
                let (code, message) = (fault.code, fault.message);
                tracing::error!(turn_id, attempt, code, message, "cannot write down the end of a turn");
            }
        }
        if attempt < END_ATTEMPTS_MAX {
            host.sleep(Duration::from_millis(wait_ms)).await;
            wait_ms = (wait_ms * 2).min(END_WAIT_MAX_MS);
        }
    }
    tracing::error!(turn_id, "gave up: the turn stays open until its conversation is used again");
}
