//! Looking for turns that dead hosts left open, for as long as this host serves: what was accepted is never given up.
//!
//! Hosts that hold turns open are asked for, and only the turns of those that do not live are looked at; so a sweep
//! costs little while everybody lives. Whatever a sweep could not do, the next one does.

use crate::orchestrator::Orchestrator;
use dispatch_sdk::Fault;
use dispatch_sdk::contracts::Empty;
use dispatch_sdk::contracts::conversations::{
    Conversation, Hosts, Life, OpenTurn, OpenTurns, OpenTurnsParams, Seal, SealParams,
};
use dispatch_sdk::contracts::fault::{OVERLOADED, UNAVAILABLE};
use dispatch_sdk::contracts::kernel::HostInfo;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Between two sweeps.
pub(crate) const SWEEP_EVERY: Duration = Duration::from_secs(2);
/// Every so many sweeps nothing is passed over: the turns of this host itself, and what lies behind a full table.
const THOROUGH_EVERY: u64 = 15;
/// Most calls of one sweep that go on with the index of an old store; the next one goes on from there.
const INDEX_CALLS_MAX: usize = 100;
/// Open turns that are looked after at a time.
const LOOKING_AFTER_MAX: usize = 16;

/// How one sweep goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sweep {
    /// Ends with a host when the table is full.
    Brief,
    /// Passes nothing over.
    Thorough,
}

impl Orchestrator {
    /// Sweeps until the instance ends.
    pub(crate) async fn sweep(self: Arc<Self>) {
        let mut failing = false;
        let mut n_sweeps: u64 = 0;
        loop {
            let sweep = if n_sweeps.is_multiple_of(THOROUGH_EVERY) { Sweep::Thorough } else { Sweep::Brief };
            match self.sweep_once(sweep).await {
                Ok(()) => {
                    n_sweeps += 1;
                    failing = false;
                }
                Err(fault) => {
                    if !failing {
                        let (code, message) = (fault.code, fault.message);
                        tracing::error!(code, message, "open turns cannot be looked after; trying again");
                    }
                    failing = true;
                }
            }
            self.host.sleep(SWEEP_EVERY).await;
        }
    }

    async fn sweep_once(self: &Arc<Self>, sweep: Sweep) -> Result<(), Fault> {
        let own = self.host.call(HostInfo, &Empty {}).await?.host_id;
        for _ in 0..INDEX_CALLS_MAX {
            let reply = self.host.call(Hosts, &Empty {}).await?;
            for open in reply.hosts {
                let looked_at = match open.life {
                    _ if open.host_id == own => sweep == Sweep::Thorough,
                    Life::Dead => true,
                    Life::Alive => false,
                    Life::Unknown => !self.host_lives(&self.host, &open.host_id).await,
                };
                if looked_at {
                    self.sweep_host(&own, &open.host_id, sweep).await?;
                }
            }
            if !reply.indexing {
                break;
            }
        }
        Ok(())
    }

    async fn sweep_host(self: &Arc<Self>, own: &str, host_id: &str, sweep: Sweep) -> Result<(), Fault> {
        let places = Arc::new(Semaphore::new(LOOKING_AFTER_MAX));
        let mut after = None;
        loop {
            let params = OpenTurnsParams { host_id: Some(host_id.to_owned()), after, limit: 0 };
            let page = self.host.call(OpenTurns, &params).await?;
            let mut looking = JoinSet::new();
            for conversation in page.conversations {
                let Some(turn) = conversation.open_turn.clone() else { continue };
                let place = Arc::clone(&places).acquire_owned().await.expect("never closed");
                let (this, own) = (Arc::clone(self), own.to_owned());
                looking.spawn(async move {
                    let _place = place;
                    this.look_after(&own, &conversation, turn).await
                });
            }
            let mut no_room = false;
            while let Some(looked) = looking.join_next().await {
                match looked {
                    Ok(Ok(())) => {}
                    Ok(Err(fault)) if fault.is(OVERLOADED) || fault.is(UNAVAILABLE) => no_room = true,
                    Ok(Err(fault)) => {
                        let (code, message) = (fault.code, fault.message);
                        tracing::warn!(code, message, "an open turn was not looked after; trying again");
                    }
                    Err(broken) => {
                        tracing::error!(%broken, "looking after an open turn broke off; trying again")
                    }
                }
            }
            if page.next.is_none() || no_room && sweep == Sweep::Brief {
                return Ok(());
            }
            after = page.next;
        }
    }

    /// A turn that only waited runs here; one that had begun is sealed; one whose host lives is left alone.
    async fn look_after(
        self: &Arc<Self>,
        own_host_id: &str,
        conversation: &Conversation,
        open: OpenTurn,
    ) -> Result<(), Fault> {
        if self.runs_somewhere(&self.host, own_host_id, &open).await {
            return Ok(());
        }
        if open.begun && open.host_id != own_host_id {
            // It cannot run again, and to end it takes no place in the table.
            let seal = SealParams {
                conversation_id: conversation.id.clone(),
                turn_id: open.turn_id,
                dead_host_id: Some(open.host_id),
            };
            tracing::info!(turn_id = seal.turn_id, "sealing a turn whose host died while it ran");
            return self.host.call(Seal, &seal).await.map(drop);
        }
        self.take_over(own_host_id, conversation, open).await.map(drop)
    }
}
