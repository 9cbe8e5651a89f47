//! Which providers fail so often that trying again is of no use. It must not know how long a turn waits.
//!
//! It hears of failures only, because nobody asks a retry policy about a success: so many failures within a window open
//! the breaker of a provider, then one turn is let through each `open_ms`, and a whole window without a failure closes it.
//! A turn's first request is never held up: the kernel sends it without asking.

use crate::settings::BreakerSettings;
use std::collections::{HashMap, VecDeque};

/// Most providers remembered; the one that has not failed for the longest time is forgotten first.
pub(crate) const PROVIDERS_MAX: usize = 64;

/// The breakers of all providers.
#[derive(Debug)]
pub(crate) struct Breakers {
    settings: BreakerSettings,
    providers: HashMap<String, Breaker>,
}

#[derive(Debug, Default)]
struct Breaker {
    /// When it failed, the oldest first; none is older than the window.
    failures: VecDeque<u64>,
    /// Set by the failure that opened it, moved by each that was let through since.
    open_until: Option<u64>,
    failed_at: u64,
}

/// What a failure means for the turn it happened to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gate {
    /// It may try again.
    Passes,
    /// It may not, and this very failure opened the breaker.
    Opens,
    /// It may not.
    Shut,
}

impl Breakers {
    pub(crate) fn new(settings: BreakerSettings) -> Self {
        Self { settings, providers: HashMap::new() }
    }

    /// Counts a failure of `provider`.
    pub(crate) fn failed(&mut self, provider: &str, now_ms: u64) -> Gate {
        if self.settings.failures == 0 {
            return Gate::Passes;
        }
        if !self.providers.contains_key(provider) {
            self.make_room();
        }
        self.providers.entry(provider.to_owned()).or_default().failed(now_ms, &self.settings)
    }

    /// Each provider remembered, in the order of their names, with the ms for which its breaker stays open, if it is.
    pub(crate) fn states(&self, now_ms: u64) -> Vec<(&str, Option<u64>)> {
        let mut states: Vec<_> =
            self.providers.iter().map(|(name, breaker)| (name.as_str(), breaker.open_ms(now_ms))).collect();
        states.sort_unstable();
        states
    }

    fn make_room(&mut self) {
        if self.providers.len() < PROVIDERS_MAX {
            return;
        }
        let oldest = self.providers.iter().min_by_key(|(_, breaker)| breaker.failed_at);
        if let Some(name) = oldest.map(|(name, _)| name.clone()) {
            self.providers.remove(&name);
        }
    }
}

impl Breaker {
    fn failed(&mut self, now_ms: u64, settings: &BreakerSettings) -> Gate {
        if now_ms < self.failed_at {
            // The clock was set back: nothing that was noted can be compared with it.
            *self = Self::default();
        }
        self.failed_at = now_ms;
        match self.open_until {
            Some(until) if now_ms < until => return Gate::Shut,
            Some(until) if now_ms - until < settings.window_ms => {
                self.open_until = Some(now_ms + settings.open_ms);
                return Gate::Passes;
            }
            Some(_) | None => self.open_until = None,
        }
        self.failures.push_back(now_ms);
        while self.failures.front().is_some_and(|at| now_ms - at > settings.window_ms) {
            self.failures.pop_front();
        }
        if self.failures.len() < settings.failures {
            return Gate::Passes;
        }
        self.failures.clear();
        self.open_until = Some(now_ms + settings.open_ms);
        Gate::Opens
    }

    fn open_ms(&self, now_ms: u64) -> Option<u64> {
        let until = self.open_until.filter(|_| now_ms >= self.failed_at)?;
        until.checked_sub(now_ms).filter(|ms| *ms > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::{Breakers, Gate};
    use crate::settings::BreakerSettings;

    #[test]
    fn a_clock_that_is_set_back_holds_no_breaker_open() {
        let mut breakers = Breakers::new(BreakerSettings { failures: 2, window_ms: 100, open_ms: 1_000 });
        let year_ms = 365 * 24 * 3_600_000;
        assert_eq!(breakers.failed("p", year_ms), Gate::Passes);
        assert_eq!(breakers.failed("p", year_ms), Gate::Opens);
        assert_eq!(breakers.states(year_ms), [("p", Some(1_000))]);
        assert_eq!(breakers.states(5), [("p", None)]);
        assert_eq!(breakers.failed("p", 5), Gate::Passes);
        assert_eq!(breakers.failed("p", 5), Gate::Opens);
        assert_eq!(breakers.failed("p", 2 * year_ms), Gate::Passes, "forward, it is long over");
    }
}
