//! The row of each turn, and what of it a store of before there were rows tells.

use super::disk::{Disk, Fail};
use super::rig::{CONV, Rig, body, called, message};
use crate::old_turns::STEP_ROWS;
use dispatch_sdk::contracts::conversations as contract;
use dispatch_sdk::contracts::event::{TURN_ENDED, TurnStatus};
use dispatch_sdk::fault;
use dispatch_testkit::FakeHost;
use serde_json::json;
use serde_json::value::RawValue;
use std::sync::Arc;

/// What a conversation looked like before turns had rows: an ended turn, and one that waits; put away.
const LAYOUT_1: &str = include_str!("layout_1.jsonl");

fn old_disk() -> Arc<Disk> {
    let disk = Disk::new();
    for line in LAYOUT_1.lines() {
        let (key, value): (String, Box<RawValue>) = serde_json::from_str(line).unwrap();
        disk.put(&key, value.get());
    }
    disk
}

async fn turn(rig: &Rig, turn_id: &str) -> contract::TurnRow {
    let params = contract::TurnParams { conversation_id: CONV.to_owned(), turn_id: turn_id.to_owned() };
    rig.store.call(contract::Turn, &params).await.unwrap()
}

async fn ended(rig: &Rig, since: u64, before: Option<u64>) -> Vec<(String, TurnStatus, u64, u32)> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let params = contract::EndedTurnsParams { since, before, after, limit: 1 };
        let page = rig.store.call(contract::EndedTurns, &params).await.unwrap();
        let seen =
            |turn: contract::EndedTurn| (turn.turn_id, turn.status, turn.usage.input_tokens, turn.steps);
        found.extend(page.turns.into_iter().map(seen));
        after = page.next;
        if after.is_none() {
            return found;
        }
    }
}

#[tokio::test]
async fn the_row_of_a_turn_says_who_began_it_with_what_and_how_it_ended() {
    let rig = Rig::with_manual_clock().await;
    let at = rig.host.now_ms();
    let owner = contract::Owner { tenant: Some("acme".to_owned()), user: Some("ann".to_owned()) };
    let params = contract::BeginParams {
        conversation_id: CONV.to_owned(),
        create: true,
        turn_id: "t".to_owned(),
        host_id: "host-1".to_owned(),
        cwd: "/w".to_owned(),
        provider: "demo".to_owned(),
        model: "m".to_owned(),
        events: vec![body("turn_started", json!({})), body("input", json!({}))],
        messages: vec![message("user", "hi")],
        actor: "user:ann".to_owned(),
        computer: "laptop".to_owned(),
        attempt: 2,
        owner: Some(owner.clone()),
        ..Default::default()
    };
    rig.store.call(contract::Begin, &params).await.unwrap();
    let open = contract::TurnRow {
        turn_id: "t".to_owned(),
        seq_first: 1,
        seq_last: 2,
        message_first: Some(0),
        message_last: Some(0),
        started_at: at,
        actor: "user:ann".to_owned(),
        provider: "demo".to_owned(),
        model: "m".to_owned(),
        cwd: "/w".to_owned(),
        computer: "laptop".to_owned(),
        attempt: 2,
        ..Default::default()
    };
    assert_eq!(turn(&rig, "t").await, open);
    assert_eq!(rig.get().await.owner, Some(owner.clone()));
    rig.append("t", vec![called("a"), body("step_completed", json!({}))]).await.unwrap();
    rig.disk.fail_next(Fail::Conflict);
    let usage = json!({ "input_tokens": 7, "output_tokens": 2 });
    let events = vec![
        body("step_completed", json!({})),
        body(
            TURN_ENDED,
            json!({ "status": "cancelled", "reason": "stopped", "usage": usage, "duration_ms": 9 }),
        ),
    ];
    rig.append_with("t", events, vec![message("assistant", "ho")]).await.unwrap();
    let row = turn(&rig, "t").await;
    let expected = contract::TurnRow {
        seq_last: rig.get().await.seq_last,
        message_last: Some(1),
        status: Some(TurnStatus::Cancelled),
        ended_at: Some(at),
        usage: row.usage,
        steps: 2,
        timings: dispatch_sdk::contracts::turn::TurnTimings { duration_ms: Some(9), ..Default::default() },
        ..open
    };
    assert_eq!((row.usage.input_tokens, row.usage.output_tokens), (7, 2));
    assert_eq!(row, expected, "the step of a commit that was tried twice counts once");
    assert_eq!(ended(&rig, at, None).await, [("t".to_owned(), TurnStatus::Cancelled, 7, 2)]);
    assert_eq!(ended(&rig, at + 1, None).await, []);
    assert_eq!(ended(&rig, 0, Some(at)).await, []);
}

