//! Turns that wait for their run, and the end of a host with waiting turns.

use super::world::World;
use dispatch_sdk::Item;
use dispatch_sdk::contracts::Empty;
use dispatch_sdk::contracts::instance::{Drain, DrainParams, DrainReply, Metrics};
use dispatch_sdk::contracts::turns::{Stop, StopParams, StopReply, Watch, WatchParams};
use dispatch_testkit::FakeHost;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// A world in which one turn runs at a time and one more may wait; each conversation is its own.
async fn narrow() -> (World, Arc<Semaphore>) {
    let config = json!({ "turns_running_max": 1, "turns_queued_max": 1 });
    let world = World::configured(FakeHost::new(), config).await;
    world.on("conversations.v1/begin", |state, params| {
        state.log.extend(params["events"].as_array().cloned().unwrap_or_default());
        Ok(json!({ "cursor": 0, "created_at": 5, "durable": true }))
    });
    world.on("conversations.v1/append", |state, params| {
        state.log.extend(params["events"].as_array().cloned().unwrap_or_default());
        Ok(json!({ "seq_last": state.log.len(), "durable": true }))
    });
    let go_on = Arc::new(Semaphore::new(0));
    world.turns({
        let go_on = Arc::clone(&go_on);
        move |turn, _| {
            let go_on = Arc::clone(&go_on);
            async move {
                go_on.acquire().await.expect("never closed").forget();
                turn.end("completed", "stop").await
            }
        }
    });
    (world, go_on)
}

fn n_ran(world: &World) -> usize {
    world.change(|state| state.run_params.len())
}

async fn gauge(world: &World, name: &str) -> f64 {
    let reply = world.ext().call_named(Metrics, "orchestrator", &Empty {}).await.expect("metrics");
    let metric = reply.metrics.iter().find(|metric| metric.name == name).expect("it is there");
    metric.samples.iter().map(|sample| sample.value).sum()
}

#[tokio::test]
async fn a_turn_beyond_what_may_run_is_accepted_waits_and_runs_next() {
    let (world, go_on) = narrow().await;
    world.start(json!({ "input": "first" })).await.expect("it runs");
    world.until(|state| state.run_params.len() == 1).await;
    world.start(json!({ "input": "second" })).await.expect("it waits");
    let refused = world.start(json!({ "input": "third" })).await.expect_err("there is no room");
    assert_eq!((refused.code.as_str(), &refused.detail), ("overloaded", &json!({ "retry_after_ms": 1000 })));
    assert_eq!(n_ran(&world), 1);
    assert_eq!(gauge(&world, "dispatch_turns_running").await, 1.0);
    assert_eq!(gauge(&world, "dispatch_turns_queued").await, 1.0);
    go_on.add_permits(1);
    world.until(|state| state.run_params.len() == 2).await;
    go_on.add_permits(1);
    world.until(|state| state.ends().len() == 2).await;
    assert_eq!(gauge(&world, "dispatch_turns_accepted_total").await, 2.0);
}

#[tokio::test]
async fn a_waiting_turn_can_be_stopped_and_never_runs() {
    let (world, go_on) = narrow().await;
    world.start(json!({ "input": "first" })).await.expect("it runs");
    world.until(|state| state.run_params.len() == 1).await;
    let id = world.start(json!({ "input": "second" })).await.expect("it waits").conversation_id;
    world.on("turn.v1/stop", |_, _| Ok(json!({ "stopping": false })));
    let params = StopParams { conversation_id: id, turn_id: None };
    let reply = world.ext().call(Stop, &params).await.expect("it answers");
    assert_eq!(reply, StopReply { stopped: true, requested: false });
    world.change(|state| assert_eq!(state.ends(), [json!(["cancelled", "stopped"])]));
    go_on.add_permits(1);
    world.until(|state| state.ends().len() == 2).await;
    assert_eq!(n_ran(&world), 1);
}

