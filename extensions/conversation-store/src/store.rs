//! The store as this extension uses it: heads, pages of rows, and commits conditional on a head.
//! It must not know turns or watchers.

use crate::counts::Counts;
use crate::faults;
use crate::head::Head;
use crate::keys::{self, Index};
use crate::row::Row;
use crate::spill;
use dispatch_sdk::contracts::conversations::TurnRow;
use dispatch_sdk::contracts::storage::{self, Commit, CommitParams, Entry, Put, Require, ScanParams};
use dispatch_sdk::contracts::verb::Empty;
use dispatch_sdk::{Fault, Host, fault};
use serde::Serialize;
use serde::de::DeserializeOwned;
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

/// Reads a small record and its version; one that cannot be read is `corrupt`.
pub(crate) async fn read<T: DeserializeOwned>(host: &Host, key: &str) -> Result<Option<(T, u64)>, Fault> {
    let params = storage::GetParams { key: key.to_owned() };
    let Some(entry) = host.call(storage::Get, &params).await?.entry else { return Ok(None) };
    let read = serde_json::from_str(entry.value.get()).map_err(|e| faults::unreadable(key, &e))?;
    Ok(Some((read, entry.version)))
}

/// Reads a head that must be there.
pub(crate) async fn head_of(host: &Host, id: &str) -> Result<Known, Fault> {
    head(host, id).await?.ok_or_else(|| faults::missing(id))
}

/// Whether what is committed survives a power cut.
pub(crate) async fn is_durable(host: &Host) -> Result<bool, Fault> {
    Ok(host.call(storage::Info, &Empty {}).await?.durable)
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

    /// Whether there are more keys than those of the pages so far.
    pub(crate) fn has_more(&self) -> bool {
        !self.done
    }

    /// So many bytes of values at a time, and one value at least.
    pub(crate) fn of_bytes(mut self, bytes_max: usize) -> Self {
        self.params.bytes_max = bytes_max;
        self
    }

    /// Without the values.
    pub(crate) fn keys_only(mut self) -> Self {
        self.params.keys_only = true;
        self
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

/// The first entry in `[start, end)`, without its value.
pub(crate) async fn first(host: &Host, start: String, end: String) -> Result<Option<Entry>, Fault> {
    let page = Pages::new(start, end, 1, false).keys_only().next(host).await?;
    Ok(page.and_then(|entries| entries.into_iter().next()))
}

/// Whether any key lies in `[start, end)`.
pub(crate) async fn any(host: &Host, start: String, end: String) -> Result<bool, Fault> {
    Ok(first(host, start, end).await?.is_some())
}

fn raw<T: Serialize>(value: &T) -> Box<RawValue> {
    to_raw_value(value).expect("a struct of strings, numbers and JSON always encodes")
}

/// What an entry of an index holds beside its key: nothing that is not in the head.
pub(crate) fn indexed() -> Box<RawValue> {
    raw(&serde_json::Map::new())
}

/// One commit for one conversation, being put together. The head comes first.
pub(crate) struct Batch<'a> {
    id: &'a str,
    commit: CommitParams,
}

impl<'a> Batch<'a> {
    /// Replaces the head `before` (`None` = it must not exist) and moves what indexes it along: the entry by activity,
    /// that of its open turn, and that of the wish that this ends.
    pub(crate) fn new(id: &'a str, before: Option<&Known>, head: &Head) -> Self {
        let mut commit = CommitParams::default();
        commit.require.push(Require { key: keys::head(id), version: before.map(|known| known.version) });
        commit.put.push(Put { key: keys::head(id), value: raw(head) });
        let activity_of = |head: &Head| Index::of(head.archived).entry(head.active_at, id);
        let activity = activity_of(head);
        if let Some(old) = before.map(|known| activity_of(&known.head))
            && old != activity
        {
            commit.delete.push(old);
        }
        commit.put.push(Put { key: activity, value: raw(&head.conversation(id)) });
        let open_of = |head: &Head| Some(keys::open(&head.open_turn.as_ref()?.host_id, id));
        let stop_of = |head: &Head| {
            let open = head.open_turn.as_ref().filter(|open| open.stop.is_some())?;
            Some(keys::stop(&open.host_id, id))
        };
        for index in [&open_of as &dyn Fn(&Head) -> Option<String>, &stop_of] {
            let (old, new) = (before.and_then(|known| index(&known.head)), index(head));
            if old != new {
                commit.delete.extend(old);
                commit.put.extend(new.map(|key| Put { key, value: indexed() }));
            }
        }
        Self { id, commit }
    }

    pub(crate) fn put_row(&mut self, row: &Row) {
        self.commit.put.push(Put { key: keys::row(self.id, row.seq), value: row.encode() });
    }

    /// Puts the row of a turn that never was begun before.
    pub(crate) fn put_new_turn(&mut self, row: &TurnRow) {
        self.commit.require.push(Require { key: keys::turn(self.id, &row.turn_id), version: None });
        self.put_turn(row);
    }

    pub(crate) fn put_turn(&mut self, row: &TurnRow) {
        self.commit.put.push(Put { key: keys::turn(self.id, &row.turn_id), value: raw(row) });
    }

    pub(crate) fn put_other(&mut self, put: Put) {
        self.commit.put.push(put);
    }

    pub(crate) fn delete_row(&mut self, seq: u64) {
        self.commit.delete.push(keys::row(self.id, seq));
    }

    /// Puts `messages` from index `idx` on.
    pub(crate) fn put_messages(&mut self, idx: u64, messages: &[Box<RawValue>]) {
        for (idx, message) in (idx..).zip(messages) {
            self.commit.put.push(Put { key: keys::message(self.id, idx), value: message.clone() });
        }
    }

    /// Commits; answers the head's new version and whether it survives a power cut. What is too large for a value is a
    /// blob before that.
    pub(crate) async fn commit(mut self, host: &Host, counts: &Counts) -> Result<(u64, bool), Fault> {
        spill::spill(host, &mut self.commit.put).await?;
        let reply = host.call(Commit, &self.commit).await;
        counts.committed(reply.as_ref().err());
        let reply = reply?;
        let Some(version) = reply.versions.first() else {
            let message = "the store committed and named no versions; it breaks `storage.v1`";
            return Err(Fault::new(fault::BROKEN, message));
        };
        Ok((*version, reply.durable))
    }
}
