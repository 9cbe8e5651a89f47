//! What an engine leaves in a conversation: with its commit or not at all, per engine, and there after a restart.

use super::disk::{Disk, Fail};
use super::rig::{CONV, Rig, body};
use dispatch_sdk::Fault;
use dispatch_sdk::contracts::conversations as contract;
use dispatch_sdk::contracts::engine::ENGINE_STATE_BYTES_MAX;
use dispatch_testkit::FakeHost;
use serde_json::json;
use serde_json::value::to_raw_value;

async fn leave(rig: &Rig, engine: &str, state: &str, idx: u64) -> Result<contract::AppendReply, Fault> {
    let state = to_raw_value(state).expect("a text");
    let params = contract::AppendParams {
        conversation_id: CONV.to_owned(),
        turn_id: "t".to_owned(),
        events: vec![body("step_completed", json!({}))],
        append_idx: Some(idx),
        engine_state: Some(contract::NewEngineState { engine: engine.to_owned(), state }),
        ..Default::default()
    };
    rig.store.call(contract::Append, &params).await
}

async fn left(rig: &Rig, engine: &str) -> Option<String> {
    let params = contract::EngineStateParams { conversation_id: CONV.to_owned(), engine: engine.to_owned() };
    let reply = rig.store.call(contract::EngineState, &params).await.expect("it is read");
    reply.state.map(|state| serde_json::from_str(state.get()).expect("a text"))
}

#[tokio::test]
async fn the_last_state_of_each_engine_is_kept_with_the_commit_that_brought_it() {
    let disk = Disk::new();
    let rig = Rig::over(&disk, FakeHost::new()).await;
    rig.begin("t").await.expect("it begins");
    assert_eq!(left(&rig, "toy").await, None);
    leave(&rig, "toy", "1", 0).await.expect("written");
    leave(&rig, "a/b", "x", 1).await.expect("written");
    leave(&rig, "toy", "2", 2).await.expect("written");
    disk.fail_next(Fail::NoSpace);
    leave(&rig, "toy", "3", 3).await.expect_err("the disk refused it");
    assert_eq!(
        (left(&rig, "toy").await.as_deref(), left(&rig, "a/b").await.as_deref()),
        (Some("2"), Some("x"))
    );
    let rig = Rig::over(&disk, FakeHost::new()).await;
    assert_eq!((left(&rig, "toy").await.as_deref(), left(&rig, "other").await), (Some("2"), None));
}

#[tokio::test]
async fn a_state_that_is_too_large_and_a_name_that_nobody_can_have_are_refused_and_nothing_is_written() {
    let rig = Rig::new().await;
    rig.begin("t").await.expect("it begins");
    let before = rig.log().await;
    let large = "x".repeat(ENGINE_STATE_BYTES_MAX - 1);
    assert_eq!(leave(&rig, "toy", &large, 0).await.expect_err("too large").code, "too_large");
    for name in ["", "a\u{0}b", &"n".repeat(contract::ENGINE_NAME_BYTES_MAX + 1)] {
        assert_eq!(leave(&rig, name, "1", 0).await.expect_err("no name").code, "invalid", "{name:?}");
    }
    assert_eq!(rig.log().await, before);
}
