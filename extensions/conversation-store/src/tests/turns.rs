//! Beginning turns and writing to them.

use super::disk::{Disk, Fail};
use super::rig::{CONV, Rig, body, called, message, seen, text, until};
use crate::turn_log::SEQ_RESERVE;
use crate::writer::CONFLICT_RETRIES_MAX;
use dispatch_sdk::contracts::conversations as contract;
use dispatch_sdk::contracts::storage::NO_SPACE;
use dispatch_sdk::fault;
use dispatch_testkit::FakeHost;
use serde_json::json;

#[tokio::test]
async fn a_missing_conversation_is_made_only_when_asked() {
    let rig = Rig::new().await;
    let params = contract::BeginParams {
        conversation_id: "none".to_owned(),
        create: false,
        turn_id: "t".to_owned(),
        host_id: "h".to_owned(),
        ..Default::default()
    };
    assert!(rig.store.call(contract::Begin, &params).await.unwrap_err().is(fault::NOT_FOUND));
    assert_eq!(rig.disk.keys(""), Vec::<String>::new());
    let bad = contract::BeginParams { conversation_id: "../x".to_owned(), create: true, ..params };
    assert!(rig.store.call(contract::Begin, &bad).await.unwrap_err().is(fault::INVALID));
}

#[tokio::test]
async fn a_begun_turn_shows_in_the_conversation_and_its_title_stays() {
    let rig = Rig::new().await;
    let begun = rig.begin("t1").await.unwrap();
    assert_eq!((begun.cursor, begun.durable), (0, true));
    let found = rig.get().await;
    let open = contract::OpenTurn {
        turn_id: "t1".to_owned(),
        host_id: "host-1".to_owned(),
        begun: false,
        stop: None,
    };
    assert_eq!((found.title.as_str(), found.seq_last, found.open_turn), ("Say hi", 2, Some(open)));
    assert_eq!(rig.end("t1").await.seq_last, 3);
    assert_eq!(rig.begin("t2").await.unwrap().cursor, 3);
    assert_eq!(rig.get().await.title, "Say hi");
}

#[tokio::test]
async fn of_two_processes_that_begin_at_once_one_wins_and_the_other_learns_who() {
    for _ in 0..20 {
        let disk = Disk::new();
        let (a, b) = (Rig::over(&disk, FakeHost::new()).await, Rig::over(&disk, FakeHost::new()).await);
        let (in_a, in_b) = tokio::join!(a.begin("ta"), b.begin("tb"));
        let (winner, turn_id, lost) = match (in_a, in_b) {
            (Ok(_), Err(fault)) => (&a, "ta", fault),
            (Err(fault), Ok(_)) => (&b, "tb", fault),
            both => panic!("one must win: {both:?}"),
        };
        assert_eq!(lost.code, contract::TURN_IN_FLIGHT);
        assert_eq!(lost.detail, json!({ "turn_id": turn_id, "host_id": "host-1" }));
        winner.end(turn_id).await;
        assert_eq!(winner.log().await.len(), 3);
    }
}

#[tokio::test]
async fn a_turn_that_is_not_the_open_one_cannot_be_written_to() {
    let rig = Rig::new().await;
    rig.begin("t1").await.unwrap();
    assert!(rig.append("t2", vec![called("a")]).await.unwrap_err().is(fault::CONFLICT));
    assert!(rig.live("t2", vec![text("x")]).await.unwrap_err().is(fault::CONFLICT));
    rig.end("t1").await;
    assert!(rig.append("t1", vec![called("a")]).await.unwrap_err().is(fault::CONFLICT));
    assert!(rig.live("t1", vec![text("x")]).await.unwrap_err().is(fault::CONFLICT));
    assert_eq!(rig.log().await.len(), 3);
    let other = Rig::over(&rig.disk, FakeHost::new()).await;
    assert!(other.append("t1", vec![called("a")]).await.unwrap_err().is(fault::CONFLICT));
}

