//! What every verb of every contract says about itself.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// How the callee's future is driven. A way that the reader does not know counts as `spawned`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Polled in place by the caller: no tokio, no blocking, no frames; about a microsecond.
    Inline,
    /// Run on the instance's own runtime; may block, may use tokio, may emit frames.
    #[serde(other)]
    Spawned,
}

/// How long a call of a verb may take. They belong to the verb, whoever serves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Total budget in ms; 0 = no total deadline.
    #[serde(default)]
    pub budget_ms: u64,
    /// Longest silence in ms (no frame, no nested call in flight, no wait that the host ends); 0 = none.
    #[serde(default)]
    pub silence_ms: u64,
    /// Whether the call takes no slot of `calls_in_flight_max` and one of its verb's long calls instead.
    #[serde(default)]
    pub long: bool,
}

impl Limits {
    /// A verb that answers within `budget_ms`.
    pub const fn short(budget_ms: u64) -> Self {
        Self { budget_ms, silence_ms: 0, long: false }
    }

    /// A verb without a total deadline; `silence_ms` 0 = no silence limit either.
    pub const fn long(silence_ms: u64) -> Self {
        Self { budget_ms: 0, silence_ms, long: true }
    }
}

/// One verb of a contract.
pub trait Verb: Send + Sync + 'static {
    /// What the caller sends.
    type Params: Serialize + DeserializeOwned + Send;
    /// What comes back at the end.
    type Reply: Serialize + DeserializeOwned + Send;
    /// What is emitted before the end; [`NoFrame`] for verbs without frames.
    type Frame: Serialize + DeserializeOwned + Send;
    /// Wire name without target, `storage.v1/get`.
    const NAME: &'static str;
    /// How the callee drives it.
    const MODE: Mode;
    /// How long it may take.
    const LIMITS: Limits;
}

/// `{}`: nothing to say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Empty {}

/// The frame type of verbs that emit none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum NoFrame {}

/// What comes out of a call stream. Where reading can fail, a fault is the end as well.
#[derive(Debug)]
pub enum Item<F, R> {
    /// One frame; more may follow.
    Frame(F),
    /// The end, with the reply; nothing follows.
    End(R),
}

/// The contract part of a verb's wire name: `tool.v1` of `tool.v1/run#read_file`.
pub fn contract_of(verb: &str) -> &str {
    verb.split_once('/').map_or(verb, |(contract, _)| contract)
}
