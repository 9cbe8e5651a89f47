//! Events: what a turn shows outward, as log rows and on the wire.
//!
//! `seq` rises strictly per conversation and never resets; gaps are legal. Readers ignore types they do not know.
//! [`TEXT_DELTA`], [`REASONING_DELTA`], [`TOOL_OUTPUT`], [`RETRY_SCHEDULED`] and [`NOTICE`] travel as frames of
//! `turn.v1/run`; all others only in `turn_host.v1/commit`, and are shown after they are durable.

use crate::message::ToolStatus;
use crate::provider::{FaultClass, Finish, Usage};
use crate::tool::Effect;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// A turn began: [`TurnStarted`].
pub const TURN_STARTED: &str = "turn_started";
/// What the user said: `{parts}`.
pub const INPUT: &str = "input";
/// Visible text of the model: [`Delta`].
pub const TEXT_DELTA: &str = "text_delta";
/// Reasoning of the model: [`Delta`].
pub const REASONING_DELTA: &str = "reasoning_delta";
/// The model asked for a tool: [`ToolCalled`].
pub const TOOL_CALL: &str = "tool_call";
/// A tool call waits for consent: [`ApprovalRequested`]. Durable before anybody is asked.
pub const APPROVAL_REQUESTED: &str = "approval_requested";
/// What came of the question: [`ApprovalResolved`]. One that allows is durable before the tool starts.
pub const APPROVAL_RESOLVED: &str = "approval_resolved";
/// Live output of a tool: [`ToolOutput`].
pub const TOOL_OUTPUT: &str = "tool_output";
/// A tool is done: [`ToolResulted`].
pub const TOOL_RESULT: &str = "tool_result";
/// Tokens of one step: `{step_id, usage}`.
pub const USAGE: &str = "usage";
/// A step is done: [`StepCompleted`].
pub const STEP_COMPLETED: &str = "step_completed";
/// A failed request will be tried again: [`RetryScheduled`].
pub const RETRY_SCHEDULED: &str = "retry_scheduled";
/// Text injected while the turn ran: `{messages, ids?}`, as `turn_host.v1/steering` answered it.
pub const STEERING: &str = "steering";
/// A filter changed a value: [`FilterChanged`].
pub const FILTER_CHANGED: &str = "filter_changed";
/// Something worth telling that changes nothing: `{code, message}`.
pub const NOTICE: &str = "notice";
/// Why a turn failed: [`TurnError`].
pub const ERROR: &str = "error";
/// The turn is over, for good: [`TurnEnded`].
pub const TURN_ENDED: &str = "turn_ended";

/// Types that are shown only when they are durable: no frame may have them.
pub const DURABLE_TYPES: &[&str] = &[
    TURN_STARTED,
    INPUT,
    TOOL_CALL,
    APPROVAL_REQUESTED,
    APPROVAL_RESOLVED,
    TOOL_RESULT,
    USAGE,
    STEP_COMPLETED,
    STEERING,
    FILTER_CHANGED,
    ERROR,
    TURN_ENDED,
];

/// An event on its way to the log: no number yet.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EventBody {
    /// One of the types of this file.
    #[serde(rename = "type")]
    pub kind: String,
    /// Forwarded as bytes.
    pub data: Box<RawValue>,
}

/// The envelope: one event as every client sees it.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Event {
    /// Cursor. A row of several deltas carries its last number.
    pub seq: u64,
    /// First number of a row of several deltas; absent = `seq`. A client that shows a block replaces what it has of
    /// these numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq_first: Option<u64>,
    /// Whose log it is.
    pub conversation_id: String,
    /// The turn it belongs to, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn_id: Option<String>,
    /// Unix ms.
    pub at: u64,
    /// One of the types of this file.
    #[serde(rename = "type")]
    pub kind: String,
    /// Forwarded as bytes.
    pub data: Box<RawValue>,
    /// The row begins before the reader's cursor: replace what was shown of it, do not append.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rebased: bool,
}

/// `turn_started`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TurnStarted {
    /// Provider that was chosen.
    pub provider: String,
    /// Model, empty = the provider's default.
    #[serde(default)]
    pub model: String,
    /// Working directory.
    pub cwd: String,
    /// Who started it; empty = the host itself.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub actor: String,
    /// What runs it; empty = the kernel's own loop.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub engine: String,
}

/// `text_delta` and `reasoning_delta`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delta {
    /// `<turn>#<n>`.
    pub step_id: String,
    /// Appended to the block; never cut inside a character.
    pub text: String,
}

/// `tool_call`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToolCalled {
    /// `<turn>#<n>`.
    pub step_id: String,
    /// The model's id.
    pub tool_call_id: String,
    /// Tool name.
    pub name: String,
    /// Arguments as they were run, unless an [`ApprovalResolved`] has others.
    pub args: Value,
    /// What the tool may change; absent when there is no such tool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<Effect>,
}

/// `approval_requested`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ApprovalRequested {
    /// `<turn>#<n>`.
    pub step_id: String,
    /// Which call.
    pub tool_call_id: String,
    /// Tool name.
    pub tool: String,
    /// What it may change.
    pub effect: Effect,
    /// Arguments as they would be run.
    pub args: Value,
}

