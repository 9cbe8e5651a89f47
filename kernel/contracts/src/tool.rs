//! `tool.v1`: what the model can ask for. Many-valued: `tool.v1/run#read_file`.
//!
//! `run` is spawned and long; its deadline is the tool's own `timeout_ms`. The kernel validates the arguments against
//! `input_schema` before it calls. Codes: `invalid` (arguments that the schema cannot express), any other is shown to the model.

use crate::message::Part;
use crate::verb::{Limits, Mode, Verb};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What a tool may change; the policy decides on it. An effect that the reader does not know counts as `exec`.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// Looks only.
    Read,
    /// Changes files or remote state.
    Write,
    /// Runs programs.
    #[serde(other)]
    Exec,
}

/// What the policy answers to a tool call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It runs.
    Allow,
    /// A person is asked.
    Ask,
    /// It does not run, and the model is told.
    Deny,
}

impl Decision {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::Allow, Self::Ask, Self::Deny];

    /// The name as files write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Ask => "ask",
            Self::Deny => "deny",
        }
    }
}

impl std::fmt::Display for Decision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Where a tool can act. A place that the reader does not know counts as `local`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Locality {
    /// Wherever the conversation's computer is.
    #[default]
    Any,
    /// Only on the machine of the host: not offered to a turn that has a computer of its own.
    #[serde(other)]
    Local,
}

/// Longest tool name; providers refuse longer ones.
pub const TOOL_NAME_BYTES_MAX: usize = 64;

/// A tool as `start` contributes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ToolSpec {
    /// `[a-zA-Z0-9_-]{1,64}`, as providers demand.
    pub name: String,
    /// What the model reads to decide.
    pub description: String,
    /// JSON Schema 2020-12 of an object.
    pub input_schema: Value,
    /// What it may change.
    pub effect: Effect,
    /// Whether it must run alone.
    #[serde(default)]
    pub exclusive: bool,
    /// Where it can act.
    #[serde(default)]
    pub locality: Locality,
    /// Deadline of one run in ms; 0 = none.
    #[serde(default)]
    pub timeout_ms: u64,
}

impl ToolSpec {
    /// A tool that may run beside others, anywhere, without a deadline of its own.
    pub fn new(name: &str, description: &str, effect: Effect, input_schema: Value) -> Self {
        Self {
            name: name.to_owned(),
            description: description.to_owned(),
            input_schema,
            effect,
            exclusive: false,
            locality: Locality::Any,
            timeout_ms: 0,
        }
    }
}

/// `tool.v1/run`.
pub struct Run;

impl Verb for Run {
    type Params = RunParams;
    type Reply = RunReply;
    type Frame = ToolFrame;
    const NAME: &'static str = "tool.v1/run";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = Limits::long(0);
}

/// One tool call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunParams {
    /// The model's id of the call.
    pub tool_call_id: String,
    /// Arguments, valid against the schema.
    pub args: Map<String, Value>,
    /// Absolute working directory of the turn; relative paths resolve against it.
    pub cwd: String,
}

/// Most parts of a reply; the rest is left out, and the model is told.
pub const REPLY_PARTS_MAX: usize = 64;

/// What the tool answers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RunReply {
    /// What the model reads; bounded by the tool. Beside `parts` it is what a reader without parts shows.
    pub content: String,
    /// Where there are any, what the model reads instead: [`Part::Text`] and [`Part::Image`], at most
    /// [`REPLY_PARTS_MAX`]; others are left out. An image comes as `data` and is kept by whoever runs the turn, or as `url`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Part>,
    /// Whether the tool considers it a failure.
    #[serde(default)]
    pub is_error: bool,
    /// For clients, never for the model: exit code, paths, diff.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub detail: Value,
}

impl RunReply {
    /// A success with nothing but text for the model.
    pub fn text(content: impl Into<String>) -> Self {
        Self { content: content.into(), ..Self::default() }
    }
}

/// Live output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToolFrame {
    /// Which stream of a program, or `stdout` for tools without any.
    pub stream: OutputStream,
    /// Text; never cut inside a character.
    pub text: String,
}

/// Where live output came from. A stream that the reader does not know counts as `stdout`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OutputStream {
    /// Standard error.
    Stderr,
    /// Standard output.
    #[serde(other)]
    Stdout,
}
