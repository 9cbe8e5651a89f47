//! Watchers: what they see, in which order, and that they stop nobody.

use super::disk::Disk;
use super::rig::{CONV, Rig, body, called, seen, text, until};
use crate::spill::SPILL_BYTES;
use dispatch_sdk::contracts::conversations as contract;
use dispatch_sdk::contracts::event::Event;
use dispatch_sdk::{Item, fault};
use dispatch_testkit::FakeHost;
use serde_json::json;

/// What a client that replaces rebased blocks has on its screen, starting from what it had at `after`.
fn screen(before: &[Event], after: u64, events: &[Event]) -> Vec<String> {
    let mut screen: Vec<(u64, String, String)> = Vec::new();
    for event in before.iter().filter(|event| event.seq <= after).chain(events) {
        let what = seen(event).1;
        let text = what.trim_start_matches('~');
        let joins =
            screen.last().is_some_and(|(_, kind, _)| *kind == event.kind) && event.kind == "text_delta";
        if event.rebased {
            screen.pop();
        }
        match screen.last_mut() {
            Some((_, _, shown)) if joins && !event.rebased => shown.push_str(text),
            _ => screen.push((event.seq, event.kind.clone(), text.to_owned())),
        }
    }
    screen.into_iter().map(|(_, _, text)| text).collect()
}

#[tokio::test]
async fn a_watcher_that_joins_anywhere_at_any_time_sees_the_same() {
    let rig = Rig::with_manual_clock().await;
    rig.begin("t").await.unwrap();
    let mut first = rig.watch(0);
    let mut all = first.up_to(2).await;
    let mut joined = Vec::new();
    for step in 0..12 {
        if step % 4 == 3 {
            rig.append("t", vec![called(&step.to_string())]).await.unwrap();
        } else {
            rig.live("t", vec![text(&format!("<{step}>"))]).await.unwrap();
        }
        if step % 3 == 2 {
            rig.host.advance_ms(300);
        }
        all.push(first.next().await);
        for after in 0..=3 + step {
            joined.push((after, rig.watch(after)));
        }
    }
    let end = rig.end("t").await.seq_last;
    all.extend(first.up_to(end).await);
    assert!(all.iter().all(|event| !event.rebased));
    let expected = screen(&[], 0, &all);
    assert_eq!(expected.len(), 2 + 6 + 1);
    for (after, mut watched) in joined {
        let events = watched.up_to(end).await;
        assert!(events.is_sorted_by(|a, b| a.seq < b.seq));
        assert!(events[0].seq > after);
        assert_eq!(screen(&all, after, &events), expected, "after {after}: {events:?}");
    }
}

#[tokio::test]
async fn a_watcher_from_before_a_turn_sees_it_and_the_next_one() {
    let rig = Rig::new().await;
    rig.begin("t1").await.unwrap();
    rig.end("t1").await;
    let mut watched = rig.watch(3);
    rig.begin("t2").await.unwrap();
    rig.live("t2", vec![text("a")]).await.unwrap();
    let mut found: Vec<_> = watched.up_to(6).await.iter().map(seen).collect();
    rig.end("t2").await;
    rig.begin("t3").await.unwrap();
    found.extend(watched.up_to(9).await.iter().map(seen));
    let what: Vec<&str> = found.iter().map(|(_, what)| what.as_str()).collect();
    assert_eq!(what, ["turn_started", "input", "a", "turn_ended", "turn_started", "input"]);
}

#[tokio::test]
async fn a_watch_ends_when_it_is_cancelled_and_leaves_nothing_behind() {
    let rig = Rig::new().await;
    rig.begin("t").await.unwrap();
    let mut watched = rig.watch(0);
    watched.up_to(2).await;
    watched.stream.cancel();
    assert!(matches!(watched.stream.next().await, Ok(Item::End(_))));
    let missing = contract::WatchParams { conversation_id: "none".to_owned(), after: 0 };
    let (_, ended) = rig.store.stream(contract::Watch, &missing).finish().await;
    assert!(ended.unwrap_err().is(fault::NOT_FOUND));
}

