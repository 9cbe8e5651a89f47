//! Taking over the open turn of a dead host that had not begun.
//!
//! It must not know whether a host is dead: whoever asks does.

use crate::begin::start;
use crate::convs::Convs;
use crate::faults;
use crate::head::Begun;
use crate::hosts::Hosts;
use crate::row::Row;
use crate::store::{self, Batch, Known};
use crate::turn_log::SEQ_RESERVE;
use crate::turn_rows;
use crate::writer::CONFLICT_RETRIES_MAX;
use dispatch_sdk::contracts::conversations::{AdoptParams, AdoptReply};
use dispatch_sdk::contracts::event::NOTICE;
use dispatch_sdk::{Fault, Host, fault};
use serde_json::json;
use serde_json::value::to_raw_value;
use std::sync::Arc;

/// Code of the notice that stands in the log where a turn was adopted.
pub(crate) const TURN_ADOPTED: &str = "turn_adopted";

/// Takes the turn over in one commit, and starts its writer.
///
/// Of several hosts that try at once the first to commit wins: each commit requires the head with the dead host in it.
/// A commit of which nobody knows whether it was written is looked up by reading the head again.
/// No attempt begins when `budget_ms` is over.
pub(crate) async fn adopt(
    host: Host,
    convs: Arc<Convs>,
    hosts: Arc<Hosts>,
    params: AdoptParams,
    budget_ms: u64,
) -> Result<AdoptReply, Fault> {
    let AdoptParams { conversation_id: id, turn_id, dead_host_id, host_id } = &params;
    if convs.runs(id, turn_id) {
        return Err(faults::runs_here(id, turn_id));
    }
    let give_up_at = host.now_ms().saturating_add(budget_ms);
    let mut last = faults::busy(id, CONFLICT_RETRIES_MAX);
    let mut unsure = false;
    for _ in 0..CONFLICT_RETRIES_MAX {
        let left_ms = give_up_at.saturating_sub(host.now_ms());
        if left_ms == 0 {
            return Err(last);
        }
        let in_time = host.with_budget_ms(left_ms);
        let before = store::head_of(&in_time, id).await?;
        if unsure && before.head.is_open_by(turn_id, host_id) {
            hosts.landed(&convs, host_id);
            return installed(&host, &convs, &params, before).await;
        }
        if !before.head.is_open_by(turn_id, dead_host_id) {
            return Err(faults::not_of(id, turn_id, dead_host_id, &before.head));
        }
        if !before.head.is_untouched() || before.head.stop().is_some() {
            return Ok(AdoptReply { created_at: before.head.created_at, ..AdoptReply::default() });
        }
        match try_adopt(&in_time, &convs, &hosts, &params, &before).await {
            Ok(known) => return installed(&host, &convs, &params, known).await,
            Err(fault) if faults::wrote_nothing(&fault) => return Err(fault),
            Err(fault) if fault.is(fault::CONFLICT) => {}
            Err(fault) => {
                unsure = true;
                last = fault;
            }
        }
    }
    Err(last)
}

/// One row goes with it: it says what happened, and it covers every number under which the dead host may have shown
/// text that it did not write, so that a client takes that text back before the turn says it again.
async fn try_adopt(
    host: &Host,
    convs: &Arc<Convs>,
    hosts: &Arc<Hosts>,
    params: &AdoptParams,
    before: &Known,
) -> Result<Known, Fault> {
    let at = host.now_ms();
    let mut head = before.head.clone();
    let seq_first = head.seq_last + 1;
    head.active_at = at;
    // Whoever adopts numbers its appends anew.
    head.appended = None;
    head.seq_last = head.seq_reserved.max(seq_first);
    head.seq_reserved = head.seq_last + SEQ_RESERVE;
    let begun = Begun { seq_last: head.seq_last, messages: head.messages };
    if let Some(turn) = &mut head.open_turn {
        turn.host_id.clone_from(&params.host_id);
        turn.begun = Some(begun);
    }
    let said = json!({
        "code": TURN_ADOPTED,
        "message": "the host that was to run this turn ended before the turn began; another host runs it now",
    });
    let row = Row {
        seq: head.seq_last,
        seq_first,
        turn_id: params.turn_id.clone(),
        at,
        kind: NOTICE.to_owned(),
        data: to_raw_value(&said).expect("an object of strings always encodes"),
    };
    let id = &params.conversation_id;
    let open = before.head.open_turn.as_ref().expect("it is open by the dead host");
    let mut turn = turn_rows::of_open(host, id, &before.head, open).await?;
    if turn.attempt > 0 {
        turn.attempt += 1;
    }
    let mut batch = Batch::new(id, Some(before), &head);
    batch.put_row(&row);
    batch.put_turn(&turn);
    let (version, _) = hosts.commit(batch, host, convs, &params.host_id).await?;
    Ok(Known { head, version })
}

async fn installed(
    host: &Host,
    convs: &Arc<Convs>,
    params: &AdoptParams,
    known: Known,
) -> Result<AdoptReply, Fault> {
    let (id, created_at, owner) = (&params.conversation_id, known.head.created_at, known.head.owner.clone());
    let open = known.head.open_turn.as_ref().expect("it was adopted open");
    let row = turn_rows::of_open(host, id, &known.head, open).await?;
    let turn = Some(row.clone());
    match start(host, convs, id, row, known) {
        Some(_) => Ok(AdoptReply { adopted: true, created_at, turn, owner }),
        None => Err(faults::runs_here(&params.conversation_id, &params.turn_id)),
    }
}
