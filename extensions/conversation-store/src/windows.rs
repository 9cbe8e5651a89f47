//! Windows of a log and of the messages. Both are ranges of numbered keys, and answer what lies on both sides.

use crate::entries::{read_message, read_row};
use crate::faults;
use crate::keys;
use crate::spill;
use crate::store::{self, Pages};
use dispatch_sdk::contracts::conversations::{
    EVENTS_LIMIT_MAX, EventsParams, EventsReply, HISTORY_LIMIT_MAX, HistoryParams, HistoryReply,
    PlacedMessage,
};
use dispatch_sdk::contracts::storage::Entry;
use dispatch_sdk::{Fault, Host};

/// Most bytes of values in one window; one value more may tip it.
pub(crate) const WINDOW_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A page of the log.
pub(crate) async fn events(host: &Host, params: &EventsParams) -> Result<EventsReply, Fault> {
    let id = &params.conversation_id;
    let limit = faults::limit(params.limit, EVENTS_LIMIT_MAX)?;
    let after = params.after.unwrap_or(0);
    faults::check_cursor(id, &store::head_of(host, id).await?.head, after)?;
    let range = Range {
        all: (keys::row(id, 0), keys::rows_end(id)),
        start: keys::row(id, after.saturating_add(1)),
        end: params.before.map_or_else(|| keys::rows_end(id), |before| keys::row(id, before)),
        from_end: params.before.is_some(),
    };
    let window = range.read(host, limit, read_row).await?;
    Ok(EventsReply {
        events: window.items.into_iter().map(|row| row.into_event(id, after)).collect(),
        has_older: window.has_older,
        has_newer: window.has_newer,
        skipped: window.skipped,
    })
}

/// A window of the messages, byte for byte as they were written.
pub(crate) async fn history(host: &Host, params: &HistoryParams) -> Result<HistoryReply, Fault> {
    let id = &params.conversation_id;
    let limit = faults::limit(params.limit, HISTORY_LIMIT_MAX)?;
    let head = store::head_of(host, id).await?.head;
    let range = Range {
        all: (keys::message(id, 0), keys::messages_end(id)),
        start: keys::message(id, params.since.unwrap_or(0)),
        end: params.before.map_or_else(|| keys::messages_end(id), |before| keys::message(id, before)),
        from_end: params.since.is_none(),
    };
    let window = range.read(host, limit, read_placed).await?;
    Ok(HistoryReply {
        messages: window.items,
        has_older: window.has_older,
        has_newer: window.has_newer,
        messages_total: head.messages,
        skipped: window.skipped,
    })
}

/// Keys in `[start, end)` of all those of one kind.
struct Range {
    all: (String, String),
    start: String,
    end: String,
    /// The last ones are wanted, not the first.
    from_end: bool,
}

struct Window<T> {
    /// Ascending.
    items: Vec<T>,
    has_older: bool,
    has_newer: bool,
    skipped: u64,
}

impl Range {
    async fn read<T>(
        self,
        host: &Host,
        limit: usize,
        read: impl AsyncFn(&Host, &Entry) -> Result<Option<T>, Fault>,
    ) -> Result<Window<T>, Fault> {
        let mut window = Window { items: Vec::new(), has_older: false, has_newer: false, skipped: 0 };
        let pages = Pages::new(self.start.clone(), self.end.clone(), limit, self.from_end);
        let more = fill(host, limit, pages, &read, &mut window).await?;
        let (all_start, all_end) = self.all;
        if self.from_end {
            window.items.reverse();
            window.has_older = more || store::any(host, all_start, self.start).await?;
            window.has_newer = store::any(host, self.end, all_end).await?;
        } else {
            window.has_older = store::any(host, all_start, self.start).await?;
            window.has_newer = more || store::any(host, self.end, all_end).await?;
        }
        Ok(window)
    }
}

/// Fills the window in the order of the scan; whether there are more in that direction.
async fn fill<T>(
    host: &Host,
    limit: usize,
    mut pages: Pages,
    read: &impl AsyncFn(&Host, &Entry) -> Result<Option<T>, Fault>,
    window: &mut Window<T>,
) -> Result<bool, Fault> {
    let mut bytes = 0;
    while let Some(entries) = pages.next(host).await? {
        for entry in &entries {
            if window.items.len() == limit || bytes > WINDOW_BYTES_MAX {
                return Ok(true);
            }
            bytes += spill::bytes_of(entry);
            match read(host, entry).await? {
                Some(item) => window.items.push(item),
                None => window.skipped += 1,
            }
        }
    }
    Ok(false)
}

async fn read_placed(host: &Host, entry: &Entry) -> Result<Option<PlacedMessage>, Fault> {
    let Some(position) = keys::number_of(&entry.key) else { return Ok(None) };
    let message = read_message(host, entry).await?;
    Ok(message.map(|(_, message)| PlacedMessage { position, message }))
}
