//! Before the end: every instance takes no new work, and what runs may come to its own end, for so long and no longer.

use dispatch_contracts::Verb as _;
use dispatch_contracts::instance::{Drain, DrainParams};
use dispatch_kernel::{Attached, Kernel};
use std::time::Duration;
use tokio::task::JoinSet;

/// What an instance has beyond the deadline to say what is left.
const ANSWER_WITHIN: Duration = Duration::from_millis(500);

/// Asks all that drain at once, and waits until the last has answered or the time is over.
pub(super) async fn drain(kernel: &Kernel, host: &Attached, deadline_ms: u64) {
    let mut answers = JoinSet::new();
    for id in kernel.serving(Drain::NAME) {
        let host = host.clone();
        answers.spawn(async move {
            let drained = host.call_named(Drain, &id, &DrainParams { deadline_ms }).await;
            (id, drained)
        });
    }
    let all = async {
        while let Some(answer) = answers.join_next().await {
            let Ok((instance, drained)) = answer else { continue };
            match drained {
                Ok(reply) if reply.unfinished == 0 => tracing::info!(instance, "drained"),
                Ok(reply) => {
                    tracing::warn!(instance, unfinished = reply.unfinished, "did not finish in time")
                }
                Err(fault) => tracing::warn!(instance, %fault, "cannot drain"),
            }
        }
    };
    if tokio::time::timeout(Duration::from_millis(deadline_ms) + ANSWER_WITHIN, all).await.is_err() {
        tracing::warn!(deadline_ms, "not everything answered in time; it is stopped now");
    }
}
