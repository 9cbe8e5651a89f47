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
    /// Waits in ms after the first, the second … failed request, where the endpoint names no time; the last one repeats.
    /// From 1 to 64 waits, each from 1 ms to 24 h. Default 5 s, 10 s, 30 s, 1 min, 2 min, 3 min.
    pub(crate) delays_ms: Vec<u64>,
    /// A wait becomes longer by up to so many percent of itself, and never shorter. From 0 to 100, default 10.
    pub(crate) jitter_percent: u64,
    /// Most requests of one step, the first included; 1 = nothing is tried again. From 1 to 100, default 30.
    pub(crate) attempts_max: u32,
    /// No request is sent later than this many ms after the step's first one. From 1 ms to 7 days, default 15 min: whoever
    /// waits at a terminal has long looked by then, and a job that can wait longer says so here.
    pub(crate) elapsed_max_ms: u64,
    /// An endpoint that asks for a longer wait, in ms, is not waited for. From 0 to 24 h, default 1 min.
    pub(crate) retry_after_max_ms: u64,
    /// A request that stalls is not tried again once its step has sent so many, because an endpoint begins anew each time.
    /// From 1 to 100, default 2: one repetition.
    pub(crate) stalled_attempts_max: u32,
    /// Waits in ms between the tries of an endpoint that was never heard; after the last one it is given up. At most 64,
    /// each from 1 ms to 24 h; none = it is not tried again. Default 1 s, 2 s, 4 s.
    pub(crate) unreachable_delays_ms: Vec<u64>,
    /// The same endpoint is not tried later than this many ms after the step's first request. From 1 ms to 7 days, default
    /// 10 s: no use to wait at a wrong port, and where a connection takes that long the network has tried it several times.
    pub(crate) unreachable_elapsed_max_ms: u64,
    /// When a provider is given up for all turns.
    pub(crate) breaker: BreakerSettings,
}

/// When a provider is given up for all turns.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct BreakerSettings {
    /// So many failures within `window_ms` open it; 0 = never. At most 1,000, default 30.
    pub(crate) failures: usize,
    /// How far back failures count, in ms. From 1 ms to 1 h, default 1 min.
    pub(crate) window_ms: u64,
    /// How long nothing is tried again, in ms; then one turn each time. From 1 ms to 1 h, default 10 s.
    pub(crate) open_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        let seconds = |seconds: &[u64]| seconds.iter().map(|n| n * SECOND_MS).collect();
        Self {
            delays_ms: seconds(&[5, 10, 30, 60, 120, 180]),
            jitter_percent: 10,
            attempts_max: 30,
            elapsed_max_ms: 15 * MINUTE_MS,
            retry_after_max_ms: MINUTE_MS,
            stalled_attempts_max: 2,
            unreachable_delays_ms: seconds(&[1, 2, 4]),
            unreachable_elapsed_max_ms: 10 * SECOND_MS,
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
        if self.delays_ms.is_empty() {
            return Err(format!("`delays_ms` has 0 waits; it must have from 1 to {DELAYS_MAX}"));
        }
        waits("delays_ms", &self.delays_ms)?;
        waits("unreachable_delays_ms", &self.unreachable_delays_ms)?;
        within("jitter_percent", self.jitter_percent, 0..=100)?;
        let attempts = 1..=u64::from(ATTEMPTS_MAX);
        within("attempts_max", u64::from(self.attempts_max), attempts.clone())?;
        within("stalled_attempts_max", u64::from(self.stalled_attempts_max), attempts)?;
        within("elapsed_max_ms", self.elapsed_max_ms, 1..=ELAPSED_MS_MAX)?;
        within("unreachable_elapsed_max_ms", self.unreachable_elapsed_max_ms, 1..=ELAPSED_MS_MAX)?;
        within("retry_after_max_ms", self.retry_after_max_ms, 0..=WAIT_MS_MAX)?;
        within("breaker.failures", self.breaker.failures as u64, 0..=BREAKER_FAILURES_MAX as u64)?;
        within("breaker.window_ms", self.breaker.window_ms, 1..=BREAKER_MS_MAX)?;
        within("breaker.open_ms", self.breaker.open_ms, 1..=BREAKER_MS_MAX)
    }
}

fn waits(key: &str, waits_ms: &[u64]) -> Result<(), String> {
    if waits_ms.len() > DELAYS_MAX {
        return Err(format!("`{key}` has {} waits; it must have at most {DELAYS_MAX}", waits_ms.len()));
    }
    let mut waits = waits_ms.iter().enumerate();
    waits.try_for_each(|(idx, wait_ms)| within(&format!("{key}[{idx}]"), *wait_ms, 1..=WAIT_MS_MAX))
}

fn within(key: &str, found: u64, range: RangeInclusive<u64>) -> Result<(), String> {
    match range.contains(&found) {
        true => Ok(()),
        false => Err(format!("`{key}` is {found}; it must be from {} to {}", range.start(), range.end())),
    }
}
