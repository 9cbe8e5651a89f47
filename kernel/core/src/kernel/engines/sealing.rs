//! The end of a turn that an engine ran: the one that it wrote down, else the kernel's.

use super::desk::Desk;
use super::written::{OpenCall, Written};
use dispatch_contracts::Fault;
use dispatch_contracts::event::{
    ERROR, EventBody, TOOL_RESULT, TURN_ENDED, ToolResulted, TurnEnded, TurnError, TurnStatus,
};
use dispatch_contracts::fault::BROKEN;
use dispatch_contracts::message::ToolStatus;
use dispatch_contracts::provider::Usage;
use dispatch_contracts::turn::CommitParams;
use dispatch_turn::{TurnPorts, event, offer};
use serde_json::Value;
use std::sync::atomic::Ordering;

/// What the model and the user are told of a tool call whose engine ended without a result.
const UNKNOWN_OUTCOME: &str =
    "the outcome is unknown: what ran this call ended before it said how it went; it may have had an effect";

/// How the engine's call ended.
pub(super) enum Heard {
    /// With a reply.
    Answered(TurnEnded),
    /// Without one that can be read, or it broke its contract.
    Broke(Fault),
}

impl Heard {
    pub(super) fn answered(bytes: &[u8]) -> Self {
        match serde_json::from_slice(bytes) {
            Ok(ended) => Self::Answered(ended),
            Err(e) => Self::Broke(Fault::new(BROKEN, format!("cannot read what the engine answered: {e}"))),
        }
    }
}

impl Desk {
    /// Ends the turn after its engine, unless it has its end: each call left open gets a result, then `turn_ended`.
    pub(super) async fn seal(&self, heard: Heard) -> TurnEnded {
        self.no_more_frames();
        let mut written = self.written.lock().await;
        written.closed = true;
        if let Some(ended) = written.ended.take() {
            return ended;
        }
        let (ended, error) = self.end_of(heard, &written);
        if let Some(fault) = &written.fault {
            let (code, message) = (&fault.code, &fault.message);
            tracing::error!(turn_id = self.turn_id, code, message, "a turn could not commit");
            return ended;
        }
        let results = written.open_calls.iter().map(unknown_outcome);
        let error = error.map(|error| event(ERROR, &error));
        let params = CommitParams {
            turn_id: self.turn_id.clone(),
            commit_idx: Some(written.n_commits),
            frames_before: self.n_shown.load(Ordering::Acquire),
            messages: Vec::new(),
            events: results.chain(error).chain([event(TURN_ENDED, &ended)]).collect(),
            timings: None,
            engine_state: None,
        };
        match offer(&self.ports, &self.stop, &self.progress, &params).await {
            Ok(()) => ended,
            Err(fault) => {
                let (code, message) = (&fault.code, &fault.message);
                tracing::error!(turn_id = self.turn_id, code, message, "a turn could not commit its end");
                TurnEnded { status: TurnStatus::Failed, reason: fault.code, ..ended }
            }
        }
    }

    fn end_of(&self, heard: Heard, written: &Written) -> (TurnEnded, Option<TurnError>) {
        let told = match &heard {
            Heard::Answered(ended) => ended.usage,
            Heard::Broke(_) => Usage::default(),
        };
        let usage = if written.usage == Usage::default() { told } else { written.usage };
        let last = written.last_usage;
        let (status, reason, error) = if let Some(fault) = &written.fault {
            (TurnStatus::Failed, fault.code.clone(), None)
        } else if self.stop.is_given() {
            let reason = self.stop.reason();
            let error = reason.failure().map(|message| error_of(&Fault::new(reason.word(), message)));
            (reason.status(), reason.word().to_owned(), error)
        } else {
            let fault = match heard {
                Heard::Answered(_) => {
                    let message =
                        format!("engine `{}` answered without writing down the turn's end", self.engine);
                    Fault::new(BROKEN, message)
                }
                Heard::Broke(fault) => fault,
            };
            (TurnStatus::Failed, fault.code.clone(), Some(error_of(&fault)))
        };
        let ended = TurnEnded {
            status,
            reason,
            usage,
            context_tokens: last.input_tokens.saturating_add(last.output_tokens),
            duration_ms: self.ports.now_ms(),
        };
        (ended, error)
    }
}

fn unknown_outcome(call: &OpenCall) -> EventBody {
    let resulted = ToolResulted {
        step_id: call.step_id.clone(),
        tool_call_id: call.tool_call_id.clone(),
        name: call.name.clone(),
        status: ToolStatus::OutcomeUnknown,
        content: UNKNOWN_OUTCOME.to_owned(),
        duration_ms: 0,
        detail: Value::Null,
        denied_by: None,
        answered_by: String::new(),
        parts: Vec::new(),
    };
    event(TOOL_RESULT, &resulted)
}

fn error_of(fault: &Fault) -> TurnError {
    let message = &fault.message[..fault.message.floor_char_boundary(ERROR_BYTES_MAX)];
    TurnError {
        code: fault.code.clone(),
        class: None,
        message: message.to_owned(),
        retry_after_ms: None,
        http_status: None,
    }
}

/// Most bytes of an engine's words in an `error`.
const ERROR_BYTES_MAX: usize = 2000;
