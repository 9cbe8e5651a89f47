//! `instance.v1/metrics`: how many turns run, wait, began and ended, how long they took, and what they used.

use crate::counts::count;
use crate::orchestrator::Orchestrator;
use dispatch_sdk::contracts::Empty;
use dispatch_sdk::contracts::instance::{Metric, MetricsReply};
use dispatch_sdk::{Call, Fault};
use std::sync::Arc;

impl Orchestrator {
    pub(crate) async fn metrics(self: Arc<Self>, _call: Call, _params: Empty) -> Result<MetricsReply, Fault> {
        let (open, running) = (self.turns.len(), self.gates.n_running());
        let queued = open.saturating_sub(running);
        let mut metrics = vec![
            Metric::gauge("dispatch_turns_running", "Turns that run now.", count(running as u64)),
            Metric::gauge(
                "dispatch_turns_queued",
                "Turns that were accepted and wait for their run.",
                count(queued as u64),
            ),
            Metric::gauge(
                "dispatch_turns_unwritten",
                "Turns that are over and whose end the store did not take yet.",
                count(self.unwritten.len() as u64),
            ),
        ];
        metrics.extend(self.counts.metrics());
        Ok(MetricsReply { metrics })
    }
}
