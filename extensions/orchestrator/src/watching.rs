//! `turns.v1/watch`: the conversation's events as conversation-store sends them, byte for byte.

use crate::orchestrator::Orchestrator;
use dispatch_sdk::contracts::Verb as _;
use dispatch_sdk::contracts::conversations::{
    self, Conversation, Events, EventsParams, Get, GetParams, check_id,
};
use dispatch_sdk::contracts::event::TURN_ENDED;
use dispatch_sdk::contracts::fault::BROKEN;
use dispatch_sdk::contracts::turns::{WatchParams, WatchReply};
use dispatch_sdk::{Call, Fault, Item, SharedBytes};
use serde::Deserialize;
use std::borrow::Cow;
use std::sync::Arc;
use tokio::sync::watch;

/// What is read of an event; its data is passed over.
#[derive(Deserialize)]
struct Peek<'a> {
    seq: u64,
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    turn_id: Option<Cow<'a, str>>,
}

/// Most bytes of a shown frame that is kept to read its number later, if ever; of a larger one it is read at once.
const LAST_BYTES_MAX: usize = 4 * 1024;

impl Orchestrator {
    pub(crate) async fn watch(self: Arc<Self>, call: Call, params: WatchParams) -> Result<WatchReply, Fault> {
        check_id(&params.conversation_id)?;
        let until = params.until_turn.as_deref();
        let last_seq = match until {
            Some(turn_id) => last_seq_if_over(&call, &params.conversation_id, turn_id).await?,
            None => None,
        };
        if last_seq.is_some_and(|last| last <= params.after) {
            return Ok(WatchReply { cursor: params.after });
        }
        let asked = conversations::WatchParams {
            conversation_id: params.conversation_id.clone(),
            after: params.after,
        };
        let body = serde_json::to_vec(&asked).expect("a struct of strings and numbers always encodes");
        let mut stream = call.host().stream_raw(conversations::Watch::NAME, body);
        let _watching = self.watches.enter();
        let mut drained = self.watches.drained();
        let mut last: Option<SharedBytes> = None;
        let mut after = params.after;
        // Once the host has drained: the number after which nothing more is to be shown.
        let mut last_of_all: Option<u64> = None;
        loop {
            let shown = cursor_at(last.as_ref(), after)?;
            if last_of_all.is_some_and(|last| last <= shown) {
                return Ok(WatchReply { cursor: shown });
            }
            // Nothing is taken, and nothing held, while the reader is slow.
            call.room().await?;
            let item = tokio::select! {
                biased;
                item = stream.next() => item?,
                fault = self.not_written(until) => return Err(fault),
                () = until_drained(&mut drained), if last_of_all.is_none() => {
                    last_of_all = Some(newest_seq(&call, &params.conversation_id).await?);
                    continue;
                }
            };
            let Item::Frame(frame) = item else { return Ok(WatchReply { cursor: shown }) };
            call.emit_raw(frame.clone()).await?;
            if until.is_some() {
                let event = peek(&frame)?;
                let ends = event.kind == TURN_ENDED && event.turn_id.as_deref() == until;
                if ends || last_seq.is_some_and(|last| last <= event.seq) {
                    return Ok(WatchReply { cursor: event.seq });
                }
            }
            if frame.len() > LAST_BYTES_MAX {
                after = cursor_at(Some(&frame), after)?;
                last = None;
            } else {
                last = Some(frame);
            }
        }
    }
}

impl Orchestrator {
    /// Waits until the end that a watch waits for is given up for the time being.
    async fn not_written(&self, turn_id: Option<&str>) -> Fault {
        match turn_id {
            Some(turn_id) => self.unwritten.told(turn_id).await,
            None => std::future::pending().await,
        }
    }
}

async fn until_drained(drained: &mut watch::Receiver<bool>) {
    // The sender lives as long as the instance, and so as long as this call.
    let _ = drained.wait_for(|drained| *drained).await;
}

/// The number of the last event shown. Most watchers end with their client, and nobody ever asks.
fn cursor_at(last: Option<&SharedBytes>, before: u64) -> Result<u64, Fault> {
    last.map_or(Ok(before), |frame| Ok(peek(frame)?.seq))
}

fn peek(frame: &[u8]) -> Result<Peek<'_>, Fault> {
    serde_json::from_slice(frame)
        .map_err(|e| Fault::new(BROKEN, format!("cannot read an event of the conversation's log: {e}")))
}

/// The number of the newest row if the turn is not open any more: nothing of it can come after that.
async fn last_seq_if_over(call: &Call, id: &str, turn_id: &str) -> Result<Option<u64>, Fault> {
    let conversation = call.host().call(Get, &GetParams { conversation_id: id.to_owned() }).await?;
    if conversation.open_turn.as_ref().is_some_and(|open| open.turn_id == turn_id) {
        return Ok(None);
    }
    newest_of(call, &conversation).await.map(Some)
}

/// The number of the newest row of a log.
async fn newest_seq(call: &Call, id: &str) -> Result<u64, Fault> {
    let conversation = call.host().call(Get, &GetParams { conversation_id: id.to_owned() }).await?;
    newest_of(call, &conversation).await
}

async fn newest_of(call: &Call, conversation: &Conversation) -> Result<u64, Fault> {
    let newest = EventsParams {
        conversation_id: conversation.id.clone(),
        after: None,
        before: Some(conversation.seq_last.saturating_add(1)),
        limit: 1,
    };
    let page = call.host().call(Events, &newest).await?;
    Ok(page.events.last().map_or(0, |event| event.seq))
}
