//! The store as this extension uses it: heads, pages of rows, and commits conditional on a head.
//! It must not know turns or watchers.

use crate::counts::Counts;
use crate::faults;
use crate::head::Head;
use crate::keys::{self, Index};
use crate::row::{Row, checked};
use dispatch_sdk::contracts::storage::{self, Commit, CommitParams, Entry, Put, Require, ScanParams};
use dispatch_sdk::{Fault, Host};
use serde_json::value::{RawValue, to_raw_value};

/// A head and the version it was read or written at.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) head: Head,
    pub(crate) version: u64,
}

/// Reads a head; `None` = there is no such conversation.
pub(crate) async fn head(host: &Host, id: &str) -> Result<Option<Known>, Fault> {
    let params = storage::GetParams { key: keys::head(id) };
    let Some(entry) = host.call(storage::Get, &params).await?.entry else { return Ok(None) };
    Ok(Some(Known { head: read_head(&entry, id)?, version: entry.version }))
}

/// Reads the head in an entry.
pub(crate) fn read_head(entry: &Entry, id: &str) -> Result<Head, Fault> {
    serde_json::from_str(entry.value.get()).map_err(|e| faults::unreadable_head(id, &e))
}

/// Reads a head that must be there.
pub(crate) async fn head_of(host: &Host, id: &str) -> Result<Known, Fault> {
    head(host, id).await?.ok_or_else(|| faults::missing(id))
}

/// Pages through the keys of a range.
pub(crate) struct Pages {
    params: ScanParams,
    done: bool,
}

impl Pages {
    /// Keys in `[start, end)`, `limit` at a time.
    pub(crate) fn new(start: String, end: String, limit: usize, reverse: bool) -> Self {
        let done = start >= end;
        Self { params: ScanParams { start, end, limit, reverse, ..ScanParams::default() }, done }
    }

    /// The next page; `None` after the last.
    pub(crate) async fn next(&mut self, host: &Host) -> Result<Option<Vec<Entry>>, Fault> {
        if self.done {
            return Ok(None);
        }
        let page = host.call(storage::Scan, &self.params).await?;
        match page.entries.last() {
            Some(last) if page.more && self.params.reverse => self.params.end.clone_from(&last.key),
            Some(last) if page.more => self.params.start = storage::after_key(&last.key),
            Some(_) | None => self.done = true,
        }
        Ok(Some(page.entries))
    }
}

/// Whether any key lies in `[start, end)`.
pub(crate) async fn any(host: &Host, start: String, end: String) -> Result<bool, Fault> {
    let page = Pages::new(start, end, 1, false).next(host).await?;
    Ok(page.is_some_and(|entries| !entries.is_empty()))
}

/// One commit for one conversation, being put together. The head comes first.
pub(crate) struct Batch<'a> {
    id: &'a str,
    commit: CommitParams,
}

impl<'a> Batch<'a> {
    /// Replaces the head `before` (`None` = it must not exist) and moves the entry by activity with it.
    pub(crate) fn new(id: &'a str, before: Option<&Known>, head: &Head) -> Self {
        let raw =
            |value: Result<Box<RawValue>, _>| value.expect("a struct of strings and numbers always encodes");
        let mut commit = CommitParams::default();
        commit.require.push(Require { key: keys::head(id), version: before.map(|known| known.version) });
        commit.put.push(Put { key: keys::head(id), value: raw(to_raw_value(head)) });
        let activity_of = |head: &Head| Index::of(head.archived).entry(head.active_at, id);
        let activity = activity_of(head);
        if let Some(old) = before.map(|known| activity_of(&known.head))
            && old != activity
        {
            commit.delete.push(old);
        }
        commit.put.push(Put { key: activity, value: raw(to_raw_value(&head.conversation(id))) });
        Self { id, commit }
    }

    pub(crate) fn put_row(&mut self, row: &Row) -> Result<(), Fault> {
        self.commit.put.push(Put { key: keys::row(self.id, row.seq), value: row.encode()? });
        Ok(())
    }

    pub(crate) fn delete_row(&mut self, seq: u64) {
        self.commit.delete.push(keys::row(self.id, seq));
    }

    /// Puts `messages` from index `idx` on.
    pub(crate) fn put_messages(&mut self, idx: u64, messages: &[Box<RawValue>]) -> Result<(), Fault> {
        for (idx, message) in (idx..).zip(messages) {
            let value = checked(message.clone(), "message")?;
            self.commit.put.push(Put { key: keys::message(self.id, idx), value });
        }
        Ok(())
    }

    /// Commits; answers the head's new version and whether it survives a power cut.
    pub(crate) async fn commit(self, host: &Host, counts: &Counts) -> Result<(u64, bool), Fault> {
        let reply = host.call(Commit, &self.commit).await;
        counts.committed(reply.as_ref().err());
        let reply = reply?;
        let Some(version) = reply.versions.first() else {
            let message = "the store committed and named no versions; it breaks `storage.v1`";
            return Err(Fault::new(dispatch_sdk::fault::BROKEN, message));
        };
        Ok((*version, reply.durable))
    }
}
