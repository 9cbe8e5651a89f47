//! Pages of the log and of the list of conversations.

use crate::keys;
use crate::row::Row;
use crate::store::{self, Pages};
use dispatch_sdk::contracts::conversations::{
    Conversation, EVENTS_LIMIT_MAX, EventsParams, EventsReply, LIST_LIMIT_MAX, ListParams, ListReply,
};
use dispatch_sdk::contracts::storage::Entry;
use dispatch_sdk::{Fault, Host};
use tracing::warn;

/// Most bytes of rows in one page of events; one row more may tip it.
pub(crate) const EVENTS_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A page of the log.
pub(crate) async fn events(host: &Host, params: &EventsParams) -> Result<EventsReply, Fault> {
    let id = &params.conversation_id;
    store::head_of(host, id).await?;
    let limit = bounded(params.limit, EVENTS_LIMIT_MAX);
    let after = params.after.unwrap_or(0);
    let (log_start, log_end) = (keys::row(id, 0), keys::rows_end(id));
    let start = keys::row(id, after.saturating_add(1));
    let end = params.before.map_or_else(|| log_end.clone(), |before| keys::row(id, before));
    let reverse = params.before.is_some();

    let mut page = EventsReply { events: Vec::new(), has_older: false, has_newer: false, skipped: 0 };
    let more = fill(host, params, Pages::new(start.clone(), end.clone(), limit, reverse), &mut page).await?;
    if reverse {
        page.events.reverse();
        page.has_older = more || store::any(host, log_start, start).await?;
        page.has_newer = store::any(host, end, log_end).await?;
    } else {
        page.has_older = store::any(host, log_start, start).await?;
        page.has_newer = more;
    }
    Ok(page)
}

/// Fills the page in the order of the scan; whether there are more rows in that direction.
async fn fill(
    host: &Host,
    params: &EventsParams,
    mut pages: Pages,
    page: &mut EventsReply,
) -> Result<bool, Fault> {
    let limit = bounded(params.limit, EVENTS_LIMIT_MAX);
    let mut bytes = 0;
    while let Some(entries) = pages.next(host).await? {
        for entry in entries {
            if page.events.len() == limit || bytes > EVENTS_BYTES_MAX {
                return Ok(true);
            }
            bytes += entry.value.get().len();
            match read_row(&entry) {
                Some(row) => {
                    page.events.push(row.into_event(&params.conversation_id, params.after.unwrap_or(0)));
                }
                None => page.skipped += 1,
            }
        }
    }
    Ok(false)
}

/// Reads a row, or says in the log that it cannot be read.
pub(crate) fn read_row(entry: &Entry) -> Option<Row> {
    let row = Row::read(entry);
    if row.is_none() {
        warn!(key = entry.key, "a row of the log cannot be read; it is left out");
    }
    row
}

/// A page of conversations, latest activity first.
///
/// `before` is all that tells the next page where to begin, so a page does not end between two conversations of the
/// same millisecond if it can end before them.
pub(crate) async fn list(host: &Host, params: &ListParams) -> Result<ListReply, Fault> {
    let limit = bounded(params.limit, LIST_LIMIT_MAX);
    let start = params.before.map_or_else(|| keys::ACTIVITY_START.to_owned(), keys::activity_before);
    let mut pages = Pages::new(start, keys::ACTIVITY_END.to_owned(), limit + 1, false);
    let mut conversations: Vec<Conversation> = Vec::new();
    while conversations.len() <= limit
        && let Some(entries) = pages.next(host).await?
    {
        for entry in entries {
            match serde_json::from_str(entry.value.get()) {
                Ok(conversation) => conversations.push(conversation),
                Err(error) => {
                    warn!(key = entry.key, %error, "an entry of the list cannot be read; it is left out");
                }
            }
        }
    }
    let has_older = conversations.len() > limit;
    if has_older {
        let next_at = conversations[limit].active_at;
        conversations.truncate(limit);
        let whole = conversations.iter().rposition(|conversation| conversation.active_at != next_at);
        if let Some(idx) = whole {
            conversations.truncate(idx + 1);
        }
    }
    Ok(ListReply { conversations, has_older })
}

/// 0 = as many as there may be.
fn bounded(limit: usize, limit_max: usize) -> usize {
    if limit == 0 { limit_max } else { limit.min(limit_max) }
}