/// The host that died may have asked the model already.
#[tokio::test]
async fn a_turn_that_is_adopted_is_one_attempt_more() {
    let rig = Rig::new().await;
    let params = contract::BeginParams {
        conversation_id: CONV.to_owned(),
        create: true,
        turn_id: "t".to_owned(),
        host_id: "host-1".to_owned(),
        attempt: 1,
        ..Default::default()
    };
    rig.store.call(contract::Begin, &params).await.unwrap();
    assert_eq!(turn(&rig, "t").await.attempt, 1);
    let second = Rig::over(&rig.disk, FakeHost::new()).await;
    let adopt = contract::AdoptParams {
        conversation_id: CONV.to_owned(),
        turn_id: "t".to_owned(),
        dead_host_id: "host-1".to_owned(),
        host_id: "host-2".to_owned(),
    };
    let adopted = second.store.call(contract::Adopt, &adopt).await.unwrap();
    assert_eq!(adopted.turn.map(|turn| turn.attempt), Some(2));
    assert_eq!(turn(&second, "t").await.attempt, 2);
    let third = Rig::over(&rig.disk, FakeHost::new()).await;
    assert!(third.adopt_from("t", "host-2", "host-3").await.unwrap());
    third.end("t").await;
    assert_eq!(turn(&third, "t").await.attempt, 3, "its end keeps it");
}

#[tokio::test]
async fn what_the_end_tells_of_a_turn_goes_into_its_row() {
    let rig = Rig::new().await;
    rig.begin("t").await.unwrap();
    let timings = dispatch_sdk::contracts::turn::TurnTimings {
        queue_ms: Some(3),
        duration_ms: Some(11),
        ..Default::default()
    };
    let summary = contract::TurnSummary {
        status: Some(TurnStatus::Interrupted),
        steps: Some(4),
        timings,
        ..Default::default()
    };
    let params = contract::AppendParams {
        conversation_id: CONV.to_owned(),
        turn_id: "t".to_owned(),
        events: vec![body(TURN_ENDED, json!({ "status": "completed" }))],
        end_turn: true,
        summary: Some(summary),
        ..Default::default()
    };
    rig.store.call(contract::Append, &params).await.unwrap();
    let row = turn(&rig, "t").await;
    assert_eq!((row.status, row.steps, row.timings), (Some(TurnStatus::Interrupted), 4, timings));
}

#[tokio::test]
async fn a_turn_that_has_ended_never_begins_again() {
    let rig = Rig::new().await;
    rig.begin("t").await.unwrap();
    let again = rig.begin("t").await.unwrap_err();
    assert!(again.is(contract::TURN_IN_FLIGHT), "it is open");
    rig.end("t").await;
    rig.begin("t2").await.unwrap();
    rig.end("t2").await;
    let before = rig.log().await;
    for _ in 0..2 {
        let refused = rig.begin("t").await.unwrap_err();
        assert!(refused.is(fault::CONFLICT) && refused.message.contains("runs once"), "{refused}");
    }
    // Nobody could tell whether its begin was written, and by now it was sealed.
    let other = Rig::over(&rig.disk, FakeHost::new()).await;
    rig.begin("t3").await.unwrap();
    assert!(other.seal("t3").await);
    assert!(rig.begin("t3").await.unwrap_err().is(fault::CONFLICT));
    assert_eq!(rig.log().await[..before.len()], before);
}

