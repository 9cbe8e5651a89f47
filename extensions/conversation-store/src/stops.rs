//! The wish that an open turn ends, and which of a host's turns have one.
//!
//! The wish stands in the head, beside the turn that it is about; an index by host, written with the head, says where.
//! It must not know who runs a turn, nor how it ends.

use crate::counts::Counts;
use crate::faults;
use crate::keys;
use crate::store::{self, Batch, Pages};
use crate::turn_rows;
use crate::writer::CONFLICT_RETRIES_MAX;
use dispatch_sdk::contracts::conversations::{
    RequestStopParams, RequestStopReply, STOP_WISHES_MAX, StopWish, StopWishesParams, StopWishesReply,
    TurnParams, WishedStop,
};
use dispatch_sdk::contracts::storage::CORRUPT;
use dispatch_sdk::{Fault, Host, fault};
use tracing::warn;

/// Writes the wish down; one that stands is left as it is.
pub(crate) async fn request(
    host: &Host,
    counts: &Counts,
    params: &RequestStopParams,
) -> Result<RequestStopReply, Fault> {
    let RequestStopParams { conversation_id: id, turn_id, by } = params;
    for _ in 0..CONFLICT_RETRIES_MAX {
        let before = store::head_of(host, id).await?;
        let mut head = before.head.clone();
        let Some(open) = head.open_turn.as_mut().filter(|open| open.turn_id == *turn_id) else {
            let asked = TurnParams { conversation_id: id.clone(), turn_id: turn_id.clone() };
            let row = turn_rows::read(host, &asked).await?;
            return Err(faults::ended(id, turn_id, row.status));
        };
        let host_id = open.host_id.clone();
        if let Some(stop) = open.stop.clone() {
            return Ok(RequestStopReply { stop, host_id, durable: store::is_durable(host).await? });
        }
        let stop = StopWish { at: host.now_ms(), by: by.clone() };
        open.stop = Some(stop.clone());
        match Batch::new(id, Some(&before), &head).commit(host, counts).await {
            Ok((_, durable)) => return Ok(RequestStopReply { stop, host_id, durable }),
            Err(fault) if fault.is(fault::CONFLICT) => {}
            Err(fault) => return Err(fault),
        }
    }
    Err(faults::busy(id, CONFLICT_RETRIES_MAX))
}

/// A page of the wishes about a host's turns. An entry that its head does not bear out is passed over.
pub(crate) async fn of_host(host: &Host, params: &StopWishesParams) -> Result<StopWishesReply, Fault> {
    let StopWishesParams { host_id, after } = params;
    let (start, end) = keys::stops_of(host_id);
    let after = after.as_ref().map(|after| format!("{start}{after}\u{1}"));
    let mut pages =
        Pages::new(after.unwrap_or_else(|| start.clone()), end, STOP_WISHES_MAX, false).keys_only();
    let entries = pages.next(host).await?.unwrap_or_default();
    let mut reply = StopWishesReply::default();
    for entry in &entries {
        let id = &entry.key[start.len()..];
        let head = match store::head(host, id).await {
            Ok(known) => known.map(|known| known.head),
            Err(fault) if fault.is(CORRUPT) => {
                warn!(key = entry.key, %fault, "a head cannot be read; the wish about its turn is left out");
                continue;
            }
            Err(fault) => return Err(fault),
        };
        let open = head.and_then(|head| head.open_turn).filter(|open| open.host_id == *host_id);
        if let Some((turn_id, stop)) = open.and_then(|open| Some((open.turn_id, open.stop?))) {
            reply.wishes.push(WishedStop { conversation_id: id.to_owned(), turn_id, stop });
        }
    }
    let last = entries.last().filter(|_| pages.has_more());
    reply.next = last.map(|last| last.key[start.len()..].to_owned());
    Ok(reply)
}
