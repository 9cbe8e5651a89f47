//! How the host and its instances stand, and how an instance says so.

use crate::verb::{Empty, Limits, Mode, NoFrame, Verb};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `kernel.v1/health`.
pub struct Health;

impl Verb for Health {
    type Params = Empty;
    type Reply = HealthReply;
    type Frame = NoFrame;
    const NAME: &'static str = "kernel.v1/health";
    const MODE: Mode = Mode::Inline;
    const LIMITS: Limits = Limits::short(1_000);
}

/// How the running host stands, and its numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HealthReply {
    /// The worst of the instances that the build cannot do without: those it requires, and what these depend on.
    #[serde(default)]
    pub state: HealthState,
    /// Calls open now.
    pub calls_open: u64,
    /// Of these, long ones.
    pub long_calls_open: u64,
    /// Per instance, in order of activation.
    pub instances: Vec<InstanceHealth>,
}

/// Numbers of one instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InstanceHealth {
    /// Instance id.
    pub id: String,
    /// Calls it has answered, with a fault or without.
    pub calls: u64,
    /// Panics of its code, in calls and outside.
    pub panics: u64,
    /// What the last of them said, with its entry and place; empty when there was none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub last_panic: String,
    /// Of these, refused as `overloaded`.
    pub overloaded: u64,
    /// Slots taken now.
    pub calls_in_flight: u64,
    /// As it reported itself last.
    #[serde(default)]
    pub state: HealthState,
    /// Why it is not `ok`, and what to do; empty when it is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// Whether an instance can do its work now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum HealthState {
    /// It can; and so it is with one that never reported.
    #[default]
    Ok,
    /// It never will again in this process: the host has to end.
    Failed,
    /// It cannot now, and will by itself when what it lacks is there again. So counts what the reader does not know.
    #[serde(other)]
    Degraded,
}

impl HealthState {
    /// 0 for `ok`, then the worse the higher.
    pub fn severity(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Degraded => 1,
            Self::Failed => 2,
        }
    }
}

/// Most bytes of a reported reason; the rest is cut.
pub const HEALTH_REASON_BYTES_MAX: usize = 1024;

/// `kernel.v1/report`: the calling instance says whether it can do its work from now on, until it says otherwise.
///
/// `failed` is for good: what is reported after it is passed over, and a host that serves ends if the build cannot do
/// without the instance.
pub struct Report;

impl Verb for Report {
    type Params = ReportParams;
    type Reply = Empty;
    type Frame = NoFrame;
    const NAME: &'static str = "kernel.v1/report";
    const MODE: Mode = Mode::Inline;
    const LIMITS: Limits = Limits::short(1_000);
}

/// How the caller stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportParams {
    /// Whether it can.
    pub state: HealthState,
    /// What was found and what to do about it, one line, at most [`HEALTH_REASON_BYTES_MAX`] bytes.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}
