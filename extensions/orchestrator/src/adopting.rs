//! An open turn that nobody runs any more: one that only waited runs here, one that had begun gets its end.
//!
//! It must not know who noticed: the sweep of a host that serves, or the next start in its conversation.

use crate::orchestrator::Orchestrator;
use crate::plan::RunPlan;
use crate::turn_table::Turn;
use dispatch_sdk::contracts::conversations::{Adopt, AdoptParams, Conversation, OpenTurn, Seal, SealParams};
use dispatch_sdk::contracts::fault::CONFLICT;
use dispatch_sdk::{Fault, Meta};
use std::sync::Arc;

/// What became of an open turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TakenOver {
    /// It had only waited and runs here now.
    Runs,
    /// It had begun, or could not be ended when it came to its end; now it has one.
    Sealed,
    /// Another host was faster, or another task of this one.
    ByAnother,
}

impl Orchestrator {
    /// Takes over an open turn of which nobody runs anything; [`Orchestrator::runs_somewhere`] has said so.
    pub(crate) async fn take_over(
        self: &Arc<Self>,
        own_host_id: &str,
        conversation: &Conversation,
        open: OpenTurn,
    ) -> Result<TakenOver, Fault> {
        let (conversation_id, turn_id) = (conversation.id.clone(), open.turn_id);
        let seal = SealParams {
            conversation_id: conversation_id.clone(),
            turn_id: turn_id.clone(),
            dead_host_id: Some(open.host_id.clone()),
        };
        // Ours without a task was over, or was never acknowledged: it must not run.
        if open.host_id == own_host_id {
            if self.unwritten.offer(&turn_id).await? {
                return Ok(TakenOver::Sealed);
            }
            return self.seal(&seal).await;
        }
        let turn = Turn::new(conversation_id.clone(), turn_id.clone(), self.host.now_ms());
        let place = match self.turns.enter(turn) {
            // A start and a sweep meet here: whoever came first runs it.
            Err(fault) if fault.is(CONFLICT) => return Ok(TakenOver::ByAnother),
            place => place?,
        };
        let adopt = AdoptParams {
            conversation_id,
            turn_id: turn_id.clone(),
            dead_host_id: open.host_id,
            host_id: own_host_id.to_owned(),
        };
        let host = self.host.with_meta(&place.turn.meta());
        let adopted = match host.call(Adopt, &adopt).await {
            Err(fault) if fault.is(CONFLICT) => return Ok(TakenOver::ByAnother),
            adopted => adopted?,
        };
        if !adopted.adopted {
            drop(place);
            return self.seal(&seal).await;
        }
        tracing::info!(turn_id, "running a turn that a dead host had accepted");
        let row = adopted.turn.unwrap_or_default();
        let said = |word: String| Some(word).filter(|word| !word.is_empty());
        place.turn.acts_for(Meta {
            actor: row.actor,
            tenant: said(row.tenant),
            user: said(row.user),
            device: said(row.device),
            computer: said(row.computer),
            ..Meta::default()
        });
        let or_last =
            |of_turn: String, last: &str| if of_turn.is_empty() { last.to_owned() } else { of_turn };
        let plan = RunPlan {
            engine: row.engine,
            provider: or_last(row.provider, &conversation.provider),
            model: or_last(row.model, &conversation.model),
            cwd: or_last(row.cwd, &conversation.cwd),
            conversation_made_at: adopted.created_at,
        };
        let host = self.host.with_meta(&place.turn.meta());
        self.run_in_background(host, place, plan);
        Ok(TakenOver::Runs)
    }

    async fn seal(&self, seal: &SealParams) -> Result<TakenOver, Fault> {
        tracing::info!(turn_id = seal.turn_id, "sealing a turn that nobody runs any more");
        let sealed = self.host.call(Seal, seal).await?.sealed;
        Ok(if sealed { TakenOver::Sealed } else { TakenOver::ByAnother })
    }
}
