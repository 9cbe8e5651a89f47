//! The configuration, checked once. It must not know requests.

use dispatch_sdk::fault::INVALID;
use dispatch_sdk::{Config, Fault};
use serde::Deserialize;
use std::ops::RangeInclusive;

/// Most waits of a schedule.
const DELAYS_MAX: usize = 64;
/// The longest wait of a schedule, and the longest that an endpoint may be granted.
const WAIT_MS_MAX: u64 = 24 * HOUR_MS;
/// The longest a step may go on trying.
const ELAPSED_MS_MAX: u64 = 7 * 24 * HOUR_MS;
/// Most requests of one step; the kernel's own bound.
const ATTEMPTS_MAX: u32 = 100;
/// The longest times of a breaker.
const BREAKER_MS_MAX: u64 = HOUR_MS;
/// Most failures that a breaker counts up to.
const BREAKER_FAILURES_MAX: usize = 1_000;

const SECOND_MS: u64 = 1_000;
const MINUTE_MS: u64 = 60 * SECOND_MS;
const HOUR_MS: u64 = 60 * MINUTE_MS;

/// What a build may write; a wrong key is refused.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    /// Waits after the first, the second … failed request, where the endpoint names no time; the last one repeats.
    pub(crate) delays_ms: Vec<u64>,
    /// A wait becomes longer by up to so many percent of itself, and never shorter.
    pub(crate) jitter_percent: u64,
    /// Most requests of one step, the first included; 1 = nothing is tried again.
    pub(crate) attempts_max: u32,
    /// No request is sent later than this after the step's first one.
    pub(crate) elapsed_max_ms: u64,
    /// An endpoint that asks for a longer wait is not waited for.
    pub(crate) retry_after_max_ms: u64,
    pub(crate) breaker: BreakerSettings,
}

/// When a provider is given up for all turns.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct BreakerSettings {
    /// So many failures within `window_ms` open it; 0 = never.
    pub(crate) failures: usize,
    pub(crate) window_ms: u64,
    /// How long nothing is tried again; then one turn each time.
    pub(crate) open_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        let seconds = [5, 10, 30].map(|n| n * SECOND_MS);
        let minutes = [1, 5, 10, 15, 30].map(|n| n * MINUTE_MS);
        Self {
            delays_ms: [seconds.as_slice(), minutes.as_slice()].concat(),
            jitter_percent: 10,
            attempts_max: 30,
            elapsed_max_ms: 8 * HOUR_MS,
            retry_after_max_ms: MINUTE_MS,
            breaker: BreakerSettings::default(),
        }
    }
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self { failures: 30, window_ms: MINUTE_MS, open_ms: 10 * SECOND_MS }
    }
}

impl Settings {
    /// Reads and checks the configuration; `invalid` names the key that is wrong.
    pub(crate) fn read(config: &Config) -> Result<Self, Fault> {
        let settings: Self = config.parse()?;
        settings.check().map_err(|wrong| {
            Fault::new(INVALID, format!("cannot use the configuration of `{}`: {wrong}", config.instance()))
        })?;
        Ok(settings)
    }

    fn check(&self) -> Result<(), String> {
        let n_delays = self.delays_ms.len();
        if !(1..=DELAYS_MAX).contains(&n_delays) {
            return Err(format!("`delays_ms` has {n_delays} waits; it must have from 1 to {DELAYS_MAX}"));
        }
        for (idx, delay_ms) in self.delays_ms.iter().enumerate() {
            within(&format!("delays_ms[{idx}]"), *delay_ms, 1..=WAIT_MS_MAX)?;
        }
        within("jitter_percent", self.jitter_percent, 0..=100)?;
        within("attempts_max", u64::from(self.attempts_max), 1..=u64::from(ATTEMPTS_MAX))?;
        within("elapsed_max_ms", self.elapsed_max_ms, 1..=ELAPSED_MS_MAX)?;
        within("retry_after_max_ms", self.retry_after_max_ms, 0..=WAIT_MS_MAX)?;
        within("breaker.failures", self.breaker.failures as u64, 0..=BREAKER_FAILURES_MAX as u64)?;
        within("breaker.window_ms", self.breaker.window_ms, 1..=BREAKER_MS_MAX)?;
        within("breaker.open_ms", self.breaker.open_ms, 1..=BREAKER_MS_MAX)
    }
}

fn within(key: &str, found: u64, range: RangeInclusive<u64>) -> Result<(), String> {
    match range.contains(&found) {
        true => Ok(()),
        false => Err(format!("`{key}` is {found}; it must be from {} to {}", range.start(), range.end())),
    }
}