/// `approval_resolved`: one for each request, unless the host died.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ApprovalResolved {
    /// `<turn>#<n>`.
    pub step_id: String,
    /// Which call.
    pub tool_call_id: String,
    /// Tool name.
    pub tool: String,
    /// What it came to.
    pub decision: ApprovalDecision,
    /// Who said so; empty = nobody, or it was not told.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub by: String,
    /// For how long it is allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<AllowScope>,
    /// Why not.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// The arguments that it runs with, where whoever allowed it changed them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub args: Option<Map<String, Value>>,
}

/// What a question came to. Only `allow` allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ApprovalDecision {
    /// It may run.
    Allow,
    /// It may not, or nobody could be asked.
    Deny,
    /// The turn was stopped before there was an answer.
    Withdrawn,
    /// A decision of a later version.
    #[serde(other)]
    Unknown,
}

/// For how long an `allow` holds. A scope that the reader does not know counts as `once`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AllowScope {
    /// Every call of this tool in this conversation: kept with it until it is taken back.
    Conversation,
    /// This call alone.
    #[default]
    #[serde(other)]
    Once,
}

/// `tool_output`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolOutput {
    /// Which call.
    pub tool_call_id: String,
    /// `stdout` or `stderr`.
    pub stream: crate::tool::OutputStream,
    /// Text.
    pub text: String,
}

/// `tool_result`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToolResulted {
    /// `<turn>#<n>`.
    pub step_id: String,
    /// Which call.
    pub tool_call_id: String,
    /// Tool name.
    pub name: String,
    /// How it ended.
    pub status: ToolStatus,
    /// What the model reads.
    pub content: String,
    /// From its own start to its own end; 0 if it never ran.
    pub duration_ms: u64,
    /// For clients.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub detail: Value,
    /// Who said no, when the status is `denied`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub denied_by: Option<DeniedBy>,
    /// The filter that answered in the tool's place; empty = the tool did, or nobody.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub answered_by: String,
    /// Where there are any, what the model reads instead of `content`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<crate::message::Part>,
}

/// Who said that a tool call may not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeniedBy {
    /// The host's policy for the tool's effect.
    Policy,
    /// Whoever was asked, or that nobody was there to be asked.
    Approval,
    /// A filter of calls; what it says is in the result.
    Filter,
    /// Somebody of a later version.
    #[serde(other)]
    Unknown,
}

/// `step_completed`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepCompleted {
    /// `<turn>#<n>`.
    pub step_id: String,
    /// Why the model stopped; absent when the step failed or was stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish: Option<Finish>,
    /// Request to first content; absent when none came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_ms: Option<u64>,
    /// Request to the end of the stream.
    pub stream_ms: u64,
    /// Request to the end of the step, tools included.
    pub step_ms: u64,
}

/// `retry_scheduled`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryScheduled {
    /// `<turn>#<n>`.
    pub step_id: String,
    /// Failed requests so far, from 1.
    pub attempt: u32,
    /// Wait before the next one.
    pub delay_ms: u64,
    /// What went wrong.
    pub class: FaultClass,
    /// For a person.
    pub message: String,
}

/// `filter_changed`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FilterChanged {
    /// Where.
    pub point: crate::filter::Point,
    /// Who.
    pub filter: String,
    /// The call concerned, for `tool.*`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<String>,
    /// What was changed.
    pub ops: Vec<crate::filter::FilterOp>,
    /// From asking the filter to its answer; absent in logs that are older than the field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// At `tool.call`: it answered the call in the tool's place.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub answered: bool,
    /// At `tool.call`: what it asks for beside the policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<crate::filter::Tightened>,
}

/// `error`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct TurnError {
    /// Code of the fault; for a provider's fault, its class.
    pub code: String,
    /// Class, if a provider failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<FaultClass>,
    /// For a person.
    pub message: String,
    /// What the endpoint asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// HTTP status, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_status: Option<u16>,
}

/// How a turn ended. A way that the reader does not know counts as `failed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TurnStatus {
    /// The model said what it had to say.
    Completed,
    /// The host ended or died while it ran.
    Interrupted,
    /// Somebody stopped it.
    Cancelled,
    /// An error ended it; the `error` event says which.
    #[serde(other)]
    Failed,
}

/// `turn_ended`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct TurnEnded {
    /// Terminal state.
    pub status: TurnStatus,
    /// Finish reason, error code, or `stopped`.
    pub reason: String,
    /// Sum over the steps.
    #[serde(default)]
    pub usage: Usage,
    /// Input and output of the last step: how full the context is.
    #[serde(default)]
    pub context_tokens: u64,
    /// From start to end.
    #[serde(default)]
    pub duration_ms: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Types that travel as frames of `turn.v1/run`.
    const FRAME_TYPES: [&str; 5] = [TEXT_DELTA, REASONING_DELTA, TOOL_OUTPUT, RETRY_SCHEDULED, NOTICE];

    #[test]
    fn each_type_of_this_file_is_either_a_frame_or_shown_when_it_is_durable() {
        let declared = include_str!("event.rs").lines().filter_map(|line| {
            line.strip_prefix("pub const ")?.split_once(": &str = \"")?.1.strip_suffix("\";")
        });
        let declared: Vec<&str> = declared.collect();
        assert!(declared.contains(&TURN_STARTED) && declared.contains(&TURN_ENDED), "{declared:?}");
        for kind in declared {
            assert_ne!(FRAME_TYPES.contains(&kind), DURABLE_TYPES.contains(&kind), "{kind}");
        }
    }
}