#[tokio::test]
async fn a_sealed_turn_has_its_row_and_its_place_among_the_ended_ones() {
    let rig = Rig::new().await;
    rig.begin("t").await.unwrap();
    rig.append("t", vec![body("step_completed", json!({ "step_id": "t#1" })), called("a")]).await.unwrap();
    let other = Rig::over(&rig.disk, FakeHost::new()).await;
    assert!(other.seal("t").await);
    let row = turn(&other, "t").await;
    assert_eq!((row.status, row.steps, row.message_last), (Some(TurnStatus::Interrupted), 1, Some(1)));
    assert_eq!(row.seq_last, other.get().await.seq_last);
    assert_eq!(ended(&other, 0, None).await, [("t".to_owned(), TurnStatus::Interrupted, 0, 1)]);
}

#[tokio::test]
async fn a_conversation_of_before_there_were_rows_reads_the_same_and_its_turns_have_theirs() {
    let rig = Rig::over(&old_disk(), FakeHost::new()).await;
    let log: Vec<(u64, String)> = rig.log().await;
    let kinds: Vec<&str> = log.iter().map(|(_, what)| what.as_str()).collect();
    let first = ["turn_started", "input", "Hello", "tool_call", "tool_result", "usage", "step_completed"];
    assert_eq!(kinds, [&first[..], &["turn_ended", "turn_started", "input"]].concat());
    assert_eq!(rig.window(None, None, 0).await.unwrap().messages.len(), 3);
    let found = rig.get().await;
    assert_eq!((found.title.as_str(), found.archived, found.owner), ("Greetings", true, None));
    let row = turn(&rig, "t1").await;
    assert_eq!((row.seq_first, row.seq_last, row.message_first, row.steps), (1, 9, None, 1));
    assert_eq!((row.status, row.usage.input_tokens), (Some(TurnStatus::Completed), 7));
    assert_eq!((row.started_at, row.ended_at), (3_460_000_000_000, Some(3_460_000_000_030)));
    let waiting = turn(&rig, "t2").await;
    assert_eq!((waiting.seq_first, waiting.status, waiting.provider.as_str()), (10, None, "demo"));
    assert!(rig.store.call(contract::Turn, &missing()).await.unwrap_err().is(fault::NOT_FOUND));
    assert!(rig.adopt("t2", "host-2").await.unwrap(), "it goes on under a host of today");
    rig.end("t2").await;
    assert_eq!(turn(&rig, "t2").await.seq_last, rig.get().await.seq_last);
}

fn missing() -> contract::TurnParams {
    contract::TurnParams { conversation_id: CONV.to_owned(), turn_id: "none".to_owned() }
}

