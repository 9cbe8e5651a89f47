//! Two that take one turn over at a time, and ends that wait to be written.

use super::queueing::left_open;
use super::sweeping::in_time;
use super::world::World;
use dispatch_sdk::Fault;
use dispatch_sdk::contracts::instance::{Serve, ServeParams};
use dispatch_testkit::FakeHost;
use serde_json::json;
use std::sync::Arc;
use tokio::sync::Notify;

/// A sweep that works from an old page once threw a turn out of the table that a start had adopted, and its end was lost.
#[tokio::test]
async fn a_turn_that_a_start_adopted_stays_when_a_sweep_meets_it_on_an_old_page() {
    let world = World::over(FakeHost::with_manual_clock()).await;
    world.change(|state| {
        state.open = Some(json!({ "turn_id": "t", "host_id": "dead" }));
        state.conversations.insert("c".to_owned(), left_open("c", "t", "dead"));
    });
    world.host.on("conversations.v1/host", |_| Ok(json!({ "life": "dead" })));
    world
        .host
        .on("conversations.v1/hosts", |_| Ok(json!({ "hosts": [{ "host_id": "dead", "life": "dead" }] })));
    world
        .host
        .on("conversations.v1/open_turns", |_| Ok(json!({ "conversations": [left_open("c", "t", "dead")] })));
    world.on("conversations.v1/adopt", |state, params| {
        let open = state.open.as_mut().expect("it is open");
        if open["host_id"] != params["dead_host_id"] {
            return Err(Fault::new("conflict", "another host has it"));
        }
        open["host_id"] = params["host_id"].clone();
        Ok(json!({ "adopted": true, "created_at": 5 }))
    });
    let swept = Arc::new(Notify::new());
    world.turns({
        let swept = Arc::clone(&swept);
        move |turn, _| {
            let swept = Arc::clone(&swept);
            async move {
                swept.notified().await;
                turn.end("completed", "stop").await
            }
        }
    });
    let refused = world.start(json!({ "conversation_id": "c", "input": "hi" })).await.expect_err("it runs");
    assert_eq!(refused.code, "turn_in_flight");
    world.until(|state| state.run_params.len() == 1).await;
    world.ext().call_named(Serve, "orchestrator", &ServeParams::default()).await.expect("it serves");
    in_time(&world, "a sweep after the first", || world.host.calls_of("conversations.v1/hosts").len() > 1)
        .await;
    swept.notify_one();
    world.until_ended().await;
    world.change(|state| {
        assert_eq!((state.ends(), state.n_seals), (vec![json!(["completed", "stop"])], 0));
        assert_eq!(state.run_params.len(), 1, "it runs once");
    });
}
