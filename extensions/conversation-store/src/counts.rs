//! What this process counts of its work: plain numbers, read without a lock.

use dispatch_sdk::contracts::instance::{Metric, MetricKind, MetricsReply, Sample};
use dispatch_sdk::{Fault, fault};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Only ever read for display, so no order among them is kept.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    commits: AtomicU64,
    commit_failures: AtomicU64,
    conflicts: AtomicU64,
    watchers: Arc<AtomicU64>,
    open_turns: Arc<AtomicU64>,
}

impl Counts {
    /// A commit went through, or failed with `fault`.
    pub(crate) fn committed(&self, fault: Option<&Fault>) {
        let counter = match fault {
            None => &self.commits,
            Some(fault) if fault.is(fault::CONFLICT) => &self.conflicts,
            Some(_) => &self.commit_failures,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a watcher for as long as what comes back lives.
    pub(crate) fn watcher(&self) -> Counted {
        Counted::new(&self.watchers)
    }

    /// Counts an open turn for as long as what comes back lives.
    pub(crate) fn open_turn(&self) -> Counted {
        Counted::new(&self.open_turns)
    }

    pub(crate) fn metrics(&self) -> MetricsReply {
        let metric = |name: &str, kind, help: &str, number: &AtomicU64| {
            let value = number.load(Ordering::Relaxed);
            #[expect(clippy::cast_precision_loss, reason = "no process counts to 2^53")]
            let sample = Sample { labels: BTreeMap::new(), value: value as f64 };
            let name = format!("dispatch_conversation_store_{name}");
            Metric { name, help: help.to_owned(), kind, samples: vec![sample] }
        };
        let (counter, gauge) = (MetricKind::Counter, MetricKind::Gauge);
        let metrics = vec![
            metric("commits_total", counter, "Commits that went through.", &self.commits),
            metric(
                "commit_failures_total",
                counter,
                "Commits that failed for any reason but a conflict.",
                &self.commit_failures,
            ),
            metric(
                "commit_conflicts_total",
                counter,
                "Commits that found the conversation changed by another.",
                &self.conflicts,
            ),
            metric("watchers", gauge, "Watchers of conversations.", &self.watchers),
            metric("open_turns", gauge, "Turns that this process holds open.", &self.open_turns),
        ];
        MetricsReply { metrics }
    }
}

/// One of something that is counted while it lives.
#[derive(Debug)]
pub(crate) struct Counted(Arc<AtomicU64>);

impl Counted {
    fn new(gauge: &Arc<AtomicU64>) -> Self {
        gauge.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(gauge))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
