//! Appending to an open turn: checked here, written by the turn's writer, and answered again to whoever missed the answer.

use crate::convs::Convs;
use crate::engine_state;
use crate::faults;
use crate::request::Request;
use crate::store;
use dispatch_sdk::contracts::conversations::{AppendParams, AppendReply, check_id};
use dispatch_sdk::contracts::event::TURN_ENDED;
use dispatch_sdk::{Fault, Host, fault};
use tokio::sync::oneshot;

/// Appends to the turn that this process runs.
pub(crate) async fn append(host: &Host, convs: &Convs, params: AppendParams) -> Result<AppendReply, Fault> {
    let (id, turn_id) = (params.conversation_id.clone(), params.turn_id.clone());
    check_id(&id)?;
    faults::check_items(params.events.len() + params.messages.len())?;
    params.engine_state.as_ref().map_or(Ok(()), engine_state::check)?;
    if params.end_turn && params.events.last().is_none_or(|event| event.kind != TURN_ENDED) {
        let message =
            format!("an append that ends turn `{turn_id}` must have `{TURN_ENDED}` as its last event");
        return Err(Fault::new(fault::INVALID, message));
    }
    let append_idx = params.append_idx;
    match hand_over(convs, params).await {
        Err(fault) if fault.is(fault::CONFLICT) => {
            let head = store::head_of(host, &id).await?.head;
            match head.appended(&turn_id, append_idx) {
                // It ended the turn, and nobody heard it.
                Some(seq_last) => {
                    let durable = store::is_durable(host).await?;
                    Ok(AppendReply { seq_last, durable })
                }
                None => Err(fault),
            }
        }
        answered => answered,
    }
}

/// Lets the writer of the turn append, and waits for its answer.
async fn hand_over(convs: &Convs, params: AppendParams) -> Result<AppendReply, Fault> {
    let (id, turn_id) = (params.conversation_id.clone(), params.turn_id.clone());
    let over = || faults::not_open(&id, &turn_id);
    let writer = convs.get(&id).and_then(|conv| conv.writer(&turn_id)).ok_or_else(over)?;
    let (reply, answer) = oneshot::channel();
    writer.send(Request::Append { params: Box::new(params), reply }).await.map_err(|_| over())?;
    answer.await.map_err(|_| over())?
}