#[tokio::test]
async fn a_drain_lets_running_turns_finish_and_leaves_waiting_ones_open_for_the_next_host() {
    let (world, go_on) = narrow().await;
    world.start(json!({ "input": "first" })).await.expect("it runs");
    world.until(|state| state.run_params.len() == 1).await;
    world.start(json!({ "input": "second" })).await.expect("it waits");
    let draining = tokio::spawn({
        let world = world.clone();
        async move {
            let params = DrainParams { deadline_ms: 60_000 };
            world.ext().call_named(Drain, "orchestrator", &params).await
        }
    });
    // The waiting one leaves at once; then the running one may end.
    while gauge(&world, "dispatch_turns_queued").await > 0.0 {
        tokio::task::yield_now().await;
    }
    let refused = world.start(json!({ "input": "third" })).await.expect_err("the host goes down");
    assert_eq!(refused.code, "unavailable");
    go_on.add_permits(1);
    let reply = draining.await.expect("no panic").expect("it drains");
    assert_eq!(reply, DrainReply { unfinished: 0 });
    world.ext().stop().await.expect("it stops");
    world.change(|state| {
        assert_eq!(state.ends(), [json!(["completed", "stop"])], "the waiting turn has no end");
        assert_eq!(state.run_params.len(), 1);
    });
}

#[tokio::test]
async fn a_drain_ends_at_its_deadline_and_says_what_still_runs() {
    let (world, _go_on) = narrow().await;
    world.start(json!({ "input": "first" })).await.expect("it runs");
    world.until(|state| state.run_params.len() == 1).await;
    let reply = world.ext().call_named(Drain, "orchestrator", &DrainParams { deadline_ms: 1 }).await;
    assert_eq!(reply.expect("it answers"), DrainReply { unfinished: 1 });
}

pub(super) fn left_open(id: &str, turn_id: &str, host_id: &str) -> Value {
    json!({
        "id": id, "title": "t", "created_at": 5, "active_at": 6, "seq_last": 2, "cwd": "/tmp", "provider": "one",
        "model": "m", "open_turn": { "turn_id": turn_id, "host_id": host_id },
    })
}

#[tokio::test]
async fn a_setting_out_of_its_bounds_is_refused_by_name() {
    let host = FakeHost::new();
    let config = json!({ "turns_running_max": 0 });
    let refused =
        host.open::<crate::Orchestrator>("orchestrator", config).await.err().expect("it is refused");
    assert_eq!(refused.message, "`turns_running_max` is 0; use 1 to 1024");
}

#[tokio::test]
async fn a_watch_ends_with_a_drain_when_it_has_shown_everything() {
    let world = World::new().await;
    let event = |seq: u64| json!({ "seq": seq, "conversation_id": "c", "at": 1, "type": "turn_ended", "turn_id": "t", "data": {} });
    world.on("conversations.v1/get", |_, _| Ok(left_open("c", "t", "host-here")));
    world.host.on("conversations.v1/events", move |_| {
        Ok(json!({ "events": [event(2)], "has_older": true, "has_newer": false }))
    });
    let late = Arc::new(Semaphore::new(0));
    world.host.on_stream("conversations.v1/watch", {
        let late = Arc::clone(&late);
        move |_, out| {
            let late = Arc::clone(&late);
            async move {
                out.emit(event(1)).await?;
                late.acquire().await.expect("never closed").forget();
                out.emit(event(2)).await?;
                std::future::pending().await
            }
        }
    });
    let params = WatchParams { conversation_id: "c".to_owned(), after: 0, until_turn: None };
    let mut watch = world.ext().stream(Watch, &params);
    assert!(matches!(watch.next().await, Ok(Item::Frame(event)) if event.seq == 1));
    let draining = tokio::spawn({
        let world = world.clone();
        async move { world.ext().call_named(Drain, "orchestrator", &DrainParams { deadline_ms: 60_000 }).await }
    });
    // The newest row is asked for, so the drain is on; only then comes what the turn said last.
    while world.host.calls_of("conversations.v1/events").is_empty() {
        tokio::task::yield_now().await;
    }
    late.add_permits(1);
    assert!(matches!(watch.next().await, Ok(Item::Frame(event)) if event.seq == 2));
    assert!(matches!(watch.next().await, Ok(Item::End(reply)) if reply.cursor == 2));
    draining.await.expect("no panic").expect("it drains");
}
