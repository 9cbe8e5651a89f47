//! The index of open turns: who holds some, whose they are, and how a store of before there was one gets it.
//!
//! Entries are written with the head that they speak of. The head stays the truth: an entry that it does not bear out is
//! taken away where it is met.

use crate::faults;
use crate::hosts::{HostRow, Hosts};
use crate::keys;
use crate::layout::{LAYOUT_INDEXED, Layout};
use crate::old_turns::OldTurns;
use crate::store::{self, Pages};
use dispatch_sdk::contracts::conversations::{
    Conversation, HOSTS_MAX, HostsReply, Life, OPEN_TURNS_LIMIT_MAX, OpenHost, OpenTurnsParams,
    OpenTurnsReply,
};
use dispatch_sdk::contracts::storage::{self, Commit, CommitParams, Put, Require};
use dispatch_sdk::{Fault, Host, fault};
use serde_json::value::to_raw_value;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use tracing::{info, warn};

/// Old heads that are looked through in one commit.
const PASS_HEADS: usize = 500;
/// Most such commits in one call.
const PASS_STEPS_MAX: usize = 10;
/// Most hosts with open turns that are looked at in one call.
const HOSTS_LOOKED_AT_MAX: usize = 10_000;
/// Most rows of hosts that are looked at each time that rows left behind are taken out.
pub(crate) const ROWS_LOOKED_AT_MAX: usize = 1000;
/// Between two such times.
pub(crate) const TIDY_EVERY_MS: u64 = 30_000;

/// What this process knows of the index.
#[derive(Debug, Default)]
pub(crate) struct OpenTurnsIndex {
    complete: AtomicBool,
    tidying: Mutex<Tidying>,
    old_turns: OldTurns,
}

/// How far the rows of hosts were looked through for those that nothing needs any more.
#[derive(Debug, Clone, Default)]
struct Tidying {
    /// Nothing is looked at before this, unix ms.
    due_at: u64,
    /// It goes on here; empty = from the first.
    start: String,
}

impl OpenTurnsIndex {
    /// Who holds turns open.
    pub(crate) async fn hosts(&self, host: &Host, lives: &Hosts) -> Result<HostsReply, Fault> {
        if self.complete.load(Ordering::Relaxed) {
            self.old_turns.go_on(host).await;
        }
        let indexing = !self.complete(host).await?;
        let mut hosts = Vec::new();
        let mut start = keys::OPEN_START.to_owned();
        while hosts.len() < HOSTS_LOOKED_AT_MAX
            && let Some(entry) = store::first(host, start, keys::OPEN_END.to_owned()).await?
        {
            let host_id = keys::parts_of_open(&entry.key).map_or("", |(host_id, _)| host_id).to_owned();
            start = keys::open_of(&host_id).1;
            let life = lives.life(host, &host_id).await?;
            hosts.push(OpenHost { host_id, life });
        }
        hosts.sort_by_key(|open| match open.life {
            Life::Dead => 0,
            Life::Unknown => 1,
            Life::Alive => 2,
        });
        hosts.truncate(HOSTS_MAX);
        self.tidy(host, lives).await;
        Ok(HostsReply { hosts, indexing })
    }

    /// Takes out the rows that dead hosts left behind and that nothing needs any more, when that is due.
    async fn tidy(&self, host: &Host, lives: &Hosts) {
        let tidying = self.tidying.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if host.now_ms() < tidying.due_at {
            return;
        }
        match tidy(host, lives, tidying.start).await {
            Ok(start) => {
                let next = Tidying { due_at: host.now_ms() + TIDY_EVERY_MS, start };
                *self.tidying.lock().unwrap_or_else(PoisonError::into_inner) = next;
            }
            Err(fault) => warn!(%fault, "rows that dead hosts left behind stay; trying again"),
        }
    }

    /// A page of the open turns.
    pub(crate) async fn page(&self, host: &Host, params: &OpenTurnsParams) -> Result<OpenTurnsReply, Fault> {
        let limit = faults::limit(params.limit, OPEN_TURNS_LIMIT_MAX)?;
        self.complete(host).await?;
        let (all_start, end) = match &params.host_id {
            Some(host_id) => keys::open_of(host_id),
            None => (keys::OPEN_START.to_owned(), keys::OPEN_END.to_owned()),
        };
        let after = params.after.as_ref().map(|after| format!("{}{after}\u{1}", keys::OPEN_START));
        let start = after.map_or(all_start.clone(), |after| after.max(all_start));
        let mut pages = Pages::new(start, end, limit, false).keys_only();
        let entries = pages.next(host).await?.unwrap_or_default();
        let mut conversations: Vec<Conversation> = Vec::new();
        for entry in &entries {
            let Some((host_id, id)) = keys::parts_of_open(&entry.key) else { continue };
            match look(host, host_id, id, &entry.key).await {
                Ok(found) => conversations.extend(found),
                Err(fault) if fault.is(storage::CORRUPT) => {
                    warn!(key = entry.key, %fault, "a head cannot be read; its open turn is left out");
                }
                Err(fault) => return Err(fault),
            }
        }
        let last = entries.last().filter(|_| pages.has_more());
        let next = last.map(|last| last.key[keys::OPEN_START.len()..].to_owned());
        Ok(OpenTurnsReply { conversations, next })
    }

