//! Which numbers a row covers, for a client at any cursor; and cursors that nobody can have.

use super::rig::{CONV, Rig, called, seen, text, until};
use crate::turn_log::SEQ_RESERVE;
use dispatch_sdk::contracts::conversations as contract;
use dispatch_sdk::contracts::event::Event;
use dispatch_sdk::fault;
use serde_json::json;
use std::collections::BTreeMap;

/// What a client shows, by the number under which it came.
#[derive(Default, Clone)]
struct Screen(BTreeMap<u64, String>);

impl Screen {
    fn take(&mut self, event: &Event) {
        let first = event.seq_first.unwrap_or(event.seq);
        let covered: Vec<u64> = self.0.range(first..=event.seq).map(|(seq, _)| *seq).collect();
        assert_eq!(event.rebased, first <= self.cursor() && self.cursor() < event.seq, "{event:?}");
        for seq in covered {
            self.0.remove(&seq);
        }
        self.0.insert(event.seq, seen(event).1.trim_start_matches('~').to_owned());
    }

    fn cursor(&self) -> u64 {
        self.0.last_key_value().map_or(0, |(seq, _)| *seq)
    }

    fn text(&self) -> String {
        self.0.values().map(String::as_str).collect()
    }
}

/// Blocks in memory, partly on disk, and wholly on disk, joined at every cursor.
#[tokio::test]
async fn a_client_at_any_cursor_knows_which_numbers_a_rebased_row_covers() {
    let rig = Rig::with_manual_clock().await;
    rig.begin("t").await.unwrap();
    let mut watched = rig.watch(0);
    let mut screens = vec![Screen::default()];
    let mut follow = async |rig: &Rig, to: u64| {
        for event in watched.up_to(to).await {
            assert!(event.seq_first.is_none() && !event.rebased, "it sees each number by itself");
            let mut screen = screens.last().unwrap().clone();
            screen.take(&event);
            screens.push(screen);
        }
        let full = screens.last().unwrap().text();
        for screen in &screens {
            let mut late = rig.watch(screen.cursor());
            let mut own = screen.clone();
            while own.cursor() < to {
                own.take(&late.next().await);
            }
            assert_eq!(own.text(), full, "from {}", screen.cursor());
            let mut own = screen.clone();
            for event in rig.page(Some(screen.cursor()), None, 0).await.events {
                own.take(&event);
            }
            assert!(full.starts_with(&own.text()), "from {}: a page", screen.cursor());
        }
    };
    rig.live("t", vec![text("a")]).await.unwrap();
    follow(&rig, 3).await;
    rig.live("t", ["b", "c"].map(text).to_vec()).await.unwrap();
    follow(&rig, 5).await;
    until("the flush", || {
        rig.host.advance_ms(50);
        rig.disk.keys("log/").len() == 3
    })
    .await;
    rig.live("t", ["d", "e"].map(text).to_vec()).await.unwrap();
    follow(&rig, 7).await;
    rig.append("t", vec![called("x")]).await.unwrap();
    rig.live("t", ["f", "g"].map(text).to_vec()).await.unwrap();
    follow(&rig, 10).await;
    let end = rig.end("t").await.seq_last;
    follow(&rig, end).await;
    let rows: Vec<_> =
        rig.page(None, None, 0).await.events.iter().map(|row| (row.seq_first, row.seq)).collect();
    assert_eq!(rows, [(None, 1), (None, 2), (Some(3), 7), (None, 8), (Some(9), 10), (None, 11)]);
}

#[tokio::test]
async fn a_cursor_of_another_store_is_refused_with_the_last_number() {
    let rig = Rig::with_manual_clock().await;
    let ended = async |after: u64| {
        let params = contract::WatchParams { conversation_id: CONV.to_owned(), after };
        rig.store.stream(contract::Watch, &params).finish().await.1.unwrap_err()
    };
    let page = async |after: u64| {
        let params = contract::EventsParams {
            conversation_id: CONV.to_owned(),
            after: Some(after),
            before: None,
            limit: 0,
        };
        rig.store.call(contract::Events, &params).await
    };
    rig.begin("t").await.unwrap();
    // While a turn runs, live text may have been shown under any reserved number.
    let reserved = 2 + SEQ_RESERVE;
    page(reserved).await.unwrap();
    let watched = rig.watch(reserved);
    for refused in [ended(reserved + 1).await, page(reserved + 1).await.unwrap_err(), ended(u64::MAX).await] {
        assert!(refused.is(fault::INVALID));
        assert_eq!(refused.detail, json!({ "seq_last": 2 }));
    }
    let end = rig.end("t").await.seq_last;
    page(end).await.unwrap();
    for refused in [ended(end + 1).await, page(end + 1).await.unwrap_err()] {
        assert_eq!((refused.code.as_str(), refused.detail), (fault::INVALID, json!({ "seq_last": 3 })));
    }
    // The one that was let in follows what comes above its cursor.
    watched.stream.cancel();
}

/// The numbers of a running turn that are not on disk yet are no cursors from the future.
#[tokio::test]
async fn a_client_that_saw_live_text_resumes_before_it_is_written() {
    let rig = Rig::with_manual_clock().await;
    rig.begin("t").await.unwrap();
    let mut watched = rig.watch(2);
    for (seq, part) in [(3, "a"), (4, "b")] {
        rig.live("t", vec![text(part)]).await.unwrap();
        assert_eq!(watched.next().await.seq, seq);
    }
    drop(watched);
    let mut resumed = rig.watch(4);
    rig.live("t", vec![text("c")]).await.unwrap();
    // By itself when the watcher had attached before it came, else with the block that covers what is shown.
    let next = resumed.next().await;
    let expected = if next.rebased { (Some(3), "~abc") } else { (None, "c") };
    assert_eq!((next.seq, next.seq_first, seen(&next).1.as_str()), (5, expected.0, expected.1));
}
