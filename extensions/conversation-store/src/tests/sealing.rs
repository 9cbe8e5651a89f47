//! After the host died in the middle of a turn.

use super::disk::Disk;
use super::rig::{CONV, Rig, body, called, message, seen, text, until};
use crate::turn_log::SEQ_RESERVE;
use dispatch_sdk::contracts::conversations::{Seal, SealParams};
use dispatch_testkit::FakeHost;
use serde_json::{Value, json};

#[tokio::test]
async fn a_turn_cut_in_a_block_is_sealed_above_all_that_may_have_been_shown() {
    let disk = Disk::new();
    let dying = Rig::over(&disk, FakeHost::with_manual_clock()).await;
    dying.begin("t").await.unwrap();
    let mut watched = dying.watch(0);
    dying.live("t", vec![text("on disk, ")]).await.unwrap();
    until("the flush", || {
        dying.host.advance_ms(50);
        disk.keys("log/").len() == 3
    })
    .await;
    dying.live("t", vec![text("shown only")]).await.unwrap();
    let before = watched.up_to(4).await;
    drop((watched, dying));

    let rig = Rig::over(&disk, FakeHost::new()).await;
    let mut resumed = rig.watch(4);
    let mut late = rig.watch(2);
    assert!(rig.seal("t").await);
    assert!(!rig.seal("t").await, "twice is once");
    let reserved = 3 + SEQ_RESERVE;
    let log = [(reserved, "on disk, ".to_owned()), (reserved + 1, "turn_ended".to_owned())];
    assert_eq!(rig.log().await[2..], log);
    let seen_after: Vec<_> = resumed.up_to(reserved + 1).await.iter().map(seen).collect();
    assert_eq!(seen_after, [(reserved, "~on disk, ".to_owned()), (reserved + 1, "turn_ended".to_owned())]);
    assert_eq!(before.last().unwrap().seq, 4);
    let seen_late: Vec<_> = late.up_to(reserved + 1).await;
    assert_eq!(seen(seen_late.last().unwrap()), log[1]);

    let partial = r#"{"role":"assistant","parts":[{"type":"text","text":"on disk, "}]}"#.to_owned();
    assert_eq!(rig.history().await, [message("user", "t").get().to_owned(), partial]);
    assert_eq!(rig.get().await.open_turn, None);
    assert_eq!(rig.begin("t2").await.unwrap().cursor, reserved + 1);
    assert_eq!(rig.end("t2").await.seq_last, reserved + 4);
}

#[tokio::test]
async fn text_that_was_shown_after_any_kind_of_row_and_not_written_is_taken_back() {
    let disk = Disk::new();
    let dying = Rig::over(&disk, FakeHost::with_manual_clock()).await;
    dying.begin("t").await.unwrap();
    dying.append("t", vec![called("a")]).await.unwrap();
    let mut watched = dying.watch(3);
    dying.live("t", vec![text("shown only")]).await.unwrap();
    assert_eq!(seen(&watched.next().await), (4, "shown only".to_owned()));
    drop((watched, dying));

    let rig = Rig::over(&disk, FakeHost::new()).await;
    assert!(rig.seal("t").await);
    let covering = rig.watch(4).next().await;
    assert_eq!(
        (covering.kind.as_str(), covering.seq_first, covering.rebased),
        ("tool_result", Some(4), true)
    );
}

#[tokio::test]
async fn a_turn_that_another_host_has_by_now_is_not_sealed_for_the_one_before() {
    let disk = Disk::new();
    let dying = Rig::over(&disk, FakeHost::new()).await;
    dying.begin("t").await.unwrap();
    drop(dying);
    let living = Rig::over(&disk, FakeHost::new()).await;
    assert!(living.adopt("t", "host-2").await.unwrap());
    let late = Rig::over(&disk, FakeHost::new()).await;
    let params = SealParams {
        conversation_id: CONV.to_owned(),
        turn_id: "t".to_owned(),
        dead_host_id: Some("host-1".to_owned()),
    };
    assert!(!late.store.call(Seal, &params).await.unwrap().sealed);
    living.end("t").await;
}

#[tokio::test]
async fn a_call_that_was_running_gets_an_unknown_result_in_the_log_and_the_history() {
    let disk = Disk::new();
    let dying = Rig::over(&disk, FakeHost::new()).await;
    dying.begin("t").await.unwrap();
    dying.live("t", vec![text("look")]).await.unwrap();
    let part = |id: &str| json!({ "type": "tool_call", "tool_call_id": id, "name": "shell", "args": {} });
    let said =
        json!({ "role": "assistant", "parts": [{ "type": "text", "text": "look" }, part("a"), part("b")] });
    let said = serde_json::value::to_raw_value(&said).unwrap();
    dying.append_with("t", vec![called("a"), called("b")], vec![said.clone()]).await.unwrap();
    let result =
        json!({ "type": "tool_result", "tool_call_id": "b", "name": "shell", "content": "", "status": "ok" });
    let done = json!({
        "step_id": "t#1", "tool_call_id": "b", "name": "shell", "status": "ok", "content": "", "duration_ms": 1,
    });
    let result = serde_json::value::to_raw_value(&json!({ "role": "tool", "parts": [result] })).unwrap();
    dying.append_with("t", vec![body("tool_result", done)], vec![result.clone()]).await.unwrap();
    let before = dying.history().await;
    drop(dying);

    let rig = Rig::over(&disk, FakeHost::new()).await;
    assert!(rig.seal("t").await);
    let log: Vec<String> = rig.log().await.into_iter().skip(2).map(|(_, what)| what).collect();
    assert_eq!(log, ["look", "tool_call", "tool_call", "tool_result", "tool_result", "turn_ended"]);
    let history = rig.history().await;
    assert_eq!(history, before, "what the seal wrote is what mending made up");
    assert_eq!(history[1..3], [said.get(), result.get()]);
    let unknown: Value = serde_json::from_str(&history[3]).unwrap();
    assert_eq!(unknown["parts"][0]["status"], "outcome_unknown");
    assert_eq!(unknown["parts"][0]["tool_call_id"], "a");
    let ended = rig.page(None, None, 0).await.events.pop().unwrap();
    let ended: Value = serde_json::from_str(ended.data.get()).unwrap();
    assert_eq!((&ended["status"], &ended["reason"]), (&json!("interrupted"), &json!("host_died")));
}

#[tokio::test]
async fn a_host_whose_turn_was_sealed_by_another_writes_nothing_more() {
    let disk = Disk::new();
    let slow = Rig::over(&disk, FakeHost::with_manual_clock()).await;
    slow.begin("t").await.unwrap();
    let mut watched = slow.watch(2);
    slow.live("t", vec![text("a")]).await.unwrap();
    assert_eq!(watched.next().await.seq, 3);
    let other = Rig::over(&disk, FakeHost::new()).await;
    assert!(other.seal("t").await);
    let log = other.log().await;
    let refused = slow.append("t", vec![called("x")]).await.unwrap_err();
    assert!(refused.is(dispatch_sdk::fault::CONFLICT));
    assert!(slow.live("t", vec![text("b")]).await.unwrap_err().is(dispatch_sdk::fault::CONFLICT));
    assert_eq!(other.log().await, log);
    let taken_back = (log[2].0, "~turn_ended".to_owned());
    assert_eq!(seen(&watched.next().await), taken_back, "`a` was never written");
}
