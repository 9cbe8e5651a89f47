//! What the policy remembers between two failures, and what of it decides with them. It must not know how it is shown.

use crate::breaker::{Breakers, Gate};
use crate::settings::BreakerSettings;
use crate::wait::GiveUp;
use dispatch_sdk::contracts::provider::FaultClass;
use dispatch_sdk::contracts::retry::DecideParams;
use std::collections::BTreeMap;

/// What is remembered between two failures.
pub(crate) struct State {
    pub(crate) breakers: Breakers,
    /// Requests that are tried again, by class of the fault.
    pub(crate) n_retries: BTreeMap<&'static str, u64>,
    /// Requests that are not, by [`GiveUp::word`].
    pub(crate) n_give_ups: BTreeMap<&'static str, u64>,
}

impl State {
    pub(crate) fn new(breaker: BreakerSettings) -> Self {
        Self { breakers: Breakers::new(breaker), n_retries: BTreeMap::new(), n_give_ups: BTreeMap::new() }
    }

    /// Counts the failure, and lets the breaker of its provider overrule the wait.
    pub(crate) fn decide(
        &mut self,
        failed: &DecideParams,
        wait: Result<u64, GiveUp>,
        now_ms: u64,
    ) -> Result<u64, GiveUp> {
        let DecideParams { class, provider, attempt, .. } = failed;
        // An endpoint that says "too many requests" works: its turns wait their time.
        let gate = match class {
            FaultClass::RateLimited => Gate::Passes,
            _ => self.breakers.failed(provider, now_ms),
        };
        if gate == Gate::Opens {
            tracing::warn!(
                provider,
                class = class.code(),
                "the provider fails for everybody; its turns give up"
            );
        }
        let decided = match gate {
            Gate::Passes => wait,
            Gate::Opens | Gate::Shut => wait.and(Err(GiveUp::Breaker)),
        };
        match decided {
            Ok(_) => *self.n_retries.entry(class.code()).or_default() += 1,
            Err(reason) => {
                *self.n_give_ups.entry(reason.word()).or_default() += 1;
                tracing::info!(provider, class = class.code(), attempt, reason = reason.word(), "gave up");
            }
        }
        decided
    }
}
