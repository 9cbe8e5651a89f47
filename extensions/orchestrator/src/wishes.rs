//! Wishes to stop a turn that other processes wrote down: looked for while turns are here, and carried out.
//!
//! A stop asked of this process needs none of it (`stopping`). It must not know who wished, nor where it is written.

use crate::orchestrator::Orchestrator;
use crate::stopping::tell;
use crate::turn_table::EndWish;
use dispatch_sdk::Fault;
use dispatch_sdk::contracts::Empty;
use dispatch_sdk::contracts::conversations::{STOP_SEEN_WITHIN_MS, StopWishes, StopWishesParams};
use dispatch_sdk::contracts::fault::{NO_SERVICE, UNKNOWN_VERB};
use dispatch_sdk::contracts::kernel::HostInfo;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Between two looks: what a look and its way take is within the promise as well.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(STOP_SEEN_WITHIN_MS / 2);

impl Orchestrator {
    /// Looks for wishes for as long as turns are in the table; called in the instance's runtime with each that enters.
    pub(crate) fn look_for_wishes(self: &Arc<Self>) {
        if !self.looking.swap(true, Ordering::AcqRel) {
            tokio::spawn(Arc::clone(self).look());
        }
    }

    async fn look(self: Arc<Self>) {
        let mut failing = false;
        loop {
            self.host.sleep(LOOK_EVERY).await;
            if self.turns.len() == 0 {
                self.looking.store(false, Ordering::Release);
                // One that entered before this was said found somebody looking.
                if self.turns.len() == 0 || self.looking.swap(true, Ordering::AcqRel) {
                    return;
                }
            }
            match self.look_once().await {
                Ok(()) => failing = false,
                // A log of before there were wishes has none.
                Err(fault) if fault.is(UNKNOWN_VERB) || fault.is(NO_SERVICE) => {}
                Err(fault) => {
                    if !failing {
                        let (code, message) = (fault.code, fault.message);
                        tracing::warn!(code, message, "wishes to stop a turn cannot be read; trying again");
                    }
                    failing = true;
                }
            }
        }
    }

    async fn look_once(&self) -> Result<(), Fault> {
        let host_id = self.host.call(HostInfo, &Empty {}).await?.host_id;
        let mut after = None;
        loop {
            let params = StopWishesParams { host_id: host_id.clone(), after };
            let page = self.host.call(StopWishes, &params).await?;
            for wish in page.wishes {
                let Some(turn) = self.turns.get(&wish.turn_id) else { continue };
                turn.wish_end(EndWish::Cancel);
                // Told with each look until it is over: the kernel may not have known it yet.
                tell(&self.host.with_meta(&turn.meta()), &turn).await;
            }
            after = page.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }
}
