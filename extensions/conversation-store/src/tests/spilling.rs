//! What is larger than a value of the store may be.

use super::disk::Disk;
use super::rig::{CONV, Rig, body, called, message};
use crate::spill::SPILL_BYTES;
use dispatch_sdk::contracts::conversations as contract;
use dispatch_sdk::contracts::event::TURN_ENDED;
use dispatch_sdk::contracts::turns::INPUT_BYTES_MAX;
use dispatch_testkit::FakeHost;
use serde_json::{Value, json};

const LARGE: usize = 4500 * 1024;

#[tokio::test]
async fn an_answer_of_several_megabytes_is_kept_and_read_as_it_was() {
    let rig = Rig::over_memory().await;
    rig.begin("t").await.unwrap();
    let large = "\u{e9}x\\\"".repeat(LARGE / 7);
    let (event, said) = (body("tool_result", json!({ "content": large })), message_of(&large));
    rig.append_with("t", vec![event.clone()], vec![said.clone()]).await.unwrap();
    let ended = body(TURN_ENDED, json!({}));
    rig.append_with("t", vec![ended], vec![message("assistant", "done")]).await.unwrap();

    let page = rig.page(Some(2), None, 0).await;
    assert_eq!((page.skipped, page.events.len(), page.has_newer), (0, 1, true), "it fills a page");
    assert!(page.events[0].data.get() == event.data.get());
    assert!(rig.history().await[1] == said.get(), "byte for byte");
    let window = rig.window(Some(1), None, 1).await.unwrap();
    assert!(window.messages[0].message.get() == said.get());
    let mut watched = rig.watch(2);
    let shown = watched.next().await;
    let elided: Value = serde_json::from_str(shown.data.get()).unwrap();
    assert_eq!(
        elided,
        json!({ "elided_bytes": event.data.get().len() }),
        "no stream takes a frame of that size"
    );
    assert_eq!(watched.next().await.kind, TURN_ENDED);
}

#[tokio::test]
async fn an_input_of_four_megabytes_begins_a_turn() {
    let rig = Rig::over_memory().await;
    let input = "x".repeat(INPUT_BYTES_MAX);
    let params = contract::BeginParams {
        conversation_id: CONV.to_owned(),
        create: true,
        turn_id: "t".to_owned(),
        host_id: "host-1".to_owned(),
        events: vec![body("input", json!({ "text": input }))],
        messages: vec![message_of(&input)],
        ..Default::default()
    };
    rig.store.call(contract::Begin, &params).await.unwrap();
    assert!(rig.history().await[0] == params.messages[0].get());
}

#[tokio::test]
async fn what_is_small_alone_and_much_together_goes_in_one_commit_all_the_same() {
    let rig = Rig::over_memory().await;
    rig.begin("t").await.unwrap();
    let text = "x".repeat(SPILL_BYTES - 1024);
    let events: Vec<_> = (0..18).map(|n| body("notice", json!({ "n": n, "text": text }))).collect();
    rig.append("t", events.clone()).await.unwrap();
    let mut found = Vec::new();
    while found.len() < events.len() {
        let page = rig.page(Some(2 + found.len() as u64), None, 0).await;
        found.extend(page.events.into_iter().map(|event| event.data));
    }
    assert!(found.iter().zip(&events).all(|(found, event)| found.get() == event.data.get()));
    rig.end("t").await;
}

#[tokio::test]
async fn a_value_whose_blob_is_gone_is_left_out_and_counted() {
    let disk = Disk::new();
    let rig = Rig::over(&disk, FakeHost::new()).await;
    rig.begin("t").await.unwrap();
    let large = "x".repeat(2 * SPILL_BYTES);
    rig.append_with("t", vec![called("a")], vec![message("user", &large)]).await.unwrap();
    assert_eq!(rig.messages().await.skipped, 0);
    disk.lose_blobs();
    let history = rig.messages().await;
    assert_eq!((history.messages.len(), history.skipped), (1, 1));
    rig.end("t").await;
}

fn message_of(text: &str) -> Box<serde_json::value::RawValue> {
    let message = json!({ "role": "user", "parts": [{ "type": "text", "text": text }] });
    serde_json::value::to_raw_value(&message).unwrap()
}