#[tokio::test]
async fn a_watcher_that_does_not_read_delays_nobody_and_gets_everything_later() {
    let rig = Rig::new().await;
    rig.begin("t").await.unwrap();
    let mut slow = rig.watch(0);
    let mut fast = rig.watch(0);
    assert_eq!(slow.next().await.seq, 1);
    let mut expected = String::new();
    for n in 0..3000 {
        let part = format!("{n:0>100}");
        expected.push_str(&part);
        rig.live("t", vec![text(&part)]).await.unwrap();
        if n % 1000 == 999 {
            rig.append("t", vec![called(&n.to_string())]).await.unwrap();
        }
    }
    let end = rig.end("t").await.seq_last;
    let text_of = |events: &[Event]| {
        let mut text = String::new();
        for event in events.iter().filter(|event| event.kind == "text_delta") {
            let what = seen(event).1;
            match what.strip_prefix('~') {
                // Replaces what was shown of its block: the longest end of the text that it begins with.
                Some(whole) => {
                    let shared = (0..=text.len()).find(|idx| whole.starts_with(&text[*idx..])).unwrap();
                    text.truncate(shared);
                    text.push_str(whole);
                }
                None => text.push_str(&what),
            }
        }
        text
    };
    assert!(text_of(&fast.up_to(end).await) == expected, "the fast one");
    let events = slow.up_to(end).await;
    assert!(events.len() < 3000, "it was served from the log: {}", events.len());
    assert!(events.is_sorted_by(|a, b| a.seq < b.seq));
    assert!(text_of(&events) == expected, "the slow one");
}

#[tokio::test]
async fn a_watcher_in_another_process_sees_the_turn_too() {
    let disk = Disk::new();
    let (writer, reader) = (Rig::over(&disk, FakeHost::new()).await, Rig::over(&disk, FakeHost::new()).await);
    writer.begin("t").await.unwrap();
    let mut watched = reader.watch(0);
    watched.up_to(2).await;
    writer.live("t", vec![text("a")]).await.unwrap();
    assert_eq!(seen(&watched.next().await), (3, "a".to_owned()));
    writer.live("t", vec![text("b")]).await.unwrap();
    assert_eq!(seen(&watched.next().await), (4, "~ab".to_owned()));
    writer.end("t").await;
    assert_eq!(seen(&watched.next().await).1, "turn_ended");
    // And then a turn of its own, after one that it never heard of.
    writer.begin("t2").await.unwrap();
    writer.end("t2").await;
    reader.begin("t3").await.unwrap();
    let end = reader.end("t3").await.seq_last;
    let rest: Vec<_> = watched.up_to(end).await.iter().map(|event| event.seq).collect();
    assert_eq!(rest, [6, 7, 8, 9, 10, 11]);
}

#[tokio::test]
async fn what_comes_live_during_an_append_is_shown_after_it() {
    let rig = Rig::with_manual_clock().await;
    rig.begin("t").await.unwrap();
    let mut watched = rig.watch(2);
    let held = rig.disk.gate.write().await;
    let before = rig.n_commits();
    let append = rig.append("t", vec![called("x"), body("usage", json!({}))]);
    let meanwhile = async {
        until("the append's commit", || rig.n_commits() > before).await;
        rig.live("t", vec![text("later")]).await.unwrap();
        drop(held);
    };
    let (appended, ()) = tokio::join!(append, meanwhile);
    assert_eq!(appended.unwrap().seq_last, 4);
    let found: Vec<_> = watched.up_to(5).await.iter().map(seen).collect();
    assert_eq!(found, [(3, "tool_call".to_owned()), (4, "usage".to_owned()), (5, "later".to_owned())]);
}

