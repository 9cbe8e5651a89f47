//! What other processes write to the conversations that are watched here: one look at the store for all watchers.
//!
//! The store ticks when something changed; the newest entries of the lists by activity then say which conversations did.
//! A store that has no ticks is looked at by the clock. It must not know what watchers do with it.

use crate::convs::Convs;
use crate::keys::Index;
use crate::store::Pages;
use dispatch_sdk::contracts::conversations::Conversation;
use dispatch_sdk::contracts::storage;
use dispatch_sdk::contracts::verb::Empty;
use dispatch_sdk::{CallStream, Fault, Host, Item, fault};
use std::sync::Arc;
use std::time::Duration;
use tracing::debug;

/// How often a store without ticks is looked at.
const POLL_EVERY: Duration = Duration::from_millis(500);
/// Least time between two looks, however often the store ticks.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How much older than the newest an entry may be and still be new to us: clocks of processes are not one.
const CLOCKS_APART_MS: u64 = 2_000;
/// Entries read at a time.
const PAGE_ENTRIES: usize = 100;
/// Most entries of one look; beyond them every watched conversation counts as changed.
const ENTRIES_MAX: usize = 1000;

/// Tells the watched conversations when another process wrote to them; never ends.
pub(crate) async fn follow(host: Host, convs: Arc<Convs>) {
    let mut ticks: Option<CallStream<storage::Watch>> = None;
    let mut has_ticks = true;
    let mut newest = host.now_ms();
    loop {
        if has_ticks {
            let stream = ticks.get_or_insert_with(|| host.stream(storage::Watch, &Empty {}));
            match stream.next().await {
                Ok(Item::Frame(_)) => host.sleep(LOOK_EVERY).await,
                Ok(Item::End(_)) => ticks = None,
                Err(fault) => {
                    debug!(%fault, "the store does not tick");
                    has_ticks = !fault.is(fault::UNKNOWN_VERB);
                    ticks = None;
                }
            }
        }
        if ticks.is_none() {
            host.sleep(POLL_EVERY).await;
        }
        if !convs.has_idle_watchers() {
            continue;
        }
        match look(&host, &convs, newest).await {
            Ok(seen) => newest = seen,
            Err(fault) => {
                // Whoever watches reads the store itself, and says what it finds.
                debug!(%fault, "the lists of conversations cannot be read");
                convs.all_idle_changed();
            }
        }
    }
}

/// Passes on what was written since `newest`; answers the newest activity of all, at most now: whoever wrote by a clock
/// that is ahead must not hide what others write.
async fn look(host: &Host, convs: &Convs, newest: u64) -> Result<u64, Fault> {
    let since = newest.saturating_sub(CLOCKS_APART_MS);
    let mut newest = newest;
    let now = host.now_ms();
    for index in [Index::Listed, Index::Archived] {
        let mut pages = Pages::new(index.start(), index.before(since), PAGE_ENTRIES, false);
        let mut n_entries = 0;
        while let Some(entries) = pages.next(host).await? {
            n_entries += entries.len();
            if n_entries > ENTRIES_MAX {
                convs.all_idle_changed();
                return Ok(host.now_ms().max(newest));
            }
            for entry in &entries {
                let Ok(found) = serde_json::from_str::<Conversation>(entry.value.get()) else { continue };
                newest = newest.max(found.active_at.min(now));
                if let Some(conv) = convs.get(&found.id) {
                    conv.changed_to(entry.version);
                }
            }
        }
    }
    Ok(newest)
}