/// Messages appended one by one once ran together on load.
#[tokio::test]
async fn messages_appended_one_at_a_time_load_as_they_were_every_time() {
    let rig = Rig::new().await;
    let mut expected = Vec::new();
    for turn in 0..5 {
        let turn_id = format!("t{turn}");
        rig.begin(&turn_id).await.unwrap();
        expected.push(message("user", &turn_id).get().to_owned());
        for n in 0..6 {
            let next = message(if n % 2 == 0 { "assistant" } else { "user" }, &format!("{turn}.{n}"));
            expected.push(next.get().to_owned());
            rig.append_with(&turn_id, Vec::new(), vec![next]).await.unwrap();
            assert_eq!(rig.history().await, expected);
        }
        rig.end(&turn_id).await;
    }
    let reopened = Rig::over(&rig.disk, FakeHost::new()).await;
    assert_eq!(reopened.history().await, expected);
}

#[tokio::test]
async fn a_short_turn_costs_no_commit_beyond_its_begin_and_appends() {
    let rig = Rig::with_manual_clock().await;
    rig.begin("t").await.unwrap();
    for n in 0..50 {
        rig.live("t", vec![text(&n.to_string())]).await.unwrap();
    }
    rig.append("t", vec![called("a")]).await.unwrap();
    rig.live("t", vec![text("end")]).await.unwrap();
    rig.end("t").await;
    rig.host.advance_ms(10_000);
    rig.begin("t2").await.unwrap();
    assert_eq!(rig.n_commits(), 4);
    let numbers: String = (0..50).map(|n| n.to_string()).collect();
    let log = [(52, numbers), (53, "tool_call".into()), (54, "end".into()), (55, "turn_ended".into())];
    assert_eq!(rig.log().await[2..6], log);
}

#[tokio::test]
async fn live_text_is_written_after_its_time_or_its_size() {
    let rig = Rig::with_manual_clock().await;
    rig.begin("t").await.unwrap();
    rig.live("t", vec![text("a")]).await.unwrap();
    let before = rig.n_commits();
    // The timer starts when the writer has seen the text; the clock moves until it did.
    until("the flush after 250 ms", || {
        rig.host.advance_ms(50);
        rig.n_commits() > before
    })
    .await;
    until("the row", || rig.disk.keys("log/").len() == 3).await;
    assert_eq!(rig.log().await[2], (3, "a".to_owned()));
    let big = "b".repeat(20_000);
    rig.live("t", vec![text(&big)]).await.unwrap();
    until("the flush by size", || rig.n_commits() > before + 1).await;
    until("the row under its new number", || {
        rig.disk.keys("log/").last().is_some_and(|key| key.ends_with('4'))
    })
    .await;
    assert_eq!(rig.log().await[2..], [(4, format!("a{big}"))]);
}

#[tokio::test]
async fn a_stop_writes_what_is_only_in_memory() {
    let rig = Rig::with_manual_clock().await;
    rig.begin("t").await.unwrap();
    rig.live("t", vec![text("kept")]).await.unwrap();
    rig.store.stop().await.unwrap();
    let reopened = Rig::over(&rig.disk, FakeHost::new()).await;
    assert_eq!(reopened.log().await[2..], [(3, "kept".to_owned())]);
    assert!(reopened.get().await.open_turn.is_some());
}

#[tokio::test]
async fn text_beyond_the_reserved_numbers_is_flushed_before_it_is_shown() {
    let rig = Rig::with_manual_clock().await;
    rig.begin("t").await.unwrap();
    let mut watched = rig.watch(2);
    let n = SEQ_RESERVE + 500;
    for _ in 0..n {
        rig.live("t", vec![text("x")]).await.unwrap();
    }
    watched.up_to(2 + n).await;
    rig.end("t").await;
    assert_eq!(rig.log().await[2], (2 + n, "x".repeat(usize::try_from(n).unwrap())));
    assert!(rig.n_commits() > 1);
}

