//! That an accepted turn gets exactly one terminal state, also when what ran it did not write one.

use crate::events::event;
use crate::outcome::{End, Outcome, class_of};
use crate::turn_table::{EndWish, Turn};
use dispatch_sdk::contracts::conversations::{Append, AppendParams, TurnSummary};
use dispatch_sdk::contracts::event::{ERROR, EventBody, TURN_ENDED, TurnEnded, TurnError, TurnStatus};
use dispatch_sdk::contracts::fault::{BROKEN, CONFLICT, DEADLINE, NOT_FOUND, OVERLOADED, UNAVAILABLE};
use dispatch_sdk::contracts::provider::{FaultClass, Usage};
use dispatch_sdk::contracts::storage::NO_SPACE;
use dispatch_sdk::{Backoff, Fault, Host};
use std::time::Duration;

/// How often the end is offered to the store before whoever waits for it is told; with the waits below about two minutes.
pub(crate) const END_ATTEMPTS_MAX: u32 = 12;
/// The same after a commit that the kernel has offered for two minutes already.
const END_AGAIN_ATTEMPTS_MAX: u32 = 3;
/// Before the second offer; doubled for each further one.
const END_WAIT: Duration = Duration::from_millis(100);
/// Longest wait between two offers.
const END_WAIT_MAX: Duration = Duration::from_secs(30);
/// `reason` of a turn whose caller had gone before it was acknowledged.
const UNACKNOWLEDGED: &str = "unacknowledged";

/// Writes the turn's end unless it is in the log already. Appends under way finish first; later ones are refused.
pub(crate) async fn make_sure(host: &Host, turn: &Turn, outcome: Outcome) -> End {
    let mut written = turn.written.lock().await;
    let n_steps = written.n_steps;
    if let Some(ended) = written.ended.take() {
        return End { ended, failure: written.failure.take(), n_steps, unwritten: None };
    }
    written.closed = true;
    let duration_ms = host.now_ms().saturating_sub(turn.started_at);
    let attempts_max = match &written.fault {
        Some(fault) if was_offered_long(fault) => END_AGAIN_ATTEMPTS_MAX,
        Some(_) | None => END_ATTEMPTS_MAX,
    };
    let (ended, error) = end_of(outcome, *turn.end_wish.borrow(), written.fault.take(), duration_ms);
    let append = append_of(turn, &ended, error.as_ref());
    let unwritten = write(host, &append, attempts_max).await.err().map(|fault| (append, fault));
    End { ended, failure: error.map(|error| class_of(&error).to_owned()), n_steps, unwritten }
}

/// Whether the kernel offers a commit again and again after this fault, so that whoever waits has waited long.
fn was_offered_long(fault: &Fault) -> bool {
    [OVERLOADED, DEADLINE, UNAVAILABLE, NO_SPACE].contains(&fault.code.as_str())
}

/// The end of a turn of which nothing runs, stopped by a person.
pub(crate) fn stopped(turn: &Turn) -> AppendParams {
    append_of(turn, &TurnEnded { status: TurnStatus::Cancelled, ..empty("stopped", 0) }, None)
}

fn append_of(turn: &Turn, ended: &TurnEnded, error: Option<&TurnError>) -> AppendParams {
    let error = error.map(|error| event(ERROR, error));
    let events: Vec<EventBody> = error.into_iter().chain([event(TURN_ENDED, ended)]).collect();
    AppendParams {
        conversation_id: turn.conversation_id.clone(),
        turn_id: turn.turn_id.clone(),
        events,
        messages: Vec::new(),
        end_turn: true,
        summary: Some(TurnSummary { timings: turn.timings(None), ..TurnSummary::default() }),
        ..AppendParams::default()
    }
}

fn empty(reason: &str, duration_ms: u64) -> TurnEnded {
    TurnEnded {
        status: TurnStatus::Failed,
        reason: reason.to_owned(),
        usage: Usage::default(),
        context_tokens: 0,
        duration_ms,
    }
}

/// The end of a turn of which the kernel committed none.
fn end_of(
    outcome: Outcome,
    wish: Option<EndWish>,
    append_fault: Option<Fault>,
    duration_ms: u64,
) -> (TurnEnded, Option<TurnError>) {
    let none = empty("stopped", duration_ms);
    let (status, fault, spent) = match (outcome, wish) {
        (Outcome::Unacknowledged, _) => {
            return (TurnEnded { status: TurnStatus::Cancelled, ..empty(UNACKNOWLEDGED, duration_ms) }, None);
        }
        (Outcome::StoppedBefore, None) => (TurnStatus::Cancelled, None, none),
        (outcome, Some(wish)) => {
            let status = match wish {
                EndWish::Cancel => TurnStatus::Cancelled,
                EndWish::Interrupt => TurnStatus::Interrupted,
            };
            (status, None, outcome.spent().unwrap_or(none))
        }
        (Outcome::Broke(fault), None) => (TurnStatus::Failed, Some(append_fault.unwrap_or(fault)), none),
        (Outcome::Ran(ended), None) => {
            let code = if ended.status == TurnStatus::Failed { &ended.reason } else { BROKEN };
            let broken = || Fault::new(code, "the turn ended without writing down its end");
            let fault = append_fault.unwrap_or_else(broken);
            (TurnStatus::Failed, Some(fault), ended)
        }
    };
    let reason = fault.as_ref().map_or("stopped", |fault| &fault.code).to_owned();
    let ended = TurnEnded { status, reason, duration_ms, ..spent };
    let error = fault.map(|fault| TurnError {
        class: FaultClass::of_code(&fault.code),
        code: fault.code,
        message: fault.message,
        retry_after_ms: None,
        http_status: None,
    });
    (ended, error)
}

/// Offers an end so often. Errors: the last one, when the store took none.
pub(crate) async fn write(host: &Host, append: &AppendParams, attempts_max: u32) -> Result<(), Fault> {
    let turn_id = &append.turn_id;
    let mut backoff = Backoff::new(END_WAIT, END_WAIT_MAX);
    let mut attempt = 1;
    loop {
        let fault = match host.call(Append, append).await {
            Ok(_) => return Ok(()),
            // An earlier append got through although its reply did not, or the turn was sealed: it has its end.
            Err(fault) if fault.is(CONFLICT) || fault.is(NOT_FOUND) => {
                tracing::warn!(turn_id, code = fault.code, "the turn had its end already");
                return Ok(());
            }
            Err(fault) => fault,
        };
        tracing::warn!(
            turn_id,
            attempt,
            code = fault.code,
            message = fault.message,
            "cannot write down the end of a turn"
        );
        if attempt == attempts_max {
            return Err(fault);
        }
        backoff.wait(host).await;
        attempt += 1;
    }
}
