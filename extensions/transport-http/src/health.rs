//! Whether the host can do work: the kernel's word, kept for a moment, so that probes cost nobody anything.
//!
//! It must not know what an instance can or cannot do.

use dispatch_sdk::Host;
use dispatch_sdk::contracts::kernel::{Health as Ask, HealthState};
use dispatch_sdk::contracts::verb::Empty;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long an answer is kept.
const KEPT: Duration = Duration::from_millis(500);
/// Longest wait for one; a kernel that does not answer is not ready either.
const WITHIN: Duration = Duration::from_millis(250);

/// The answer that was heard last, and when it was asked for.
#[derive(Default)]
pub(crate) struct Health(Mutex<Option<(Instant, bool)>>);

impl Health {
    pub(crate) async fn is_ok(&self, host: &Host) -> bool {
        let now = Instant::now();
        let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, is_ok)) = last.filter(|(at, _)| now.duration_since(*at) < KEPT) {
            return is_ok;
        }
        let answer = tokio::time::timeout(WITHIN, host.call(Ask, &Empty {})).await;
        let is_ok = matches!(answer, Ok(Ok(health)) if health.state == HealthState::Ok);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, is_ok));
        is_ok
    }
}
