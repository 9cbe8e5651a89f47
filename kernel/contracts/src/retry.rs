//! `retry.v1`: whether and when a failed model request is tried again. Single-valued; without it nothing is retried.
//!
//! The kernel asks only before any output of the step was shown. `decide` is inline and pure.

use crate::provider::FaultClass;
use crate::verb::{Limits, Mode, NoFrame, Verb};
use serde::{Deserialize, Serialize};

/// `retry.v1/decide`.
pub struct Decide;

impl Verb for Decide {
    type Params = DecideParams;
    type Reply = DecideReply;
    type Frame = NoFrame;
    const NAME: &'static str = "retry.v1/decide";
    const MODE: Mode = Mode::Inline;
    const LIMITS: Limits = Limits::short(1_000);
}

/// What went wrong, and how often.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecideParams {
    /// Class of the fault; only retryable ones are asked about.
    pub class: FaultClass,
    /// Provider name, for breakers.
    pub provider: String,
    /// Failed requests of this step so far, from 1.
    pub attempt: u32,
    /// What the endpoint asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// Since the step's first request.
    pub elapsed_ms: u64,
}

/// The decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecideReply {
    /// Wait before the next request; absent = give up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay_ms: Option<u64>,
}
