//! Decides whether and when a failed model request is tried again: the wait that the endpoint asked for, else a schedule.
//!
//! The kernel asks before any output of a step was shown, and not about faults that time does not heal. An endpoint
//! that was never heard is tried a few times within seconds, a stall is repeated once. It must not know turns or messages: a failure
//! comes with its class, its provider, and how often and how long it was tried.
#![forbid(unsafe_code)]

mod breaker;
mod settings;
mod telling;
mod wait;

use crate::breaker::{Breakers, Gate};
use crate::settings::Settings;
use crate::wait::{GiveUp, wait_ms};
use dispatch_sdk::contracts::Empty;
use dispatch_sdk::contracts::instance::{Check, CheckReply, Metrics, MetricsReply};
use dispatch_sdk::contracts::provider::FaultClass;
use dispatch_sdk::contracts::retry::{Decide, DecideParams, DecideReply};
use dispatch_sdk::{Call, Config, Extension, Fault, Host, Verbs};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

dispatch_sdk::export!(Backoff);

/// The policy of one build.
struct Backoff {
    settings: Settings,
    state: Mutex<State>,
}

/// What is remembered between two failures.
struct State {
    breakers: Breakers,
    /// Requests that are tried again, by class of the fault.
    n_retries: BTreeMap<&'static str, u64>,
    /// Requests that are not, by [`GiveUp::word`].
    n_give_ups: BTreeMap<&'static str, u64>,
}

impl Extension for Backoff {
    fn open(_host: Host, config: Config) -> Result<Self, Fault> {
        let settings = Settings::read(&config)?;
        let breakers = Breakers::new(settings.breaker);
        let state = State { breakers, n_retries: BTreeMap::new(), n_give_ups: BTreeMap::new() };
        Ok(Self { settings, state: Mutex::new(state) })
    }

    fn verbs(verbs: &mut Verbs<Self>) {
        verbs.on(Decide, Self::decide);
        verbs.on(Metrics, Self::metrics);
        verbs.on_inline(Check, Self::check);
    }
}

impl Backoff {
    async fn decide(self: Arc<Self>, call: Call, failed: DecideParams) -> Result<DecideReply, Fault> {
        let host = call.host();
        // A caller without a turn gets a jitter of its own.
        let turn_id = call.meta().turn_id.unwrap_or_else(|| host.new_id());
        let wait = wait_ms(&self.settings, &failed, &turn_id);
        Ok(DecideReply { delay_ms: self.state().decide(&failed, wait, host.now_ms()).ok() })
    }

    async fn metrics(self: Arc<Self>, call: Call, _params: Empty) -> Result<MetricsReply, Fault> {
        Ok(telling::metrics(&self.state(), call.host().now_ms()))
    }

    async fn check(self: Arc<Self>, call: Call, _params: Empty) -> Result<CheckReply, Fault> {
        Ok(telling::check(&self.settings, &self.state(), call.host().now_ms()))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Counts the failure, and lets the breaker of its provider overrule the wait.
    fn decide(
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

#[cfg(test)]
mod tests;