#[tokio::test]
async fn an_append_that_finds_no_space_shows_nothing_and_a_later_one_works() {
    let rig = Rig::with_manual_clock().await;
    rig.begin("t").await.unwrap();
    let mut watched = rig.watch(2);
    rig.live("t", vec![text("a")]).await.unwrap();
    assert_eq!(seen(&watched.next().await), (3, "a".to_owned()));
    rig.disk.fail_next(Fail::NoSpace);
    let said = vec![message("assistant", "said")];
    assert!(rig.append_with("t", vec![called("x")], said.clone()).await.unwrap_err().is(NO_SPACE));
    assert_eq!(rig.log().await.len(), 2);
    rig.live("t", vec![text("b")]).await.unwrap();
    assert_eq!(seen(&watched.next().await).1, "b");
    rig.append_with("t", vec![called("x")], said).await.unwrap();
    assert_eq!(seen(&watched.next().await).1, "tool_call");
    let log: Vec<String> = rig.log().await.into_iter().skip(2).map(|(_, what)| what).collect();
    assert_eq!(log, ["a", "b", "tool_call"]);
    assert_eq!(rig.history().await.len(), 2);
}

#[tokio::test]
async fn a_commit_of_which_nobody_knows_leaves_no_gap_and_no_duplicate() {
    for fail in [Fail::Lost, Fail::Written] {
        let rig = Rig::with_manual_clock().await;
        rig.begin("t").await.unwrap();
        let mut watched = rig.watch(2);
        rig.live("t", vec![text("a")]).await.unwrap();
        rig.disk.fail_next(fail);
        assert!(rig.append("t", vec![called("x")]).await.unwrap_err().is(fault::IO));
        rig.live("t", vec![text("b")]).await.unwrap();
        rig.append("t", vec![body("usage", json!({}))]).await.unwrap();
        let end = rig.end("t").await.seq_last;
        let log = rig.log().await;
        let what: Vec<&str> = log.iter().skip(2).map(|(_, what)| what.as_str()).collect();
        let expected: &[&str] = match fail {
            Fail::Written => &["a", "tool_call", "b", "usage", "turn_ended"],
            Fail::Lost | Fail::NoSpace | Fail::Conflict => &["a", "b", "usage", "turn_ended"],
        };
        assert_eq!(what, expected, "{fail:?}");
        let watched: Vec<_> = watched.up_to(end).await.iter().map(seen).collect();
        assert_eq!(watched, log[2..], "{fail:?}");
    }
}

/// A commit whose answer was lost stood twice in the log and in the history when it was offered again.
#[tokio::test]
async fn an_append_that_comes_again_because_its_answer_was_lost_is_written_once() {
    for fail in [Fail::Lost, Fail::Written] {
        let rig = Rig::new().await;
        rig.begin("t").await.unwrap();
        let mut said = Vec::new();
        for (append_idx, event) in [(0, called("x")), (1, called("y")), (2, body("turn_ended", json!({})))] {
            let params = contract::AppendParams {
                conversation_id: CONV.to_owned(),
                turn_id: "t".to_owned(),
                end_turn: event.kind == "turn_ended",
                events: vec![event],
                messages: vec![message("assistant", &append_idx.to_string())],
                append_idx: Some(append_idx),
                ..Default::default()
            };
            rig.disk.fail_next(fail);
            assert!(rig.store.call(contract::Append, &params).await.unwrap_err().is(fault::IO));
            let first = rig.store.call(contract::Append, &params).await.unwrap();
            let again = rig.store.call(contract::Append, &params).await.unwrap();
            assert_eq!((first.seq_last, &first), (rig.get().await.seq_last, &again), "{fail:?}");
            said.push(params.messages[0].get().to_owned());
        }
        let log: Vec<String> = rig.log().await.into_iter().skip(2).map(|(_, what)| what).collect();
        assert_eq!(log, ["tool_call", "tool_call", "turn_ended"], "{fail:?}");
        assert_eq!(rig.history().await[1..], said, "{fail:?}");
    }
}

