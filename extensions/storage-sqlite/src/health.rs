//! Tells the host how the store stands, each time that it changes.

use dispatch_sdk::Host;
use dispatch_sdk::contracts::kernel::{Report, ReportParams};
use std::time::Duration;
use tokio::sync::watch::Receiver;
use tracing::warn;

/// When a report that was not taken is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Reports until the store is closed.
pub(crate) async fn tell(host: Host, mut health: Receiver<ReportParams>) {
    while health.changed().await.is_ok() {
        let report = health.borrow_and_update().clone();
        match report.reason.as_str() {
            "" => warn!("the store can be written again"),
            reason => warn!(state = ?report.state, reason, "the store cannot be written"),
        }
        while let Err(fault) = host.call(Report, &report).await {
            warn!(%fault, "the host was not told how the store stands; trying again");
            host.sleep(RETRY_AFTER).await;
            if health.has_changed().unwrap_or(true) {
                break;
            }
        }
    }
}
