//! What a turn that runs in this process waits for.

use crate::filter::{FilterSpec, Point};
use crate::verb::{Limits, Mode, NoFrame, Verb};
use serde::{Deserialize, Serialize};

/// `kernel.v1/explain`: what a turn that runs in this process waits for. A turn that is over is explained by its log.
///
/// Codes: `not_found` no such turn runs here.
pub struct Explain;

impl Verb for Explain {
    type Params = ExplainParams;
    type Reply = ExplainReply;
    type Frame = NoFrame;
    const NAME: &'static str = "kernel.v1/explain";
    const MODE: Mode = Mode::Inline;
    const LIMITS: Limits = Limits::short(1_000);
}

/// Which turn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainParams {
    /// The turn.
    pub turn_id: String,
}

/// A running turn as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainReply {
    /// The turn.
    pub turn_id: String,
    /// Position of the step under way, from 0; absent before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step_idx: Option<u32>,
    /// Since the turn began.
    pub running_ms: u64,
    /// It was told to stop.
    #[serde(default)]
    pub stopping: bool,
    /// What it waits for now, the longest first; several while tools run side by side.
    pub waits: Vec<Wait>,
    /// The filters that it asks, in the order of the points, then in the order they are asked.
    pub filters: Vec<PointFilters>,
}

/// One thing that a turn waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wait {
    /// What kind of thing.
    pub on: WaitOn,
    /// Its name: of the provider, the tool, the filter; else empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The call concerned, for `tool`, `ask` and a filter of `tool.*`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<String>,
    /// For how long by now.
    pub since_ms: u64,
}

/// What a turn can wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitOn {
    /// The provider's stream.
    Provider,
    /// The retry policy's answer.
    RetryPolicy,
    /// The time before the next request.
    RetrySleep,
    /// A filter's answer.
    Filter,
    /// A person's consent.
    Ask,
    /// A tool's end.
    Tool,
    /// Something to be durable.
    Commit,
    /// Whoever ran the turn to take a frame.
    Reader,
    /// What was said meanwhile.
    Steering,
    /// The history to go on with.
    Boundary,
    /// The engine that runs it.
    Engine,
    /// Something of a later version.
    #[serde(other)]
    Unknown,
}

/// The filters of one point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PointFilters {
    /// The point.
    pub point: Point,
    /// In the order they are asked.
    pub filters: Vec<FilterSpec>,
}
