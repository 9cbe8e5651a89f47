//! What a host that serves adds: turns that a dead host left open go on or get their end, and before the host ends the
//! running ones may finish.

use crate::Orchestrator;
use dispatch_sdk::contracts::Empty;
use dispatch_sdk::contracts::conversations::{Conversation, OpenTurn, OpenTurns, OpenTurnsParams};
use dispatch_sdk::contracts::instance::{DrainParams, DrainReply, ServeParams, ServeReply};
use dispatch_sdk::contracts::kernel::HostInfo;
use dispatch_sdk::{Call, Fault};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Open turns that are looked after at a time.
const LOOKING_AFTER_MAX: usize = 16;

/// How long those who watch may take to read what the turns said last.
const WATCHES_END_MAX: Duration = Duration::from_secs(2);

impl Orchestrator {
    /// Looks after open turns in the background: the host is ready before the last of them is.
    pub(crate) async fn serve(
        self: Arc<Self>,
        _call: Call,
        _params: ServeParams,
    ) -> Result<ServeReply, Fault> {
        let this = Arc::clone(&self);
        self.host.runtime()?.spawn(async move {
            if let Err(fault) = this.look_after_open_turns().await {
                tracing::error!(
                    code = fault.code,
                    message = fault.message,
                    "open turns were not looked after"
                );
            }
        });
        Ok(ServeReply::default())
    }

    async fn look_after_open_turns(self: Arc<Self>) -> Result<(), Fault> {
        let own = self.host.call(HostInfo, &Empty {}).await?.host_id;
        let open = self.host.call(OpenTurns, &OpenTurnsParams::default()).await?.conversations;
        let places = Arc::new(Semaphore::new(LOOKING_AFTER_MAX));
        let mut looking = JoinSet::new();
        for conversation in open {
            let Some(turn) = conversation.open_turn.clone() else { continue };
            let place = Arc::clone(&places).acquire_owned().await.expect("never closed");
            let (this, own) = (Arc::clone(&self), own.clone());
            looking.spawn(async move {
                let turn_id = turn.turn_id.clone();
                if let Err(fault) = this.look_after(&own, &conversation, turn).await {
                    let (code, message) = (fault.code, fault.message);
                    tracing::warn!(turn_id, code, message, "an open turn was not looked after");
                }
                drop(place);
            });
        }
        while looking.join_next().await.is_some() {}
        Ok(())
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
        self.take_over(own_host_id, conversation, open).await.map(drop)
    }

    /// Lets no turn in and none begin, and waits for those that run. What waits stays in the log, for the next host.
    pub(crate) async fn drain(
        self: Arc<Self>,
        _call: Call,
        params: DrainParams,
    ) -> Result<DrainReply, Fault> {
        let open = self.turns.close();
        self.gates.close();
        let over = async {
            for turn in &open {
                turn.ended().await;
            }
            // What the turns said last is shown before whoever watches is cut off; not to who does not read.
            tokio::select! {
                () = self.watches.end() => {}
                () = self.host.sleep(WATCHES_END_MAX) => {}
            }
        };
        tokio::select! {
            biased;
            () = over => {}
            () = self.host.sleep(Duration::from_millis(params.deadline_ms)) => {}
        }
        Ok(DrainReply { unfinished: self.turns.len() as u64 })
    }
}
