//! Lists of conversations: by activity, and those with an open turn.

use crate::faults;
use crate::keys::{self, Index};
use crate::store::{self, Pages};
use dispatch_sdk::contracts::conversations::{
    Conversation, LIST_LIMIT_MAX, ListParams, ListReply, OpenTurnsReply,
};
use dispatch_sdk::contracts::storage::{self, SCAN_LIMIT_MAX};
use dispatch_sdk::{Fault, Host, fault};
use tracing::warn;

/// Most conversations with an open turn in one reply; the least recently active come first, and the others when these
/// have ended.
pub(crate) const OPEN_TURNS_MAX: usize = 10_000;

/// A page of conversations, latest activity first, and by id among those of one millisecond.
pub(crate) async fn list(host: &Host, params: &ListParams) -> Result<ListReply, Fault> {
    let limit = faults::limit(params.limit, LIST_LIMIT_MAX)?;
    let index = Index::of(params.archived);
    let mut pages = Pages::new(start(params, index)?, index.end(), limit + 1, false);
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
    conversations.truncate(limit);
    Ok(ListReply { conversations, has_older })
}

fn start(params: &ListParams, index: Index) -> Result<String, Fault> {
    match (params.before, &params.before_id) {
        (None, None) => Ok(index.start()),
        (Some(before), None) => Ok(index.before(before)),
        (Some(before), Some(id)) => {
            keys::check_id(id)?;
            Ok(storage::after_key(&index.entry(before, id)))
        }
        (None, Some(id)) => {
            let message =
                format!("`before_id` `{id}` needs `before`; send the `active_at` that it was listed with");
            Err(Fault::new(fault::INVALID, message))
        }
    }
}

/// Every conversation with an open turn. Looks at every head: the heads are the truth, and it is asked at a boot.
pub(crate) async fn open_turns(host: &Host) -> Result<OpenTurnsReply, Fault> {
    let mut conversations: Vec<Conversation> = Vec::new();
    let mut pages =
        Pages::new(keys::HEADS_START.to_owned(), keys::HEADS_END.to_owned(), SCAN_LIMIT_MAX, false);
    while let Some(entries) = pages.next(host).await? {
        for entry in &entries {
            let Some(id) = keys::id_of_head(&entry.key) else { continue };
            match store::read_head(entry, id) {
                Ok(head) if head.open_turn.is_some() => conversations.push(head.conversation(id)),
                Ok(_) => {}
                Err(fault) => warn!(key = entry.key, %fault, "a head cannot be read; it is left out"),
            }
        }
    }
    conversations.sort_by(|a, b| (a.active_at, &a.id).cmp(&(b.active_at, &b.id)));
    if conversations.len() > OPEN_TURNS_MAX {
        warn!(n_open = conversations.len(), "only the first of the open turns are answered");
        conversations.truncate(OPEN_TURNS_MAX);
    }
    Ok(OpenTurnsReply { conversations, next: None })
}
