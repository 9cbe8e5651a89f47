//! What the kernel asks of a running turn beside its commits: what was said meanwhile, its history, and whether to shorten it.

use crate::committing::{from_kernel, over};
use crate::orchestrator::Orchestrator;
use crate::preparing::history;
use dispatch_sdk::contracts::{Empty, turn};
use dispatch_sdk::{Call, Fault};
use std::sync::Arc;

impl Orchestrator {
    /// Nothing is ever queued for a running turn in this build.
    pub(crate) async fn steering(
        self: Arc<Self>,
        _call: Call,
        _params: Empty,
    ) -> Result<turn::SteeringReply, Fault> {
        Ok(turn::SteeringReply::default())
    }

    /// For an engine, which is given a turn's input alone.
    pub(crate) async fn history(
        self: Arc<Self>,
        call: Call,
        params: turn::HistoryParams,
    ) -> Result<turn::HistoryReply, Fault> {
        from_kernel(&call)?;
        let turn = self.turns.get(&params.turn_id).ok_or_else(|| over(&params.turn_id))?;
        let messages = history(&call.host(), &turn.conversation_id).await?.messages;
        Ok(turn::HistoryReply { messages })
    }

    /// The history stays as it is: nothing in this build can shorten one, and it asks no kernel to ask.
    pub(crate) async fn boundary(
        self: Arc<Self>,
        _call: Call,
        _params: turn::BoundaryParams,
    ) -> Result<turn::BoundaryReply, Fault> {
        Ok(turn::BoundaryReply::default())
    }
}
