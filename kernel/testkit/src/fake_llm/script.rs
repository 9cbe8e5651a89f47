//! What a fake LLM answers: the script a test writes, in Rust or as JSON. It must not know sockets.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// Most deltas one action may ask for.
pub const DELTAS_MAX: usize = 10_000_000;
/// Most bytes one `long_line` may have.
pub const LINE_BYTES_MAX: u64 = 1 << 30;

/// All that a fake LLM is told: its rules and how strictly it reads requests.
///
/// The first rule that matches and is not used up answers; then the model's name does (`fake-text-20` …).
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Script {
    /// Asked in order; the first match answers.
    pub rules: Vec<Rule>,
    /// What `GET /v1/models` lists; a few of the built-in names when empty.
    pub models: Vec<String>,
    /// Refuse with 400 what a strict provider refuses; on by default.
    pub strict: bool,
    /// Keep a connection for the next request; on by default, off answers `connection: close`.
    pub keep_alive: bool,
    /// When set, a request without `authorization: Bearer <key>` is answered 401.
    pub api_key: Option<String>,
    /// Optional parts of the wire this provider does not take.
    pub refuses: Vec<Feature>,
    /// Top-level request fields this provider answers with 400, such as `stream_options`.
    pub refuses_fields: Vec<String>,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            rules: Vec::new(),
            models: Vec::new(),
            strict: true,
            keep_alive: true,
            api_key: None,
            refuses: Vec::new(),
            refuses_fields: Vec::new(),
        }
    }
}

impl Script {
    /// A strict script of these rules.
    pub fn rules(rules: Vec<Rule>) -> Self {
        Self { rules, ..Self::default() }
    }

    /// A strict script whose nth request is answered by the nth list of actions.
    pub fn steps(answers: Vec<Vec<Action>>) -> Self {
        Self::rules(answers.into_iter().map(Rule::once).collect())
    }

    /// Reads a script from JSON; the error names the line and column.
    pub fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }
}

/// A part of the wire that some providers refuse.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Feature {
    /// Messages with the role `developer`.
    DeveloperRole,
    /// `content` as a list of parts.
    ArrayContent,
}

/// One answer and when it is given.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// All conditions that are present must hold; none present matches every request.
    #[serde(default)]
    pub when: When,
    /// How often the rule answers before it falls through; absent = always.
    #[serde(default)]
    pub times: Option<usize>,
    /// What is done, in order.
    pub answer: Vec<Action>,
}

impl Rule {
    /// A rule that answers one request.
    pub fn once(answer: Vec<Action>) -> Self {
        Self { when: When::default(), times: Some(1), answer }
    }

    /// A rule that answers every request.
    pub fn always(answer: Vec<Action>) -> Self {
        Self { when: When::default(), times: None, answer }
    }

    /// The same rule under conditions.
    pub fn when(self, when: When) -> Self {
        Self { when, ..self }
    }
}

/// Conditions of a rule; an absent one always holds.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct When {
    /// The model's name, or its beginning when it ends with `*`.
    pub model: Option<String>,
    /// Text that the last user message contains.
    pub last_user_contains: Option<String>,
    /// How many tool results the whole request holds.
    pub n_tool_results: Option<usize>,
    /// How many tool results stand after the last user message.
    pub n_tool_results_in_turn: Option<usize>,
    /// The position of the request among all completions that were understood, from 0.
    pub request_idx: Option<usize>,
}

/// One thing done in an answer.
///
/// Actions run in order; the headers go out with the first byte of the body.
/// After the last one come, unless switched off, the finish reason, the usage and `[DONE]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Text deltas (`delta.content`); templates are filled.
    Text(Deltas),
    /// Reasoning deltas in the field `reasoning_content`.
    ReasoningContent(Deltas),
    /// Reasoning deltas in the field `reasoning`.
    Reasoning(Deltas),
    /// One tool call.
    ToolCall(ToolCall),
    /// The usage told at the end, wherever this action stands.
    Usage(Usage),
    /// The finish reason, sent where this stands; without it `tool_calls` or `stop` is sent at the end.
    Finish(String),
    /// No finish reason at all.
    NoFinish,
    /// No `[DONE]` at the end.
    NoDone,
    /// An HTTP error instead of an answer; only waits may stand before it, nothing after it.
    HttpError(HttpError),
    /// `{"error": …}` inside a 200 answer; nothing stands after it.
    StreamError(Value),
    /// The response's headers, now.
    Headers,
    /// Sends what is there, then waits so many milliseconds.
    WaitMs(u64),
    /// Sends what is there, then nothing until the client leaves.
    Stall,
    /// Closes the connection after exactly so many bytes of body, wherever this action stands.
    CutAfterBytes(u64),
    /// Closes the connection now, with no end of body.
    Close,
    /// Resets the connection now (RST); what the client has not read may be lost.
    Reset,
    /// From here on the body goes out in pieces.
    Pace(Pace),
    /// Lines sent as they are, each with a line feed, without `data:`.
    Garbage(Vec<String>),
    /// Bytes sent as they are.
    Bytes(Vec<u8>),
    /// One `data:` line with so many bytes of `x`.
    LongLine(u64),
    /// One event: a string goes as it is after `data: `, anything else as JSON.
    Event(Value),
    /// One chunk with this object as its `choices[0].delta`.
    Chunk(Value),
    /// The last event again, so many times.
    RepeatLast(usize),
}