#[tokio::test]
async fn an_append_whose_caller_went_away_is_shown_all_the_same() {
    let rig = Rig::with_manual_clock().await;
    rig.host.set_cancel_grace_ms(1);
    rig.begin("t").await.unwrap();
    let mut watched = rig.watch(2);
    let held = rig.disk.gate.write().await;
    let before = rig.n_commits();
    let params = contract::AppendParams {
        conversation_id: CONV.to_owned(),
        turn_id: "t".to_owned(),
        events: vec![called("x")],
        ..Default::default()
    };
    let call = rig.store.stream(contract::Append, &params);
    until("the append's commit", || rig.n_commits() > before).await;
    drop(call);
    drop(held);
    assert_eq!(seen(&watched.next().await), (3, "tool_call".to_owned()));
    assert_eq!(rig.end("t").await.seq_last, 4);
}

#[tokio::test]
async fn a_watch_outlives_a_store_that_cannot_be_read_for_a_while_and_no_longer() {
    let rig = Rig::with_manual_clock().await;
    rig.begin("t").await.unwrap();
    rig.end("t").await;
    let mut watched = rig.watch(0);
    watched.up_to(3).await;
    let n_warned = || rig.host.logs().iter().filter(|log| log.level == 2).count();
    rig.disk.fail_reads(true);
    until("a failed read", || {
        rig.host.advance_ms(100);
        n_warned() >= 3
    })
    .await;
    rig.disk.fail_reads(false);
    rig.begin("t2").await.unwrap();
    let waiting = async {
        loop {
            rig.host.advance_ms(100);
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    };
    tokio::select! {
        events = watched.up_to(5) => assert_eq!(events.len(), 2),
        () = waiting => {}
    }
    rig.end("t2").await;
    watched.up_to(6).await;
    rig.disk.fail_reads(true);
    let waiting = async {
        loop {
            rig.host.advance_ms(100);
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    };
    let ended = tokio::select! {
        ended = watched.stream.next() => ended,
        () = waiting => unreachable!("it waits for ever"),
    };
    assert!(ended.unwrap_err().is(fault::IO));
}

/// A fault of one read of a blob once ended every watch that met it.
#[tokio::test]
async fn a_watch_outlives_a_blob_that_cannot_be_read_for_a_while_and_no_longer() {
    let rig = Rig::with_manual_clock().await;
    rig.begin("t").await.unwrap();
    let large = json!({ "content": "x".repeat(SPILL_BYTES + 1) });
    rig.append("t", vec![body("tool_result", large)]).await.unwrap();
    rig.end("t").await;
    for (n_failures, outlives) in [(u64::MAX, false), (2, true)] {
        rig.disk.fail_blob_reads(n_failures);
        let mut watched = rig.watch(2);
        let waiting = async {
            loop {
                rig.host.advance_ms(100);
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
        };
        let next = tokio::select! {
            next = watched.stream.next() => next,
            () = waiting => unreachable!("it waits for ever"),
        };
        match next {
            Ok(Item::Frame(event)) => assert!(outlives && event.seq == 3),
            other => assert!(!outlives && other.is_err_and(|fault| fault.is(fault::IO))),
        }
    }
}

/// Entries of a clock that was ahead once hid everything that others wrote.
#[tokio::test]
async fn a_process_whose_clock_is_ahead_hides_nothing_that_others_write() {
    let disk = Disk::new();
    let reader = Rig::over(&disk, FakeHost::with_manual_clock()).await;
    let writer = Rig::over(&disk, FakeHost::with_manual_clock()).await;
    let ahead = Rig::over(&disk, FakeHost::with_manual_clock()).await;
    ahead.host.advance_ms(3_600_000);
    writer.begin("t").await.unwrap();
    let mut watched = reader.watch(0);
    watched.up_to(2).await;
    ahead.begin_elsewhere("d").await;
    let looked = async || {
        let before = disk.n_scans();
        until("a look at the lists", || {
            // Of those two alone the clocks go together.
            reader.host.advance_ms(20);
            writer.host.advance_ms(20);
            disk.n_scans() >= before + 4
        })
        .await;
    };
    looked().await;
    writer.end("t").await;
    looked().await;
    assert_eq!(seen(&watched.next().await).1, "turn_ended");
}