#[tokio::test]
async fn a_begin_of_which_nobody_knows_opens_the_turn_once() {
    for fail in [Fail::Lost, Fail::Written] {
        let rig = Rig::new().await;
        rig.disk.fail_next(fail);
        assert_eq!(rig.begin("t").await.unwrap().cursor, 0);
        rig.append("t", vec![called("x")]).await.unwrap();
        rig.end("t").await;
        assert_eq!(rig.log().await.len(), 4);
        assert_eq!(rig.history().await.len(), 1);
    }
}

#[tokio::test]
async fn a_turn_is_ended_only_by_its_last_event() {
    let rig = Rig::new().await;
    rig.begin("t").await.unwrap();
    let params = contract::AppendParams {
        conversation_id: CONV.to_owned(),
        turn_id: "t".to_owned(),
        events: vec![called("a")],
        end_turn: true,
        ..Default::default()
    };
    assert!(rig.store.call(contract::Append, &params).await.unwrap_err().is(fault::INVALID));
    assert!(rig.get().await.open_turn.is_some());
}

#[tokio::test]
async fn a_head_that_others_keep_changing_is_tried_again_so_many_times_and_no_more() {
    let rig = Rig::new().await;
    for _ in 1..CONFLICT_RETRIES_MAX {
        rig.disk.fail_next(Fail::Conflict);
    }
    rig.begin("t").await.unwrap();
    for _ in 1..CONFLICT_RETRIES_MAX {
        rig.disk.fail_next(Fail::Conflict);
    }
    rig.append("t", vec![called("a")]).await.unwrap();
    for _ in 0..CONFLICT_RETRIES_MAX {
        rig.disk.fail_next(Fail::Conflict);
    }
    assert!(rig.append("t", vec![called("b")]).await.unwrap_err().is(fault::CONFLICT));
    rig.append("t", vec![called("c")]).await.unwrap();
    rig.end("t").await;
    assert_eq!(rig.log().await.len(), 5);
}

#[tokio::test]
async fn more_than_a_call_may_hold_is_refused() {
    let rig = Rig::new().await;
    rig.begin("t").await.unwrap();
    let events = (0..2501).map(|n| called(&n.to_string())).collect();
    assert!(rig.append("t", events).await.unwrap_err().is(fault::INVALID));
    assert_eq!(rig.end("t").await.seq_last, 3);
}

/// A start that was answered `deadline` once opened its turn minutes later.
#[tokio::test]
async fn no_turn_is_opened_or_adopted_for_a_caller_whose_time_is_over() {
    for (verb, params) in [
        (
            "conversations.v1/begin",
            json!({
                "conversation_id": CONV, "create": true, "turn_id": "t", "host_id": "h", "cwd": "/", "provider": "p",
                "events": [], "messages": [],
            }),
        ),
        (
            "conversations.v1/adopt",
            json!({ "conversation_id": CONV, "turn_id": "t", "dead_host_id": "host-1", "host_id": "h" }),
        ),
    ] {
        let disk = Disk::new();
        if verb.ends_with("adopt") {
            Rig::over(&disk, FakeHost::new()).await.begin("t").await.unwrap();
        }
        let rig = Rig::over(&disk, FakeHost::with_manual_clock()).await;
        let clock = rig.host.clone();
        disk.answer_commits(move || {
            clock.advance_ms(5_000);
            dispatch_sdk::Fault::new(fault::UNAVAILABLE, "the file is locked")
        });
        let refused = rig.store.call_raw(verb, &params).await.unwrap_err();
        assert_eq!(refused.code, fault::UNAVAILABLE, "{verb}");
        assert_eq!(rig.n_commits(), 6, "{verb}: six times five seconds are all that there is");
    }
}
