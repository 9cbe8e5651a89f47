//! Lists of conversations, by activity.

use crate::faults;
use crate::keys::Index;
use crate::store::Pages;
use dispatch_sdk::contracts::conversations::{Conversation, LIST_LIMIT_MAX, ListParams, ListReply, check_id};
use dispatch_sdk::contracts::storage;
use dispatch_sdk::{Fault, Host, fault};
use tracing::warn;

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
            check_id(id)?;
            Ok(storage::after_key(&index.entry(before, id)))
        }
        (None, Some(id)) => {
            let message =
                format!("`before_id` `{id}` needs `before`; send the `active_at` that it was listed with");
            Err(Fault::new(fault::INVALID, message))
        }
    }
}
