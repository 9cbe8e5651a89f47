//! How many turns began and ended, how, how long they took, and what they used. It must not know who asks.

use crate::outcome::End;
use dispatch_sdk::contracts::event::TurnStatus;
use dispatch_sdk::contracts::instance::Metric;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Most classes of failure that are counted apart; what comes later is `other`.
const FAILURES_MAX: usize = 32;
/// Turns are counted by the first of these that they ended within.
const WITHIN_MS: [(u64, &str); 7] = [
    (250, "0.25"),
    (1_000, "1"),
    (5_000, "5"),
    (30_000, "30"),
    (120_000, "120"),
    (600_000, "600"),
    (u64::MAX, "+Inf"),
];
const STATUSES: [TurnStatus; 4] =
    [TurnStatus::Completed, TurnStatus::Failed, TurnStatus::Interrupted, TurnStatus::Cancelled];

/// Turns counted since the instance started.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) accepted: AtomicU64,
    started: AtomicU64,
    waited_ms: AtomicU64,
    /// In the order of [`STATUSES`].
    ended: [AtomicU64; STATUSES.len()],
    /// Class or code → turns that failed so.
    failed: Mutex<BTreeMap<String, u64>>,
    duration_ms: AtomicU64,
    /// In the order of [`WITHIN_MS`], each with those before it.
    within: [AtomicU64; WITHIN_MS.len()],
    steps: AtomicU64,
    input_tokens: AtomicU64,
    output_tokens: AtomicU64,
}

impl Counts {
    /// A turn runs after it has waited so long.
    pub(crate) fn started(&self, waited_ms: u64) {
        add(&self.started, 1);
        add(&self.waited_ms, waited_ms);
    }

    pub(crate) fn ended(&self, end: &End) {
        let ended = &end.ended;
        if let Some(idx) = STATUSES.iter().position(|status| *status == ended.status) {
            add(&self.ended[idx], 1);
        }
        if ended.status == TurnStatus::Failed {
            self.failed_by(end.failure.as_deref().unwrap_or(&ended.reason));
        }
        add(&self.duration_ms, ended.duration_ms);
        for ((limit_ms, _), counter) in WITHIN_MS.iter().zip(&self.within) {
            add(counter, u64::from(ended.duration_ms <= *limit_ms));
        }
        add(&self.steps, end.n_steps);
        add(&self.input_tokens, ended.usage.input_tokens);
        add(&self.output_tokens, ended.usage.output_tokens);
    }

    fn failed_by(&self, class: &str) {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        let counted = failed.contains_key(class) || failed.len() < FAILURES_MAX;
        *failed.entry(if counted { class } else { "other" }.to_owned()).or_default() += 1;
    }

    /// All of it, as an operator reads it.
    pub(crate) fn metrics(&self) -> Vec<Metric> {
        let read = |counter: &AtomicU64| count(counter.load(Ordering::Relaxed));
        let counter = |name: &str, help: &str, n: &AtomicU64| Metric::counter(name, help, read(n));
        let seconds = |name: &str, help: &str, ms: &AtomicU64| Metric::counter(name, help, read(ms) / 1000.0);
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        vec![
            counter("dispatch_turns_accepted_total", "Turns accepted.", &self.accepted),
            counter("dispatch_turns_started_total", "Turns that began to run.", &self.started),
            seconds(
                "dispatch_turns_waited_seconds_total",
                "Time between accepting turns and running them.",
                &self.waited_ms,
            ),
            Metric::counters(
                "dispatch_turns_ended_total",
                "Turns that ended, by how.",
                "status",
                STATUSES.iter().zip(&self.ended).map(|(status, n)| (status_word(*status), read(n))),
            ),
            Metric::counters(
                "dispatch_turns_failed_total",
                "Turns that failed, by the provider's class or the fault's code.",
                "class",
                failed.into_iter().map(|(class, n)| (class, count(n))),
            ),
            seconds(
                "dispatch_turns_seconds_total",
                "Time between the input of turns and their end.",
                &self.duration_ms,
            ),
            Metric::counters(
                "dispatch_turns_within_total",
                "Turns that ended within so many seconds of their input.",
                "le",
                WITHIN_MS.iter().zip(&self.within).map(|((_, seconds), n)| (*seconds, read(n))),
            ),
            counter("dispatch_turns_steps_total", "Steps that turns completed.", &self.steps),
            counter("dispatch_turns_input_tokens_total", "Tokens sent to models.", &self.input_tokens),
            counter("dispatch_turns_output_tokens_total", "Tokens made by models.", &self.output_tokens),
        ]
    }
}

/// The word for it in logs and labels.
pub(crate) fn status_word(status: TurnStatus) -> &'static str {
    match status {
        TurnStatus::Completed => "completed",
        TurnStatus::Failed => "failed",
        TurnStatus::Interrupted => "interrupted",
        TurnStatus::Cancelled => "cancelled",
    }
}

fn add(counter: &AtomicU64, n: u64) {
    counter.fetch_add(n, Ordering::Relaxed);
}

/// A count as a metric's number; exact up to 2^53.
#[expect(clippy::cast_precision_loss, reason = "nobody counts so far")]
pub(crate) fn count(n: u64) -> f64 {
    n as f64
}
