//! What a build may set. It must not know what it is used for.

use crate::request::check_name;
use dispatch_sdk::Fault;
use dispatch_sdk::contracts::fault::INVALID;
use schemars::JsonSchema;
use serde::Deserialize;

/// Highest values that a build may set.
const RUNNING_LIMIT: usize = 1024;
const QUEUED_LIMIT: usize = 100_000;

/// What a build may set.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    /// Most turns that run at a time; each takes three or four of the host's long calls.
    #[schemars(range(min = 1, max = RUNNING_LIMIT))]
    pub(crate) turns_running_max: usize,
    /// Most turns that are accepted and wait; beyond it a start is `overloaded`.
    #[schemars(range(max = QUEUED_LIMIT))]
    turns_queued_max: usize,
    /// Provider of a conversation that has none yet; empty = the only one that is ready.
    pub(crate) default_provider: String,
    /// Model of a conversation that has none yet, with the default provider; empty = the provider's own default.
    pub(crate) default_model: String,
    /// What runs the turns of a conversation that has none yet; empty = `native`, the kernel's own loop.
    pub(crate) default_engine: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            turns_running_max: 512,
            turns_queued_max: 10_000,
            default_provider: String::new(),
            default_model: String::new(),
            default_engine: String::new(),
        }
    }
}

impl Settings {
    /// Errors: `invalid`, naming the key and its bounds.
    pub(crate) fn checked(self) -> Result<Self, Fault> {
        let bounded = |key: &str, value: usize, least: usize, most: usize| {
            if (least..=most).contains(&value) {
                return Ok(());
            }
            Err(Fault::new(INVALID, format!("`{key}` is {value}; use {least} to {most}")))
        };
        bounded("turns_running_max", self.turns_running_max, 1, RUNNING_LIMIT)?;
        bounded("turns_queued_max", self.turns_queued_max, 0, QUEUED_LIMIT)?;
        check_name("default_provider", &self.default_provider)?;
        check_name("default_model", &self.default_model)?;
        check_name("default_engine", &self.default_engine)?;
        Ok(self)
    }

    /// Most turns that are accepted and not over.
    pub(crate) fn turns_max(&self) -> usize {
        self.turns_running_max + self.turns_queued_max
    }
}
