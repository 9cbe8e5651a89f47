//! What an engine has committed of a turn, and what it may commit next. Pure.

use dispatch_contracts::Fault;
use dispatch_contracts::engine::{ENGINE_STATE_BYTES_MAX, OPEN_TOOL_CALLS_MAX};
use dispatch_contracts::event::{
    EventBody, INPUT, TOOL_CALL, TOOL_RESULT, TURN_ENDED, TURN_STARTED, TurnEnded, USAGE,
};
use dispatch_contracts::fault::{INVALID, TOO_LARGE};
use dispatch_contracts::provider::Usage;
use dispatch_contracts::turn::CommitParams;
use dispatch_turn::{COMMIT_BYTES_MAX, MESSAGE_BYTES_MAX, sum_usage};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// The log of a turn, as far as its end depends on it.
#[derive(Debug, Clone, Default)]
pub(super) struct Written {
    pub(super) n_commits: u64,
    frames_before: u64,
    /// Tool calls without a result, in the order they were made.
    pub(super) open_calls: Vec<OpenCall>,
    /// Sum over the steps.
    pub(super) usage: Usage,
    /// Of the last step that said.
    pub(super) last_usage: Usage,
    pub(super) ended: Option<TurnEnded>,
    /// No further commit is taken.
    pub(super) closed: bool,
    /// The commit that nobody took.
    pub(super) fault: Option<Fault>,
}

/// A tool call that the log shows.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct OpenCall {
    pub(super) step_id: String,
    pub(super) tool_call_id: String,
    pub(super) name: String,
}

#[derive(Deserialize)]
struct Resulted {
    tool_call_id: String,
}

#[derive(Deserialize)]
struct StepUsage {
    usage: Usage,
}

impl Written {
    /// What is written after this commit. Errors: `invalid` and `too_large`, it may not be taken.
    pub(super) fn with(&self, params: &CommitParams) -> Result<Self, Fault> {
        let next = self.n_commits;
        if params.commit_idx != Some(next) {
            let said = params.commit_idx.map_or("none".to_owned(), |idx| idx.to_string());
            return Err(invalid(format!(
                "the next commit of this turn is number {next}; `commit_idx` is {said}"
            )));
        }
        if params.frames_before < self.frames_before {
            let (said, before) = (params.frames_before, self.frames_before);
            return Err(invalid(format!(
                "{said} frames before this commit; the last one had {before} already"
            )));
        }
        check_sizes(params)?;
        let mut after = self.clone();
        after.n_commits += 1;
        after.frames_before = params.frames_before;
        for (idx, event) in params.events.iter().enumerate() {
            after.take(event, idx + 1 == params.events.len())?;
        }
        Ok(after)
    }

    fn take(&mut self, event: &EventBody, is_last: bool) -> Result<(), Fault> {
        match event.kind.as_str() {
            TURN_STARTED | INPUT => {
                return Err(invalid(format!(
                    "`{}` is written before a turn runs, not by its engine",
                    event.kind
                )));
            }
            TOOL_CALL if self.open_calls.len() >= OPEN_TOOL_CALLS_MAX => {
                let message = format!(
                    "{OPEN_TOOL_CALLS_MAX} tool calls have no result yet; there can be no more at once"
                );
                return Err(Fault::new(TOO_LARGE, message));
            }
            TOOL_CALL => self.open_calls.push(read(event)?),
            TOOL_RESULT => {
                let Resulted { tool_call_id } = read(event)?;
                self.open_calls.retain(|open| open.tool_call_id != tool_call_id);
            }
            USAGE => {
                let StepUsage { usage } = read(event)?;
                self.usage = sum_usage(self.usage, usage);
                self.last_usage = usage;
            }
            TURN_ENDED => {
                if !is_last {
                    return Err(invalid(format!(
                        "`{TURN_ENDED}` must be the last event of a commit, and the only one"
                    )));
                }
                if let Some(open) = self.open_calls.first() {
                    let id = &open.tool_call_id;
                    return Err(invalid(format!("the turn cannot end: tool call `{id}` has no result")));
                }
                self.ended = Some(read(event)?);
                self.closed = true;
            }
            _ => {}
        }
        Ok(())
    }
}

fn check_sizes(params: &CommitParams) -> Result<(), Fault> {
    let too_large = |what: String, bytes: usize, max: usize| {
        Err(Fault::new(TOO_LARGE, format!("{what} has {bytes} bytes; at most {max}")))
    };
    let state = params.engine_state.as_ref().map_or(0, |state| state.get().len());
    if state > ENGINE_STATE_BYTES_MAX {
        return too_large("the engine's state".to_owned(), state, ENGINE_STATE_BYTES_MAX);
    }
    let messages = params.messages.iter().map(|message| message.get().len());
    let items: Vec<usize> =
        messages.chain(params.events.iter().map(|event| event.data.get().len())).collect();
    if let Some(largest) = items.iter().copied().max().filter(|bytes| *bytes > MESSAGE_BYTES_MAX) {
        return too_large("a message or an event".to_owned(), largest, MESSAGE_BYTES_MAX);
    }
    let all: usize = items.iter().sum();
    if items.len() > 1 && all > COMMIT_BYTES_MAX {
        return too_large("the commit".to_owned(), all, COMMIT_BYTES_MAX);
    }
    Ok(())
}

fn read<T: DeserializeOwned>(event: &EventBody) -> Result<T, Fault> {
    serde_json::from_str(event.data.get()).map_err(|e| invalid(format!("cannot read `{}`: {e}", event.kind)))
}

fn invalid(message: String) -> Fault {
    Fault::new(INVALID, message)
}
