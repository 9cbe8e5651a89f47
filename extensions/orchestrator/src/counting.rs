//! `instance.v1/metrics`: how many turns run, wait, began and ended.

use crate::Orchestrator;
use crate::running::Outcome;
use dispatch_sdk::contracts::Empty;
use dispatch_sdk::contracts::event::TurnStatus;
use dispatch_sdk::contracts::instance::{Metric, MetricKind, MetricsReply, Sample};
use dispatch_sdk::{Call, Fault};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Turns counted since the instance started.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) accepted: AtomicU64,
    completed: AtomicU64,
    failed: AtomicU64,
    interrupted: AtomicU64,
    cancelled: AtomicU64,
}

impl Counts {
    pub(crate) fn ended(&self, outcome: &Outcome) {
        let counter = match outcome {
            Outcome::Ran(ended) => match ended.status {
                TurnStatus::Completed => &self.completed,
                TurnStatus::Failed => &self.failed,
                TurnStatus::Interrupted => &self.interrupted,
                TurnStatus::Cancelled => &self.cancelled,
            },
            Outcome::StoppedBefore => &self.cancelled,
            Outcome::Broke(_) => &self.failed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

impl Orchestrator {
    pub(crate) async fn metrics(self: Arc<Self>, _call: Call, _params: Empty) -> Result<MetricsReply, Fault> {
        let (open, running) = (self.turns.len(), self.gates.n_running());
        let counts = &self.counts;
        let ended = [
            ("completed", &counts.completed),
            ("failed", &counts.failed),
            ("interrupted", &counts.interrupted),
            ("cancelled", &counts.cancelled),
        ];
        let by_status = ended.map(|(status, counter)| Sample {
            labels: BTreeMap::from([("status".to_owned(), status.to_owned())]),
            value: value(counter.load(Ordering::Relaxed)),
        });
        let one = |n: u64| vec![Sample { labels: BTreeMap::new(), value: value(n) }];
        let metric = |name: &str, help: &str, kind, samples| Metric {
            name: name.to_owned(),
            help: help.to_owned(),
            kind,
            samples,
        };
        let queued = open.saturating_sub(running) as u64;
        let accepted = counts.accepted.load(Ordering::Relaxed);
        Ok(MetricsReply {
            metrics: vec![
                metric(
                    "dispatch_turns_running",
                    "Turns that run now.",
                    MetricKind::Gauge,
                    one(running as u64),
                ),
                metric(
                    "dispatch_turns_queued",
                    "Turns that were accepted and wait for their run.",
                    MetricKind::Gauge,
                    one(queued),
                ),
                metric(
                    "dispatch_turns_accepted_total",
                    "Turns accepted.",
                    MetricKind::Counter,
                    one(accepted),
                ),
                metric(
                    "dispatch_turns_ended_total",
                    "Turns that ended, by how.",
                    MetricKind::Counter,
                    by_status.into(),
                ),
            ],
        })
    }
}

/// A count as a metric's number; exact up to 2^53.
#[expect(clippy::cast_precision_loss, reason = "nobody counts so far")]
fn value(n: u64) -> f64 {
    n as f64
}
