//! How a turn ends, and how that is written down.

use crate::bound::first_chars;
use crate::commit::events::event;
use crate::commit::outbox::Outbox;
use crate::ctx::Ctx;
use crate::limits::FAULT_CHARS_MAX;
use dispatch_contracts::Fault;
use dispatch_contracts::event::{ERROR, TURN_ENDED, TurnEnded, TurnError, TurnStatus};
use dispatch_contracts::provider::{FaultClass, Finish, Usage};

/// What is said after a provider's words about a context that is full.
const CONVERSATION_TOO_LONG: &str = "; the conversation is too long for this model: begin a new one, or choose a model that \
                                     takes more";

/// Why a turn is over.
pub(crate) enum Ending {
    /// The model has said what it had to say.
    Completed(Done),
    /// By the stop signal.
    Stopped,
    /// By a provider, a filter or a bound.
    Failed(TurnError),
    /// By a commit: nothing more can be made durable.
    CommitFailed(Fault),
}

impl Ending {
    /// The end by a fault that is no provider's.
    pub(crate) fn failed(fault: &Fault) -> Self {
        Self::Failed(error_of(fault))
    }

    /// The end by a history that is too long for one request of ours.
    pub(crate) fn history_too_long(fault: &Fault) -> Self {
        Self::Failed(TurnError { class: Some(FaultClass::ContextOverflow), ..error_of(fault) })
    }

    /// The end by a provider, with what to do where its own words may not say so.
    pub(crate) fn failed_by_provider(error: &TurnError) -> Self {
        let mut error = error.clone();
        if error.class == Some(FaultClass::ContextOverflow) {
            error.message.push_str(CONVERSATION_TOO_LONG);
        }
        Self::Failed(error)
    }

    /// The end by a finish reason, with nothing left to run.
    pub(crate) const fn finished(finish: Finish) -> Self {
        Self::Completed(Done::Finished(finish))
    }
}

/// Why a completed turn is over.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Done {
    /// With a finish reason.
    Finished(Finish),
    /// It took as many steps as it may.
    MaxSteps,
}

impl Done {
    const fn word(self) -> &'static str {
        match self {
            // A wire that says `tool_calls` without any waits for nothing.
            Self::Finished(Finish::Stop | Finish::ToolCalls) => "stop",
            Self::Finished(Finish::Length) => "length",
            Self::Finished(Finish::ContentFilter) => "content_filter",
            Self::Finished(Finish::Other) => "other",
            Self::MaxSteps => "max_steps",
        }
    }
}

/// A fault that is no provider's.
fn error_of(fault: &Fault) -> TurnError {
    TurnError {
        code: fault.code.clone(),
        class: None,
        message: first_chars(&fault.message, FAULT_CHARS_MAX).to_owned(),
        retry_after_ms: None,
        http_status: None,
    }
}

/// What a turn used up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spent {
    pub(crate) started_at: u64,
    /// Sum over the steps.
    pub(crate) usage: Usage,
    /// Of the last step that said.
    pub(crate) last_usage: Usage,
}

/// Commits what is left and the end itself. A commit that fails here, or failed before, makes the turn a failed one.
pub(crate) async fn write_down(ctx: &Ctx<'_>, mut outbox: Outbox, ending: Ending, spent: Spent) -> TurnEnded {
    let (status, reason) = match &ending {
        Ending::Completed(done) => (TurnStatus::Completed, done.word().to_owned()),
        Ending::Stopped => (ctx.stop.reason().status(), ctx.stop.reason().word().to_owned()),
        Ending::Failed(error) => (TurnStatus::Failed, error.code.clone()),
        Ending::CommitFailed(fault) => (TurnStatus::Failed, fault.code.clone()),
    };
    let ended = TurnEnded {
        status,
        reason,
        usage: spent.usage,
        context_tokens: spent.last_usage.input_tokens.saturating_add(spent.last_usage.output_tokens),
        duration_ms: ctx.since(spent.started_at),
    };
    let turn_id = &ctx.about.turn_id;
    match ending {
        Ending::Completed(_) => {}
        Ending::Stopped => {
            let reason = ctx.stop.reason();
            if let Some(message) = reason.failure() {
                outbox.event(event(ERROR, &error_of(&Fault::new(reason.word(), message))));
            }
        }
        Ending::Failed(error) => outbox.event(event(ERROR, &error)),
        Ending::CommitFailed(fault) => {
            tracing::error!(turn_id, code = fault.code, message = fault.message, "a turn could not commit");
            return ended;
        }
    }
    outbox.event(event(TURN_ENDED, &ended));
    match outbox.flush(ctx).await {
        Ok(()) => ended,
        Err(fault) => {
            tracing::error!(
                turn_id,
                code = fault.code,
                message = fault.message,
                "a turn could not commit its end"
            );
            TurnEnded { status: TurnStatus::Failed, reason: fault.code, ..ended }
        }
    }
}
