//! What a host that serves adds: turns that a dead host left open go on or get their end, and before the host ends the
//! running ones may finish.

use crate::orchestrator::Orchestrator;
use dispatch_sdk::contracts::instance::{DrainParams, DrainReply, ServeParams, ServeReply};
use dispatch_sdk::{Call, Fault};
use std::sync::Arc;
use std::time::Duration;

/// How long those who watch may take to read what the turns said last.
const WATCHES_END_MAX: Duration = Duration::from_secs(2);

impl Orchestrator {
    /// Looks after open turns in the background, from now on: the host is ready before the first of them is.
    pub(crate) async fn serve(
        self: Arc<Self>,
        _call: Call,
        _params: ServeParams,
    ) -> Result<ServeReply, Fault> {
        let this = Arc::clone(&self);
        self.host.runtime()?.spawn(this.sweep());
        Ok(ServeReply::default())
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