impl Action {
    /// One text delta.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(Deltas::One(text.into()))
    }

    /// `n` text deltas, `delay_ms` apart.
    pub fn text_deltas(n: usize, delay_ms: u64) -> Self {
        Self::Text(Deltas::Counted(Counted { n, delay_ms, stamp: false }))
    }

    /// A well-formed tool call with an id of the server's own.
    pub fn tool_call(name: impl Into<String>, arguments: Value) -> Self {
        Self::ToolCall(ToolCall { name: name.into(), arguments, ..ToolCall::default() })
    }

    /// An HTTP error with the body its status usually has.
    pub fn http_error(status: u16) -> Self {
        Self::HttpError(HttpError { status, ..HttpError::default() })
    }
}

/// Which deltas: one, a list, or so many of the server's own.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Deltas {
    /// One delta.
    One(String),
    /// These, each in its own delta.
    Many(Vec<String>),
    /// `w0 `, `w1 ` … or clock stamps.
    Counted(Counted),
}

/// Deltas made by the server.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Counted {
    /// How many, at most [`DELTAS_MAX`].
    pub n: usize,
    /// Milliseconds waited before each delta but the first; 0 sends them as fast as the socket takes them.
    pub delay_ms: u64,
    /// Each delta is the unix time in nanoseconds at which it was made, then a space.
    pub stamp: bool,
}

/// A tool call as the answer tells it.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ToolCall {
    /// The call's id; made by the server when absent.
    pub id: Option<String>,
    /// The tool's name.
    pub name: String,
    /// The arguments; templates are filled inside its strings.
    pub arguments: Value,
    /// The arguments' text, used instead of `arguments` and possibly not JSON.
    pub arguments_raw: Option<String>,
    /// Over how many deltas the arguments are spread (the one that opens the call not counted); at least 1.
    pub deltas: usize,
    /// How this provider strays from the usual form.
    pub quirks: Vec<Quirk>,
}

impl Default for ToolCall {
    fn default() -> Self {
        Self {
            id: None,
            name: String::new(),
            arguments: Value::Object(serde_json::Map::new()),
            arguments_raw: None,
            deltas: 1,
            quirks: Vec::new(),
        }
    }
}

/// A way in which providers' tool call deltas stray from the usual form.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Quirk {
    /// No `index` in any delta.
    MissingIndex,
    /// No `id` in any delta.
    MissingId,
    /// The id in every delta.
    RepeatedId,
    /// The name in every delta.
    RepeatedName,
    /// An empty name in every delta but the first.
    BlankName,
    /// Id, name and all arguments in one delta.
    Whole,
    /// Arguments as an object instead of a string; implies `whole`.
    ObjectArguments,
}

/// What the answer says was used.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Usage {
    /// Where a stream tells it.
    pub place: UsagePlace,
    /// Input tokens; estimated when absent.
    pub prompt_tokens: Option<u64>,
    /// Output tokens; the number of deltas when absent.
    pub completion_tokens: Option<u64>,
    /// Input tokens read from the provider's cache.
    pub cached_tokens: Option<u64>,
    /// Output tokens spent on reasoning.
    pub reasoning_tokens: Option<u64>,
}

/// Where a stream tells its usage.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum UsagePlace {
    /// In a last chunk whose `choices` are empty.
    #[default]
    FinalChunk,
    /// In `choices[0].usage` of the chunk with the finish reason.
    Choice,
    /// Nowhere.
    None,
}

/// An HTTP error.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpError {
    /// The status, 400 to 599.
    pub status: u16,
    /// More headers; a name must not repeat what the server sends itself.
    pub headers: BTreeMap<String, String>,
    /// The header `retry-after`.
    pub retry_after: Option<RetryAfter>,
    /// `error.code`; `context_length_exceeded` brings its usual message.
    pub code: Option<String>,
    /// `error.message`.
    pub message: Option<String>,
    /// The whole body instead: a string goes as it is (`text/html`), anything else as JSON.
    pub body: Option<Value>,
}

/// What `retry-after` says.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryAfter {
    /// So many seconds.
    Seconds(u64),
    /// An HTTP date so many seconds from now; negative lies in the past.
    DateInSeconds(i64),
    /// This text.
    Text(String),
}

/// A body sent in pieces, each its own HTTP chunk and its own write.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pace {
    /// Bytes of a piece, at least 1; 1 splits every character that has more.
    pub bytes: usize,
    /// Milliseconds waited after each piece.
    #[serde(default)]
    pub delay_ms: u64,
}
