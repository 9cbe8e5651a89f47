//! How long to wait before the next request, as a function of the failure alone. It must not know what failed before.

use crate::settings::Settings;
use dispatch_sdk::contracts::provider::FaultClass;
use dispatch_sdk::contracts::retry::DecideParams;
use std::hash::{DefaultHasher, Hash, Hasher};

/// An endpoint that asks for less is not asked again sooner, or its requests would be spent at once.
pub(crate) const RETRY_AFTER_MS_MIN: u64 = 250;

/// Why a request is not tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum GiveUp {
    /// The same request fails again.
    Class,
    /// The step has sent enough requests.
    Attempts,
    /// The step would go on for too long.
    Elapsed,
    /// The endpoint asks for more time than it is granted.
    RetryAfter,
    /// An endpoint that was never heard has had its tries.
    Unreachable,
    /// It was silent again.
    Stalled,
    /// The provider fails for everybody.
    Breaker,
}

impl GiveUp {
    /// The word for metrics and logs.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Class => "class",
            Self::Attempts => "attempts",
            Self::Elapsed => "elapsed",
            Self::RetryAfter => "retry_after",
            Self::Unreachable => "unreachable",
            Self::Stalled => "stalled",
            Self::Breaker => "breaker",
        }
    }
}

/// The wait before the next request, never shorter than what the endpoint asked for. `turn_id` moves it a little, so that
/// turns which failed together do not come back together; the same turn always gets the same wait.
pub(crate) fn wait_ms(settings: &Settings, failed: &DecideParams, turn_id: &str) -> Result<u64, GiveUp> {
    // A class of a later version is asked about only when its provider says that time heals it.
    if !failed.class.retryable() && failed.class != FaultClass::Unknown {
        return Err(GiveUp::Class);
    }
    if failed.attempt >= settings.attempts_max {
        return Err(GiveUp::Attempts);
    }
    if failed.class == FaultClass::Stalled && failed.attempt >= settings.stalled_attempts_max {
        return Err(GiveUp::Stalled);
    }
    let is_unreachable = failed.class == FaultClass::Unreachable;
    let base_ms = match failed.retry_after_ms {
        _ if is_unreachable => *nth(&settings.unreachable_delays_ms, failed).ok_or(GiveUp::Unreachable)?,
        Some(asked_ms) if asked_ms > settings.retry_after_max_ms => return Err(GiveUp::RetryAfter),
        Some(asked_ms) => asked_ms.max(RETRY_AFTER_MS_MIN),
        None => scheduled_ms(&settings.delays_ms, failed),
    };
    let delay_ms = base_ms + jitter_ms(base_ms * settings.jitter_percent / 100, failed, turn_id);
    let next_at_ms = failed.elapsed_ms.saturating_add(delay_ms);
    match is_unreachable {
        true if next_at_ms > settings.unreachable_elapsed_max_ms => Err(GiveUp::Unreachable),
        false if next_at_ms > settings.elapsed_max_ms => Err(GiveUp::Elapsed),
        true | false => Ok(delay_ms),
    }
}

fn scheduled_ms(delays_ms: &[u64], failed: &DecideParams) -> u64 {
    let delay_ms = nth(delays_ms, failed).or(delays_ms.last());
    *delay_ms.expect("a schedule without waits was refused when it was read")
}

/// The wait after this attempt; they count from 1.
fn nth<'d>(delays_ms: &'d [u64], failed: &DecideParams) -> Option<&'d u64> {
    delays_ms.get(failed.attempt.saturating_sub(1) as usize)
}

/// From 0 to `ms_max`.
fn jitter_ms(ms_max: u64, failed: &DecideParams, turn_id: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (turn_id, &failed.provider, failed.attempt).hash(&mut hasher);
    hasher.finish() % (ms_max + 1)
}
