//! Decides whether and when a failed model request is tried again: the wait that the endpoint asked for, else a schedule.
//!
//! The kernel asks before any output of a step was shown, and not about faults that time does not heal. An endpoint
//! that was never heard is tried a few times within seconds, a stall is repeated once. It must not know turns or messages: a failure
//! comes with its class, its provider, and how often and how long it was tried.
#![forbid(unsafe_code)]

mod breaker;
mod settings;
mod state;
mod telling;
mod wait;

use crate::settings::Settings;
use crate::state::State;
use crate::wait::wait_ms;
use dispatch_sdk::contracts::Empty;
use dispatch_sdk::contracts::instance::{Check, CheckReply, Metrics, MetricsReply};
use dispatch_sdk::contracts::retry::{Decide, DecideParams, DecideReply};
use dispatch_sdk::{Call, Config, Extension, Fault, Host, Verbs};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

dispatch_sdk::export!(Backoff, settings);

/// The policy of one build.
struct Backoff {
    settings: Settings,
    state: Mutex<State>,
}

impl Extension for Backoff {
    fn open(_host: Host, config: Config) -> Result<Self, Fault> {
        let settings = Settings::read(&config)?;
        let state = State::new(settings.breaker);
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

#[cfg(test)]
mod tests;
