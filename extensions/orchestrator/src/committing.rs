//! `turn_host.v1/commit`: after the frames before it, durable before its reply, and never cut in the middle.

use crate::Orchestrator;
use dispatch_sdk::contracts::Empty;
use dispatch_sdk::contracts::conversations::{Append, AppendParams};
use dispatch_sdk::contracts::event::TURN_ENDED;
use dispatch_sdk::contracts::fault::{CANCELLED, CONFLICT, DENIED, INVALID, PANICKED};
use dispatch_sdk::contracts::kernel::KERNEL_INSTANCE;
use dispatch_sdk::contracts::turn::CommitParams;
use dispatch_sdk::{Call, Fault};
use std::sync::Arc;

impl Orchestrator {
    pub(crate) async fn commit(self: Arc<Self>, call: Call, params: CommitParams) -> Result<Empty, Fault> {
        from_kernel(&call)?;
        let turn_id = params.turn_id.as_str();
        let over = || Fault::new(CONFLICT, format!("turn `{turn_id}` is over, or never ran here"));
        let turn = self.turns.get(turn_id).ok_or_else(over)?;
        let n_ends = params.events.iter().filter(|event| event.kind == TURN_ENDED).count();
        let end_turn = params.events.last().is_some_and(|event| event.kind == TURN_ENDED);
        if n_ends != usize::from(end_turn) {
            return Err(Fault::new(
                INVALID,
                "`turn_ended` must be the last event of a commit, and the only one",
            ));
        }
        tokio::select! {
            () = turn.forwarded(params.frames_before) => {}
            () = call.cancelled() => {
                return Err(Fault::new(CANCELLED, "the commit was cancelled before its frames were shown"));
            }
        }
        let mut written = Arc::clone(&turn.written).lock_owned().await;
        if written.closed {
            return Err(over());
        }
        let append = AppendParams {
            conversation_id: turn.conversation_id.clone(),
            turn_id: params.turn_id.clone(),
            events: params.events,
            messages: params.messages,
            end_turn,
            ..AppendParams::default()
        };
        let host = self.host.with_meta(&turn.meta);
        // A task, so that neither a cancel nor a dropped handler leaves half known what was written.
        let appended = self.host.runtime()?.spawn(async move {
            let appended = host.call(Append, &append).await;
            match &appended {
                Ok(_) => written.closed = end_turn,
                Err(fault) => written.fault = Some(fault.clone()),
            }
            appended
        });
        appended.await.map_err(|e| Fault::new(PANICKED, format!("the append broke off: {e}")))??;
        Ok(Empty {})
    }
}

/// `turn_host.v1` reaches whoever made the call that is being served, so others could call it too.
pub(crate) fn from_kernel(call: &Call) -> Result<(), Fault> {
    if call.caller() == KERNEL_INSTANCE {
        return Ok(());
    }
    Err(Fault::new(
        DENIED,
        format!("`{}` called `turn_host.v1`, which is the kernel's alone to call", call.caller()),
    ))
}
