//! What is kept of one row of the log: the facts that an explanation is made of, without what was said.

use dispatch_sdk::contracts::event::{
    APPROVAL_REQUESTED, APPROVAL_RESOLVED, ApprovalResolved, ERROR, Event, FILTER_CHANGED, FilterChanged,
    NOTICE, RETRY_SCHEDULED, RetryScheduled, STEP_COMPLETED, StepCompleted, TOOL_CALL, TOOL_RESULT,
    TURN_ENDED, TURN_STARTED, ToolResulted, TurnEnded, TurnError, TurnStarted, USAGE,
};
use dispatch_sdk::contracts::message::ToolStatus;
use dispatch_sdk::contracts::provider::Usage;
use dispatch_sdk::contracts::tool::Effect;
use dispatch_sdk::contracts::turns::{EXPLAIN_VALUE_BYTES_MAX, ExplainedChange, ExplainedNotice};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::changes::explained;

/// One row.
#[derive(Debug)]
pub(super) struct Row {
    /// Unix ms.
    pub(super) at: u64,
    pub(super) fact: Fact,
}

/// What a row says.
#[derive(Debug)]
pub(super) enum Fact {
    Started(TurnStarted),
    Called(Called),
    Asked(Asked),
    Resolved(ApprovalResolved),
    Resulted(ToolResulted),
    Spent(Spent),
    Completed(StepCompleted),
    Retried(RetryScheduled),
    Changed(ExplainedChange),
    Noticed(ExplainedNotice),
    Failed(TurnError),
    Ended(TurnEnded),
}

/// `tool_call` without its arguments, which may be large.
#[derive(Debug, Deserialize)]
pub(super) struct Called {
    pub(super) step_id: String,
    pub(super) tool_call_id: String,
    pub(super) name: String,
    #[serde(default)]
    pub(super) effect: Option<Effect>,
}

/// `approval_requested`, of which the call tells the rest.
#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    pub(super) step_id: String,
    pub(super) tool_call_id: String,
}

/// `usage`.
#[derive(Debug, Deserialize)]
pub(super) struct Spent {
    pub(super) step_id: String,
    pub(super) usage: Usage,
}

impl Row {
    /// How much it adds to an explanation.
    pub(super) fn n_items(&self) -> usize {
        match &self.fact {
            Fact::Changed(change) => 1 + change.ops.len(),
            Fact::Started(_)
            | Fact::Called(_)
            | Fact::Asked(_)
            | Fact::Resolved(_)
            | Fact::Resulted(_)
            | Fact::Spent(_)
            | Fact::Completed(_)
            | Fact::Retried(_)
            | Fact::Noticed(_)
            | Fact::Failed(_)
            | Fact::Ended(_) => 1,
        }
    }

    /// The row's fact; `None` for a row that explains nothing, such as text.
    pub(super) fn read(event: &Event) -> Result<Option<Self>, serde_json::Error> {
        let fact = match event.kind.as_str() {
            TURN_STARTED => Fact::Started(data(event)?),
            TOOL_CALL => Fact::Called(data(event)?),
            APPROVAL_REQUESTED => Fact::Asked(data(event)?),
            APPROVAL_RESOLVED => Fact::Resolved(data(event)?),
            TOOL_RESULT => Fact::Resulted(without_content(data(event)?)),
            USAGE => Fact::Spent(data(event)?),
            STEP_COMPLETED => Fact::Completed(data(event)?),
            RETRY_SCHEDULED => {
                let mut retry: RetryScheduled = data(event)?;
                shorten(&mut retry.message);
                Fact::Retried(retry)
            }
            FILTER_CHANGED => Fact::Changed(explained(data::<FilterChanged>(event)?)),
            NOTICE => {
                let mut notice: ExplainedNotice = data(event)?;
                shorten(&mut notice.message);
                Fact::Noticed(notice)
            }
            ERROR => Fact::Failed(data(event)?),
            TURN_ENDED => Fact::Ended(data(event)?),
            _ => return Ok(None),
        };
        Ok(Some(Self { at: event.at, fact }))
    }
}

fn data<T: DeserializeOwned>(event: &Event) -> Result<T, serde_json::Error> {
    serde_json::from_str(event.data.get())
}

/// Content is kept only as the reason of a call that went wrong.
fn without_content(mut result: ToolResulted) -> ToolResulted {
    if result.status == ToolStatus::Ok {
        result.content = String::new();
    }
    shorten(&mut result.content);
    result.detail = serde_json::Value::Null;
    result
}

pub(super) fn shorten(text: &mut String) {
    if text.len() > EXPLAIN_VALUE_BYTES_MAX {
        text.truncate(text.floor_char_boundary(EXPLAIN_VALUE_BYTES_MAX));
        text.shrink_to_fit();
    }
}
