//! `filter.v1`: changes a value at a named point by a list of operations, never by the whole value. Many-valued by name.
//! At `tool.call` a filter may also answer the call in the tool's place, or ask for a stricter decision than the policy's.
//!
//! Points and their values: `turn.input` (parts of the input), `turn.tools` (tool offers), `turn.messages` (messages),
//! `provider.request` (object), `tool.call` (object `{tool_call_id, name, args}`), `tool.result` (object
//! `{tool_call_id, name, content, is_error, parts}`; where a filter changes `content` and not `parts`, the new text stands
//! in the place of the texts in `parts`), `tool.output` (object `{tool_call_id, name, stream, text}`, whole lines of
//! one stream). What a filter does is logged as `filter_changed`, except at `tool.output`.

use crate::tool::RunReply;
use crate::verb::{Limits, Mode, NoFrame, Verb};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

/// A named point of a turn. Readers go on with one that they do not know; nobody is asked there.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
pub enum Point {
    /// The user's input, before it is shown to the model.
    #[serde(rename = "turn.input")]
    TurnInput,
    /// The tools offered, at the first step and again when what is contributed has changed.
    #[serde(rename = "turn.tools")]
    TurnTools,
    /// The messages of one step's request.
    #[serde(rename = "turn.messages")]
    TurnMessages,
    /// The other fields of one step's request: model, system, output_tokens_max, temperature.
    #[serde(rename = "provider.request")]
    ProviderRequest,
    /// One tool call, after validation and before the policy.
    #[serde(rename = "tool.call")]
    ToolCall,
    /// One tool result, before it is cut and shown to anybody.
    #[serde(rename = "tool.result")]
    ToolResult,
    /// Live output of one tool call, line by line, before it is shown to anybody.
    #[serde(rename = "tool.output")]
    ToolOutput,
    /// A point of a later version.
    #[serde(rename = "unknown", other)]
    Unknown,
}

/// How much of the value a filter wants to see; less is cheaper. What the reader does not know counts as `all`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reads {
    /// Nothing of the value; only the call's meta.
    Meta,
    /// The last element of a list value.
    LastMessage,
    /// The tool names of a request.
    Tools,
    /// The whole value.
    #[default]
    #[serde(other)]
    All,
}

/// What happens to the turn when a filter fails. What the reader does not know counts as `closed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnFault {
    /// The value before the filter passes on; a notice is shown. What it decided about a call holds, even where its
    /// operations cannot be applied.
    #[default]
    Open,
    /// The point fails: the turn for `turn.*` and `provider.request`, the call for `tool.*`.
    #[serde(other)]
    Closed,
}

/// A filter as `start` contributes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct FilterSpec {
    /// Unique in the build.
    pub name: String,
    /// Where it is asked.
    pub point: Point,
    /// Ascending; equal ones in order of registration.
    #[serde(default)]
    pub priority: i32,
    /// How much it wants to see.
    #[serde(default)]
    pub reads: Reads,
    /// What its failure means.
    #[serde(default)]
    pub on_fault: OnFault,
}

/// `filter.v1/apply`.
pub struct Apply;

impl Verb for Apply {
    type Params = ApplyParams;
    type Reply = ApplyReply;
    type Frame = NoFrame;
    const NAME: &'static str = "filter.v1/apply";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = Limits::short(5_000);
}

/// The value, as far as the filter reads it.
#[derive(Debug, Serialize, Deserialize)]
pub struct ApplyParams {
    /// Which point.
    pub point: Point,
    /// The value, or the part of it named by `reads`; absent for `meta`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Box<RawValue>>,
    /// Length of a list value, so that operations can name positions in it.
    #[serde(default)]
    pub n_items: usize,
    /// Whose turn it is; absent from an older kernel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<About>,
}

/// The turn in which a filter is asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct About {
    /// The conversation.
    pub conversation_id: String,
    /// The turn.
    pub turn_id: String,
    /// The step that runs or is about to.
    pub step_id: String,
    /// Provider of the turn.
    pub provider: String,
    /// Model of the turn; empty = the provider's default.
    pub model: String,
    /// Absolute working directory.
    pub cwd: String,
    /// Where the tools act; empty = on this machine.
    pub computer: String,
}

/// What the filter wants changed; an empty list = unchanged.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ApplyReply {
    /// Applied in order.
    #[serde(default, deserialize_with = "ops")]
    pub ops: Vec<FilterOp>,
    /// At `tool.call` alone: the answer to the call. The tool does not run, nobody is asked whether it may, and no
    /// further filter sees the call; the result goes through the filters of `tool.result` as any other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<RunReply>,
    /// At `tool.call` alone: what must hold for the call beside the policy. It makes a decision stricter, never milder.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "policy")]
    pub policy: Option<Tightened>,
}

/// One that cannot be read is one of a later version: what is decided beside it is heard all the same.
fn ops<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<FilterOp>, D::Error> {
    let read = |op| FilterOp::deserialize(op).unwrap_or(FilterOp::Unknown);
    Ok(match Value::deserialize(from)? {
        Value::Array(ops) => ops.into_iter().map(read).collect(),
        _ => vec![FilterOp::Unknown],
    })
}

/// One that cannot be read is one of a later version.
fn policy<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Tightened>, D::Error> {
    let said = Option::<Value>::deserialize(from)?;
    Ok(said.map(|said| Tightened::deserialize(said).unwrap_or(Tightened::Unknown)))
}

/// A decision that is at least as strict as the policy's. What the reader does not know is a deny.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "decision", rename_all = "lowercase")]
pub enum Tightened {
    /// A person is asked, even where the policy allows; what was allowed before for the conversation does not answer.
    Ask,
    /// It may not run; no further filter sees the call.
    Deny {
        /// Told to the model.
        reason: String,
    },
    /// A decision of a later version: it may not run.
    #[serde(other)]
    Unknown,
}

/// One change. `at` is an index of a list value or a key of an object value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub enum FilterOp {
    /// Adds at the end of a list.
    Append {
        /// New element.
        value: Value,
    },
    /// Adds before the element `at` of a list.
    Insert {
        /// Position.
        at: usize,
        /// New element.
        value: Value,
    },
    /// Replaces an element or a field.
    Replace {
        /// Position or key.
        at: Value,
        /// New value.
        value: Value,
    },
    /// Removes an element or a field.
    Remove {
        /// Position or key.
        at: Value,
    },
    /// An operation of a later version, or one that cannot be read. It cannot be applied: the filter failed.
    #[serde(other)]
    Unknown,
}
