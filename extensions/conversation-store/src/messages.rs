//! The messages for the next request, in pages, mended so that a provider takes them.

use crate::entries::read_message;
use crate::faults;
use crate::keys;
use crate::mending::Mending;
use crate::spill;
use crate::store::Pages;
use dispatch_sdk::contracts::conversations::{MESSAGES_BYTES_MAX, MessagesParams, MessagesReply};
use dispatch_sdk::contracts::storage::SCAN_BYTES_MAX;
use dispatch_sdk::{Fault, Host};
use serde_json::value::RawValue;

/// Messages read at a time.
const PAGE_MESSAGES: usize = 500;
/// Messages read back at a time to where a page can begin; mostly the first is it.
const PAGE_BACK: usize = 8;

/// Reads and mends a page of the history of a conversation.
pub(crate) async fn page(host: &Host, params: &MessagesParams) -> Result<MessagesReply, Fault> {
    let MessagesParams { conversation_id: id, after, limit, bytes_max } = params;
    let in_pages = after.is_some() || *limit > 0 || *bytes_max > 0;
    let limit = if *limit == 0 { usize::MAX } else { *limit };
    let bytes_max = faults::limit(*bytes_max, MESSAGES_BYTES_MAX)?;
    let mut mending = Mending::default();
    if let Some(after) = after {
        come_to(host, id, *after, &mut mending).await?;
    }
    let first = after.map_or(0, |after| after.saturating_add(1));
    let (start, end) = (keys::message(id, first), keys::messages_end(id));
    let mut pages = Pages::new(start, end, PAGE_MESSAGES.min(limit.saturating_add(1)), false)
        .of_bytes(bytes_max.min(SCAN_BYTES_MAX));
    let (mut last, mut n_rows, mut n_bytes, mut skipped) = (None, 0, 0, 0);
    while let Some(entries) = pages.next(host).await? {
        for entry in &entries {
            n_bytes += spill::bytes_of(entry);
            if n_rows == limit || (n_rows > 0 && n_bytes > bytes_max) {
                if !in_pages {
                    return Err(faults::only_in_pages(id, bytes_max));
                }
                return Ok(MessagesReply { messages: mending.take(), skipped, next: last });
            }
            n_rows += 1;
            last = keys::number_of(&entry.key);
            match read_message(host, entry).await? {
                Some((outline, value)) => mending.push(outline, value),
                None => skipped += 1,
            }
        }
    }
    Ok(MessagesReply { messages: mending.finish(), skipped, next: None })
}

/// Comes to where mending stands after the message `after`: from the last one back at which nothing before it matters.
async fn come_to(host: &Host, id: &str, after: u64, mending: &mut Mending) -> Result<(), Fault> {
    let (start, end) = (keys::message(id, 0), keys::message(id, after.saturating_add(1)));
    let mut pages = Pages::new(start, end, PAGE_BACK, true);
    let mut outlines = Vec::new();
    'back: while let Some(entries) = pages.next(host).await? {
        for entry in &entries {
            let Some((outline, _)) = read_message(host, entry).await? else { continue };
            let is_start = outline.answers_what_is_open();
            outlines.push(outline);
            if is_start {
                break 'back;
            }
        }
    }
    for outline in outlines.into_iter().rev() {
        mending.push(outline, RawValue::NULL.to_owned());
    }
    // It was told with the pages before.
    mending.take();
    Ok(())
}

/// Bytes of all messages of a conversation, as they are kept.
pub(crate) async fn n_bytes(host: &Host, id: &str) -> Result<u64, Fault> {
    let mut n_bytes = 0;
    let mut pages = Pages::new(keys::message(id, 0), keys::messages_end(id), PAGE_MESSAGES, false);
    while let Some(entries) = pages.next(host).await? {
        n_bytes += entries.iter().map(|entry| spill::bytes_of(entry) as u64).sum::<u64>();
    }
    Ok(n_bytes)
}
