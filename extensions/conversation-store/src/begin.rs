//! Opening a turn, and starting the writer of one that was opened or adopted.

use crate::conv::{Conv, Turn};
use crate::convs::Convs;
use crate::faults;
use crate::head::{Begun, Head, HeadTurn, bytes_of, title_of};
use crate::hosts::Hosts;
use crate::keys;
use crate::messages;
use crate::row::Row;
use crate::store::{self, Batch, Known};
use crate::turn_log::{SEQ_RESERVE, TurnLog};
use crate::turn_rows;
use crate::writer::{APPENDS_WAITING_MAX, CONFLICT_RETRIES_MAX, Writer};
use dispatch_sdk::contracts::conversations::{BeginParams, BeginReply, HistoryTooLarge, TurnRow};
use dispatch_sdk::{Fault, Host, fault};
use std::sync::Arc;
use tokio::sync::{Notify, mpsc};

/// Opens the turn in one commit, and starts its writer, within `budget_ms`.
///
/// A commit of which nobody knows whether it was written is looked up by reading the head again: an open turn that
/// nobody knows would lock the conversation until this host ends. No attempt begins when the budget is over: whoever
/// asked has been told by then that there is no turn.
pub(crate) async fn begin(
    host: Host,
    convs: Arc<Convs>,
    hosts: Arc<Hosts>,
    params: BeginParams,
    budget_ms: u64,
) -> Result<BeginReply, Fault> {
    let id = &params.conversation_id;
    let give_up_at = host.now_ms().saturating_add(budget_ms);
    let mut last = faults::busy(id, CONFLICT_RETRIES_MAX);
    for attempt in 0..CONFLICT_RETRIES_MAX {
        let left_ms = give_up_at.saturating_sub(host.now_ms());
        if left_ms == 0 {
            return Err(last);
        }
        let in_time = host.with_budget_ms(left_ms);
        let before = store::head(&in_time, id).await?;
        match &before {
            None if !params.create => return Err(faults::missing(id)),
            Some(known) if attempt > 0 && known.head.is_open_by(&params.turn_id, &params.host_id) => {
                hosts.landed(&convs, &params.host_id);
                let durable = store::is_durable(&in_time).await?;
                let open = known.head.open_turn.as_ref();
                let row = turn_rows::of_open(&in_time, id, &known.head, open.expect("it is open")).await?;
                return opened(&host, &convs, &params, Opened { known: known.clone(), row, durable });
            }
            Some(known) if known.head.open_turn.is_some() => {
                return Err(faults::turn_in_flight(id, &known.head));
            }
            Some(_) | None => {}
        }
        match try_begin(&in_time, &convs, &hosts, &params, before.as_ref()).await {
            Ok(begun) => return opened(&host, &convs, &params, begun),
            Err(fault) if faults::wrote_nothing(&fault) => return Err(fault),
            Err(fault) if fault.is(fault::CONFLICT) => {
                if is_over(&in_time, &params).await? {
                    return Err(faults::begun_before(id, &params.turn_id));
                }
            }
            Err(fault) => last = fault,
        }
    }
    Err(last)
}

/// Whether the turn was begun before, by whomever, and is not open any more.
async fn is_over(host: &Host, params: &BeginParams) -> Result<bool, Fault> {
    let BeginParams { conversation_id: id, turn_id, .. } = params;
    let row = store::read::<TurnRow>(host, &keys::turn(id, turn_id)).await?;
    Ok(row.is_some_and(|(row, _)| row.status.is_some()))
}

/// A turn as its begin wrote it.
struct Opened {
    known: Known,
    row: TurnRow,
    durable: bool,
}

