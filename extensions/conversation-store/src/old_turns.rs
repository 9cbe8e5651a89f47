//! Rows for the turns of before there were rows: made from their logs, conversation by conversation.
//!
//! How far the pass is stands in the store's layout, and each step is one commit that requires it: another process goes
//! on where this one was. Until it has come by, the row of such a turn is read from its log.

use crate::keys;
use crate::layout::{InLog, LAYOUT_INDEXED, LAYOUT_ROWS, Layout};
use crate::row::Row;
use crate::store::{self, Pages};
use crate::turn_rows;
use dispatch_sdk::contracts::conversations::TurnRow;
use dispatch_sdk::contracts::storage::{self, CORRUPT, Commit, CommitParams, Put, Require};
use dispatch_sdk::{Fault, Host, fault};
use serde_json::value::to_raw_value;
use std::sync::atomic::{AtomicBool, Ordering};
use tracing::{info, warn};

/// Rows of a log that are looked through in one step.
pub(crate) const STEP_ROWS: usize = 512;
/// Conversations that are looked at in one step for one with old turns.
const STEP_HEADS: usize = 100;
/// Most steps in one call.
const STEPS_MAX: usize = 4;

/// What this process knows of the pass.
#[derive(Debug, Default)]
pub(crate) struct OldTurns {
    complete: AtomicBool,
}

impl OldTurns {
    /// Goes on a bounded way; what fails is tried again with the next call.
    pub(crate) async fn go_on(&self, host: &Host) {
        for _ in 0..STEPS_MAX {
            if self.complete.load(Ordering::Relaxed) {
                return;
            }
            match step(host).await {
                Ok(complete) => self.complete.store(complete, Ordering::Relaxed),
                // Another process goes the same way.
                Err(fault) if fault.is(fault::CONFLICT) => return,
                Err(fault) => return warn!(%fault, "old turns get no rows for now; trying again"),
            }
        }
    }
}

/// One step; whether there is nothing more to do.
async fn step(host: &Host) -> Result<bool, Fault> {
    let Some((layout, version)) = store::read::<Layout>(host, keys::LAYOUT).await? else { return Ok(false) };
    if layout.version != LAYOUT_INDEXED {
        return Ok(layout.version >= LAYOUT_ROWS);
    }
    let mut commit = CommitParams::default();
    commit.require.push(Require { key: keys::LAYOUT.to_owned(), version: Some(version) });
    let next = match layout.rows {
        Some(at) => Layout { rows: in_log(host, at, &mut commit).await?, ..layout },
        None => next_log(host, layout).await?,
    };
    let value = to_raw_value(&next).expect("a struct of strings and numbers always encodes");
    commit.put.push(Put { key: keys::LAYOUT.to_owned(), value });
    host.call(Commit, &commit).await?;
    let complete = next.version >= LAYOUT_ROWS;
    if complete {
        info!("every turn that has ended has its row");
    }
    Ok(complete)
}

/// Looks for the next conversation with turns that have no rows.
async fn next_log(host: &Host, layout: Layout) -> Result<Layout, Fault> {
    let after = &layout.after;
    let start = if after.is_empty() { keys::HEADS_START.to_owned() } else { storage::after_key(after) };
    let mut pages = Pages::new(start, keys::HEADS_END.to_owned(), STEP_HEADS, false).keys_only();
    let entries = pages.next(host).await?.unwrap_or_default();
    for entry in &entries {
        let Some(id) = keys::id_of_head(&entry.key) else { continue };
        if begins_without_rows(host, id).await? {
            let rows = Some(InLog { id: id.to_owned(), ..InLog::default() });
            return Ok(Layout { after: entry.key.clone(), rows, ..layout });
        }
    }
    Ok(match entries.last() {
        Some(last) if pages.has_more() => Layout { after: last.key.clone(), ..layout },
        Some(_) | None => Layout { version: LAYOUT_ROWS, after: String::new(), rows: None },
    })
}

/// Whether the first turn of a conversation has no row; where it has one, all that came after have theirs.
async fn begins_without_rows(host: &Host, id: &str) -> Result<bool, Fault> {
    let mut pages = Pages::new(keys::row(id, 0), keys::rows_end(id), 1, false);
    let entries = pages.next(host).await?.unwrap_or_default();
    let Some(first) = entries.first() else { return Ok(false) };
    match Row::read(first, &first.value) {
        Some(row) => Ok(!has_row(host, id, &row.turn_id).await?),
        None => Ok(true),
    }
}

async fn has_row(host: &Host, id: &str, turn_id: &str) -> Result<bool, Fault> {
    let key = keys::turn(id, turn_id);
    let end = storage::after_key(&key);
    store::any(host, key, end).await
}

/// Puts the rows of the turns that end in the next rows of the log; `None` = it has no more.
async fn in_log(host: &Host, mut at: InLog, commit: &mut CommitParams) -> Result<Option<InLog>, Fault> {
    let head = match store::head(host, &at.id).await {
        Ok(known) => known.map(|known| known.head),
        Err(fault) if fault.is(CORRUPT) => None,
        Err(fault) => return Err(fault),
    };
    let Some(head) = head else {
        warn!(conversation_id = at.id, "its head cannot be read; its old turns get no rows");
        return Ok(None);
    };
    let mut pages =
        Pages::new(keys::row(&at.id, at.seq.saturating_add(1)), keys::rows_end(&at.id), STEP_ROWS, false);
    let mut over = Vec::new();
    for entry in pages.next(host).await?.unwrap_or_default() {
        at.seq = keys::number_of(&entry.key).unwrap_or(at.seq);
        // What is a blob tells nothing of how a turn went.
        let Some(row) = Row::read(&entry, &entry.value) else { continue };
        over.extend(at.turn.take_if(|turn| turn.turn_id != row.turn_id));
        let turn = at.turn.get_or_insert_with(|| TurnRow {
            turn_id: row.turn_id.clone(),
            seq_first: row.seq_first,
            started_at: row.at,
            ..TurnRow::default()
        });
        turn.seq_last = row.seq;
        turn_rows::learn(turn, &row);
    }
    if !pages.has_more() {
        over.extend(at.turn.take());
    }
    // One that is open gets its row when it ends.
    for turn in over.into_iter().filter(|turn| turn.status.is_some()) {
        if !has_row(host, &at.id, &turn.turn_id).await? {
            let key = keys::turn(&at.id, &turn.turn_id);
            commit.require.push(Require { key: key.clone(), version: None });
            commit.put.push(turn_rows::ended_entry(&at.id, &turn, head.owner.clone()));
            let value = to_raw_value(&turn).expect("a struct of strings and numbers always encodes");
            commit.put.push(Put { key, value });
        }
    }
    Ok(pages.has_more().then_some(at))
}
