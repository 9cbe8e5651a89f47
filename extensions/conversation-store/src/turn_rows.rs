//! The row of each turn: made when it begins, closed when it ends, and read from the log where it is older than rows.

use crate::entries::read_row;
use crate::faults;
use crate::head::{Head, HeadTurn};
use crate::keys;
use crate::row::Row;
use crate::store::{self, Batch, Pages};
use dispatch_sdk::contracts::conversations::{
    BeginParams, ENDED_TURNS_LIMIT_MAX, EndedTurn, EndedTurnsParams, EndedTurnsReply, Owner, TurnParams,
    TurnRow, TurnSummary,
};
use dispatch_sdk::contracts::event::{
    EventBody, STEP_COMPLETED, TURN_ENDED, TURN_STARTED, TurnStarted, TurnStatus,
};
use dispatch_sdk::contracts::provider::Usage;
use dispatch_sdk::contracts::storage::Put;
use dispatch_sdk::{Fault, Host, fault};
use serde::Deserialize;
use serde_json::value::to_raw_value;
use tracing::warn;

/// Rows of an old log that are read at a time.
const PAGE_ROWS: usize = 256;
/// Most rows of an old log that are looked through for a turn, from the newest back.
const LOG_ROWS_MAX: usize = 50_000;

/// The row of a turn that `head` has just opened, with `first` messages before its own.
pub(crate) fn begun(params: &BeginParams, head: &Head, cursor: u64, first: u64, at: u64) -> TurnRow {
    TurnRow {
        turn_id: params.turn_id.clone(),
        seq_first: cursor + 1,
        seq_last: head.seq_last,
        message_first: Some(first),
        message_last: (head.messages > first).then(|| head.messages - 1),
        started_at: at,
        actor: params.actor.clone(),
        tenant: params.tenant.clone(),
        user: params.user.clone(),
        device: params.device.clone(),
        engine: params.engine.clone(),
        provider: params.provider.clone(),
        model: params.model.clone(),
        cwd: params.cwd.clone(),
        computer: params.computer.clone(),
        attempt: params.attempt,
        ..TurnRow::default()
    }
}

/// The row of a turn that is open: as it was begun, or what its head tells if it is older than rows.
pub(crate) async fn of_open(host: &Host, id: &str, head: &Head, open: &HeadTurn) -> Result<TurnRow, Fault> {
    let row = store::read::<TurnRow>(host, &keys::turn(id, &open.turn_id)).await?;
    let row = row.map_or_else(|| from_head(head, open), |(row, _)| row);
    Ok(TurnRow { stop: open.stop.clone(), ..row })
}

pub(crate) fn from_head(head: &Head, open: &HeadTurn) -> TurnRow {
    TurnRow {
        turn_id: open.turn_id.clone(),
        seq_first: open.cursor + 1,
        seq_last: open.begun.map_or(head.seq_last, |begun| begun.seq_last),
        started_at: open.started_at,
        engine: head.engine.clone(),
        provider: head.provider.clone(),
        model: head.model.clone(),
        cwd: head.cwd.clone(),
        ..TurnRow::default()
    }
}

/// What a `turn_ended` tells; old ones may tell less.
#[derive(Default, Deserialize)]
struct Ended {
    #[serde(default)]
    status: Option<TurnStatus>,
    #[serde(default)]
    usage: Usage,
    #[serde(default)]
    duration_ms: Option<u64>,
}