async fn try_begin(
    host: &Host,
    convs: &Arc<Convs>,
    hosts: &Arc<Hosts>,
    params: &BeginParams,
    before: Option<&Known>,
) -> Result<Opened, Fault> {
    let at = host.now_ms();
    let mut head = match before {
        Some(known) => known.head.clone(),
        None => Head { created_at: at, ..Head::default() },
    };
    if head.title.is_empty() {
        head.title = title_of(&params.title);
    }
    let cursor = head.seq_last;
    let idx = head.messages;
    head.active_at = at;
    head.cwd.clone_from(&params.cwd);
    head.provider.clone_from(&params.provider);
    head.model.clone_from(&params.model);
    head.engine.clone_from(&params.engine);
    head.seq_last += params.events.len() as u64;
    head.seq_reserved = head.seq_last + SEQ_RESERVE;
    check_history(host, params, &mut head).await?;
    head.add_messages(&params.messages);
    head.archived = false;
    if before.is_none() {
        head.owner.clone_from(&params.owner);
    }
    head.open_turn = Some(HeadTurn {
        turn_id: params.turn_id.clone(),
        host_id: params.host_id.clone(),
        cursor,
        started_at: at,
        begun: Some(Begun { seq_last: head.seq_last, messages: head.messages }),
        stop: None,
    });
    let mut batch = Batch::new(&params.conversation_id, before, &head);
    for (seq, event) in (cursor + 1..).zip(&params.events) {
        batch.put_row(&Row::of(event, &params.turn_id, seq, at));
    }
    batch.put_messages(idx, &params.messages);
    let row = turn_rows::begun(params, &head, cursor, idx, at);
    batch.put_new_turn(&row);
    let (version, durable) = hosts.commit(batch, host, convs, &params.host_id).await?;
    Ok(Opened { known: Known { head, version }, row, durable })
}

/// Refuses a turn with which the history would be longer than its caller can send.
async fn check_history(host: &Host, params: &BeginParams, head: &mut Head) -> Result<(), Fault> {
    let bytes_max = params.history_bytes_max;
    if bytes_max == 0 {
        return Ok(());
    }
    let id = &params.conversation_id;
    let history_bytes = match head.message_bytes() {
        Some(bytes) => bytes,
        None => messages::n_bytes(host, id).await?,
    };
    head.message_bytes = Some(history_bytes);
    let input_bytes = bytes_of(&params.messages);
    if history_bytes.saturating_add(input_bytes) > bytes_max {
        let found = HistoryTooLarge { history_bytes, input_bytes, bytes_max };
        return Err(faults::history_too_large(id, found));
    }
    Ok(())
}

fn opened(
    host: &Host,
    convs: &Arc<Convs>,
    params: &BeginParams,
    opened: Opened,
) -> Result<BeginReply, Fault> {
    let Opened { known, row, durable } = opened;
    let head = &known.head;
    let cursor = head.open_turn.as_ref().map_or(head.seq_last, |turn| turn.cursor);
    let reply = BeginReply { cursor, created_at: head.created_at, durable };
    match start(host, convs, &params.conversation_id, row, known) {
        Some(_) => Ok(reply),
        None => Err(faults::runs_here(&params.conversation_id, &params.turn_id)),
    }
}

/// Puts the open turn of `known` in place and starts its writer; `None` when this process runs it already.
pub(crate) fn start(
    host: &Host,
    convs: &Arc<Convs>,
    id: &str,
    row: TurnRow,
    known: Known,
) -> Option<Arc<Conv>> {
    let (writer, requests) = mpsc::channel(APPENDS_WAITING_MAX);
    let wake = Arc::new(Notify::new());
    let turn = Turn {
        turn_id: row.turn_id.clone(),
        log: TurnLog::new(known.head.seq_last, known.head.seq_reserved),
        writer,
        wake: Arc::clone(&wake),
        _counted: convs.counts.open_turn(),
    };
    let conv = convs.install(id, turn)?;
    let writer = Writer {
        host: host.clone(),
        convs: Arc::clone(convs),
        conv: Arc::clone(&conv),
        turn_id: row.turn_id.clone(),
        row,
        known,
        wake,
        failing: false,
    };
    tokio::spawn(writer.run(requests));
    Some(conv)
}