#[tokio::test]
async fn the_open_turns_of_an_old_store_are_found_in_steps_that_outlive_a_process() {
    let disk = old_disk();
    let old = disk.value("head/c-1").unwrap();
    let n_heads = 9_000;
    for n in 0..n_heads {
        disk.put(
            &format!("head/d-{n:05}"),
            r#"{"created_at":1,"active_at":1,"seq_last":0,"seq_reserved":0,"messages":0}"#,
        );
    }
    disk.put("head/z", &old.replace("host-1", "host-9"));
    disk.put("head/broken", r#"{"title":7}"#);
    let rig = Rig::over(&disk, FakeHost::new()).await;
    let found = async |rig: &Rig| rig.store.call(contract::Hosts, &Default::default()).await.unwrap();
    let first = found(&rig).await;
    let ids = |found: &contract::HostsReply| -> Vec<String> {
        found.hosts.iter().map(|open| open.host_id.clone()).collect()
    };
    assert_eq!((first.indexing, ids(&first)), (true, vec!["host-1".to_owned()]), "bounded work in a call");
    drop(rig);
    let n_reads = disk.n_scans();
    let rig = Rig::over(&disk, FakeHost::new()).await;
    let second = found(&rig).await;
    assert_eq!((second.indexing, ids(&second)), (false, vec!["host-1".to_owned(), "host-9".to_owned()]));
    assert!(disk.n_scans() - n_reads < 20, "it goes on where the one before was");
    rig.begin_elsewhere("new").await;
    assert_eq!(ids(&found(&rig).await), ["host-1", "host-9", "host-2"], "those that live come last");
}

/// Until a pass has come by, `turn` reads such a turn from its log: both must say the same.
#[tokio::test]
async fn old_turns_get_their_rows_in_steps_that_outlive_a_process() {
    let disk = old_disk();
    // A turn of more rows than one step looks through, and one after it, in a second conversation.
    let head = disk.value("head/c-1").unwrap();
    let open = head.find(",\"open_turn\"").unwrap();
    disk.put("head/d-1", &format!("{},\"owner\":{{\"user\":\"ann\"}}}}", &head[..open]));
    let mut seq = 0;
    let mut row = |turn_id: &str, kind: &str, data: serde_json::Value| {
        seq += 1;
        let row =
            json!({ "seq_first": seq, "turn_id": turn_id, "at": 1000 + seq, "type": kind, "data": data });
        disk.put(&format!("log/d-1/{seq:020}"), &row.to_string());
    };
    row("long", "turn_started", json!({ "provider": "demo", "model": "m", "cwd": "/w", "actor": "" }));
    for _ in 0..STEP_ROWS {
        row("long", "step_completed", json!({}));
    }
    row("long", TURN_ENDED, json!({ "status": "failed", "reason": "x", "usage": {}, "duration_ms": 5 }));
    row("next", "turn_started", json!({ "provider": "demo", "model": "m", "cwd": "/w", "actor": "" }));
    row("next", TURN_ENDED, json!({ "status": "completed", "reason": "stop", "usage": {} }));

    let rig = Rig::over(&disk, FakeHost::new()).await;
    let of = |id: &str, turn_id: &str| contract::TurnParams {
        conversation_id: id.to_owned(),
        turn_id: turn_id.to_owned(),
    };
    let all = [of("c-1", "t1"), of("d-1", "long"), of("d-1", "next")];
    let mut from_logs = Vec::new();
    for params in &all {
        from_logs.push(rig.store.call(contract::Turn, params).await.unwrap());
    }
    assert_eq!(disk.keys("turn/"), Vec::<String>::new());
    // The first call makes the index; each further one is of another process.
    let mut n_calls = 0;
    while !disk.value("layout").is_some_and(|layout| layout.contains("\"version\":3")) {
        let rig = Rig::over(&disk, FakeHost::new()).await;
        for _ in 0..2 {
            rig.store.call(contract::Hosts, &Default::default()).await.unwrap();
        }
        n_calls += 1;
        assert!(n_calls < 20, "{:?}", disk.value("layout"));
    }
    assert!(n_calls > 1, "bounded work in a call");
    assert_eq!(disk.keys("turn/"), ["turn/c-1/t1", "turn/d-1/long", "turn/d-1/next"]);
    for (params, from_log) in all.iter().zip(from_logs) {
        assert_eq!(rig.store.call(contract::Turn, params).await.unwrap(), from_log);
    }
    let steps = u32::try_from(STEP_ROWS).unwrap();
    let found = ended(&rig, 0, None).await;
    let expected = [
        ("long".to_owned(), TurnStatus::Failed, 0, steps),
        ("next".to_owned(), TurnStatus::Completed, 0, 0),
        ("t1".to_owned(), TurnStatus::Completed, 7, 1),
    ];
    assert_eq!(found, expected);
    let value = disk.keys("ended/")[0].clone();
    assert!(disk.value(&value).unwrap().contains("ann"), "whose it is");
    // The turn that is open gets its row when it ends.
    assert!(rig.adopt("t2", "host-2").await.unwrap());
    rig.end("t2").await;
    assert_eq!(disk.keys("turn/").len(), 4);
}