/// How many of the events complete a step.
pub(crate) fn n_steps(events: &[EventBody]) -> u32 {
    let n = events.iter().filter(|event| event.kind == STEP_COMPLETED).count();
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// Closes the row with what the last event and the summary say, and puts it into the commit with its place in the index.
pub(crate) fn end(
    batch: &mut Batch<'_>,
    id: &str,
    mut row: TurnRow,
    head: &Head,
    last: Option<&EventBody>,
    summary: Option<&TurnSummary>,
    at: u64,
) {
    let ended: Ended = last.and_then(|event| serde_json::from_str(event.data.get()).ok()).unwrap_or_default();
    let summary = summary.copied().unwrap_or_default();
    let status = summary.status.or(ended.status).unwrap_or(TurnStatus::Failed);
    row.seq_last = head.seq_last;
    row.message_last = row.message_first.filter(|first| head.messages > *first).map(|_| head.messages - 1);
    row.status = Some(status);
    row.ended_at = Some(at);
    row.usage = summary.usage.unwrap_or(ended.usage);
    row.steps = summary.steps.unwrap_or(row.steps);
    row.timings = summary.timings;
    let told = row.timings.duration_ms.or(ended.duration_ms);
    let duration_ms = told.unwrap_or(at.saturating_sub(row.started_at));
    row.timings.duration_ms = Some(duration_ms);
    batch.put_other(ended_entry(id, &row, head.owner.clone()));
    batch.put_turn(&row);
}

/// The place of an ended turn in the index by its end.
pub(crate) fn ended_entry(id: &str, row: &TurnRow, owner: Option<Owner>) -> Put {
    let ended_at = row.ended_at.unwrap_or(row.started_at);
    let entry = EndedTurn {
        conversation_id: id.to_owned(),
        turn_id: row.turn_id.clone(),
        ended_at,
        status: row.status.unwrap_or(TurnStatus::Failed),
        usage: row.usage,
        steps: row.steps,
        duration_ms: row.timings.duration_ms.unwrap_or(ended_at.saturating_sub(row.started_at)),
        provider: row.provider.clone(),
        model: row.model.clone(),
        owner,
    };
    let value = to_raw_value(&entry).expect("a struct of strings and numbers always encodes");
    Put { key: keys::ended(ended_at, id, &row.turn_id), value }
}

/// The row of a turn.
pub(crate) async fn read(host: &Host, params: &TurnParams) -> Result<TurnRow, Fault> {
    let TurnParams { conversation_id: id, turn_id } = params;
    let head = store::head_of(host, id).await?.head;
    if let Some(open) = head.open_turn.as_ref().filter(|open| open.turn_id == *turn_id) {
        return of_open(host, id, &head, open).await;
    }
    if let Some((row, _)) = store::read::<TurnRow>(host, &keys::turn(id, turn_id)).await? {
        return Ok(row);
    }
    from_log(host, id, turn_id).await?.ok_or_else(|| {
        let message = format!("there is no turn `{turn_id}` in conversation `{id}`");
        Fault::new(fault::NOT_FOUND, message)
    })
}

/// What the log tells of a turn: the turns before and after it are other ones.
async fn from_log(host: &Host, id: &str, turn_id: &str) -> Result<Option<TurnRow>, Fault> {
    let mut found: Option<TurnRow> = None;
    let mut n_rows = 0;
    let mut pages = Pages::new(keys::row(id, 0), keys::rows_end(id), PAGE_ROWS, true);
    while let Some(entries) = pages.next(host).await? {
        for entry in &entries {
            n_rows += 1;
            let Some(row) = read_row(host, entry).await? else { continue };
            if row.turn_id != turn_id {
                if found.is_some() || n_rows > LOG_ROWS_MAX {
                    return Ok(found);
                }
                continue;
            }
            let turn = found.get_or_insert_with(|| TurnRow {
                turn_id: turn_id.to_owned(),
                seq_last: row.seq,
                ..TurnRow::default()
            });
            see(turn, &row);
        }
    }
    Ok(found)
}

/// Rows come from the last one back.
fn see(turn: &mut TurnRow, row: &Row) {
    turn.seq_first = row.seq_first;
    turn.started_at = row.at;
    learn(turn, row);
}

/// Takes in what one row of a turn tells of it, wherever it stands.
pub(crate) fn learn(turn: &mut TurnRow, row: &Row) {
    match row.kind.as_str() {
        TURN_ENDED => {
            let ended: Ended = serde_json::from_str(row.data.get()).unwrap_or_default();
            turn.status = Some(ended.status.unwrap_or(TurnStatus::Failed));
            turn.ended_at = Some(row.at);
            turn.usage = ended.usage;
            turn.timings.duration_ms = ended.duration_ms;
        }
        STEP_COMPLETED => turn.steps += 1,
        TURN_STARTED => {
            if let Ok(started) = serde_json::from_str::<TurnStarted>(row.data.get()) {
                turn.provider = started.provider;
                turn.model = started.model;
                turn.cwd = started.cwd;
            }
        }
        _ => {}
    }
}

/// A page of the turns that ended in a span of time.
pub(crate) async fn ended(host: &Host, params: &EndedTurnsParams) -> Result<EndedTurnsReply, Fault> {
    let limit = faults::limit(params.limit, ENDED_TURNS_LIMIT_MAX)?;
    let since = keys::ended_since(params.since);
    let after = params.after.as_ref().map(|after| format!("{}{after}\u{1}", keys::ENDED_START));
    let start = after.map_or(since.clone(), |after| after.max(since));
    let end = params.before.map_or_else(|| keys::ENDED_END.to_owned(), keys::ended_since);
    let mut pages = Pages::new(start, end, limit, false);
    let entries = pages.next(host).await?.unwrap_or_default();
    let mut turns = Vec::with_capacity(entries.len());
    for entry in &entries {
        match serde_json::from_str::<EndedTurn>(entry.value.get()) {
            Ok(turn) => turns.push(turn),
            Err(error) => warn!(key = entry.key, %error, "an ended turn cannot be read; it is left out"),
        }
    }
    let last = entries.last().filter(|_| pages.has_more());
    let next = last.map(|last| last.key[keys::ENDED_START.len()..].to_owned());
    Ok(EndedTurnsReply { turns, next })
}