    /// Goes on making the index of an old store, a bounded way; whether it is whole.
    async fn complete(&self, host: &Host) -> Result<bool, Fault> {
        for _ in 0..PASS_STEPS_MAX {
            if self.complete.load(Ordering::Relaxed) {
                return Ok(true);
            }
            match step(host).await {
                Ok(complete) => self.complete.store(complete, Ordering::Relaxed),
                // Another process goes the same way, or a turn was begun or ended meanwhile.
                Err(fault) if fault.is(fault::CONFLICT) => {}
                Err(fault) => return Err(fault),
            }
        }
        Ok(self.complete.load(Ordering::Relaxed))
    }
}

/// The conversation of an entry, if its head bears the entry out; else the entry is taken away.
async fn look(host: &Host, host_id: &str, id: &str, key: &str) -> Result<Option<Conversation>, Fault> {
    let known = store::head(host, id).await?;
    let held = |open: &crate::head::HeadTurn| open.host_id == host_id;
    if let Some(known) = &known
        && known.head.open_turn.as_ref().is_some_and(held)
    {
        return Ok(Some(known.head.conversation(id)));
    }
    let version = known.map(|known| known.version);
    let commit = CommitParams {
        require: vec![Require { key: keys::head(id), version }],
        delete: vec![key.to_owned()],
        ..CommitParams::default()
    };
    match host.call(Commit, &commit).await {
        Err(fault) if !fault.is(fault::CONFLICT) => Err(fault),
        Ok(_) | Err(_) => Ok(None),
    }
}

/// Indexes the open turns of the next old heads; whether there are no more.
async fn step(host: &Host) -> Result<bool, Fault> {
    let before = store::read::<Layout>(host, keys::LAYOUT).await?;
    let (layout, version) = match before {
        Some((layout, _)) if layout.version >= LAYOUT_INDEXED => return Ok(true),
        Some((layout, version)) => (layout, Some(version)),
        None => (Layout { version: 1, after: String::new(), rows: None }, None),
    };
    let start =
        if layout.after.is_empty() { keys::HEADS_START.to_owned() } else { layout.after.clone() + "\u{1}" };
    let mut pages = Pages::new(start, keys::HEADS_END.to_owned(), PASS_HEADS, false);
    let entries = pages.next(host).await?.unwrap_or_default();
    let complete = !pages.has_more();
    let mut commit = CommitParams::default();
    commit.require.push(Require { key: keys::LAYOUT.to_owned(), version });
    for entry in &entries {
        let Some(id) = keys::id_of_head(&entry.key) else { continue };
        let head = match store::read_head(entry, id) {
            Ok(head) => head,
            Err(fault) => {
                warn!(key = entry.key, %fault, "a head cannot be read; it is left out");
                continue;
            }
        };
        if let Some(open) = &head.open_turn
            && !open.host_id.contains('/')
        {
            // It may have ended by now: then the entry is stale, and is taken away where it is met.
            commit.put.push(Put { key: keys::open(&open.host_id, id), value: store::indexed() });
        }
    }
    let next = match entries.last() {
        Some(last) if !complete => Layout { version: 1, after: last.key.clone(), rows: None },
        Some(_) | None => Layout { version: LAYOUT_INDEXED, after: String::new(), rows: None },
    };
    let value = to_raw_value(&next).expect("a struct of strings and numbers always encodes");
    commit.put.push(Put { key: keys::LAYOUT.to_owned(), value });
    host.call(Commit, &commit).await?;
    if complete && version.is_some() {
        info!("the index of open turns is whole");
    }
    Ok(complete)
}

/// Looks through the next rows of hosts; answers where to go on, empty = from the first.
async fn tidy(host: &Host, lives: &Hosts, start: String) -> Result<String, Fault> {
    let start = if start.is_empty() { keys::HOSTS_START.to_owned() } else { start };
    let mut pages = Pages::new(start, keys::HOSTS_END.to_owned(), ROWS_LOOKED_AT_MAX, false);
    let mut idle = Vec::new();
    let entries = pages.next(host).await?.unwrap_or_default();
    for entry in &entries {
        let Some(host_id) = entry.key.strip_prefix(keys::HOSTS_START) else { continue };
        let Ok(row) = serde_json::from_str::<HostRow>(entry.value.get()) else { continue };
        if lives.judge(host_id, &row, entry.version, host.now_ms()) != Life::Dead {
            continue;
        }
        let (start, end) = keys::open_of(host_id);
        if !store::any(host, start, end).await? {
            idle.push((host_id.to_owned(), entry.version));
        }
    }
    lives.forget(host, idle).await?;
    let last = entries.last().filter(|_| pages.has_more());
    Ok(last.map(|last| storage::after_key(&last.key)).unwrap_or_default())
}
