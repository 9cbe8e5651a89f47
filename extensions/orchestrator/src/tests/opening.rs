//! From a start to its ack: what is opened for a caller that has gone never runs, and what was accepted first runs first.

use super::world::{HOST_ID, World};
use dispatch_sdk::Fault;
use dispatch_sdk::contracts::turns::{Start, StartParams, StartReply};
use dispatch_testkit::{FakeHost, OpenedStream};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::sync::Notify;

/// A store whose `begin` says when it was asked, and opens the turn only when it is told to.
struct SlowStore {
    asked: Arc<Notify>,
    go_on: Arc<Notify>,
}

impl SlowStore {
    fn of(world: &World) -> Self {
        let slow = Self { asked: Arc::default(), go_on: Arc::default() };
        world.host.on_stream("conversations.v1/begin", {
            let (world, asked, go_on) = (world.clone(), Arc::clone(&slow.asked), Arc::clone(&slow.go_on));
            move |params, _| {
                let (world, asked, go_on) = (world.clone(), Arc::clone(&asked), Arc::clone(&go_on));
                async move {
                    asked.notify_one();
                    go_on.notified().await;
                    world.change(|state| {
                        state.open =
                            Some(json!({ "turn_id": params["turn_id"], "host_id": params["host_id"] }));
                        state.log.extend(params["events"].as_array().cloned().unwrap_or_default());
                    });
                    Ok(json!({ "cursor": 0, "created_at": 5, "durable": true }))
                }
            }
        });
        slow
    }
}

fn client_of(world: &World, budget_ms: u64) -> OpenedStream<Start> {
    let params = StartParams { conversation_id: None, input: "hi".into(), ..StartParams::default() };
    world.ext().with_budget_ms(budget_ms).stream(Start, &params)
}

fn ran_nothing(world: &World) {
    world.change(|state| {
        assert_eq!(state.ends(), [json!(["cancelled", "unacknowledged"])]);
        assert_eq!(state.run_params, Vec::<Value>::new(), "no request, no tool");
    });
    assert_eq!(world.host.calls_of("prompt.v1/system"), Vec::<Value>::new());
}

#[tokio::test]
async fn a_turn_that_was_opened_for_a_caller_who_left_is_ended_untouched() {
    let world = World::new().await;
    world.host.set_cancel_grace_ms(1);
    let slow = SlowStore::of(&world);
    let client = client_of(&world, 0);
    slow.asked.notified().await;
    client.cancel();
    let (_, reply) = client.finish().await;
    assert!(reply.is_err(), "the client got no answer");
    slow.go_on.notify_one();
    world.until_ended().await;
    ran_nothing(&world);
}

#[tokio::test]
async fn a_start_answers_below_its_budget_and_what_is_opened_later_never_runs() {
    let world = World::over(FakeHost::with_manual_clock()).await;
    let slow = SlowStore::of(&world);
    let client = client_of(&world, 600_000);
    slow.asked.notified().await;
    // The store's own limit is 30 s, that of a start 60 s; on this clock only the start's patience ends.
    world.host.advance_ms(59_000);
    let (_, reply): (_, Result<StartReply, Fault>) = client.finish().await;
    let fault = reply.expect_err("the store was slow");
    assert_eq!(fault.code, "deadline", "{fault}");
    assert!(fault.message.contains("nothing runs"), "{fault}");
    slow.go_on.notify_one();
    world.until_ended().await;
    ran_nothing(&world);
}

#[tokio::test]
async fn a_turn_that_was_opened_although_its_begin_failed_is_ended_untouched() {
    let world = World::new().await;
    world.on("conversations.v1/begin", |state, params| {
        state.open = Some(json!({ "turn_id": params["turn_id"], "host_id": params["host_id"] }));
        let known = json!({ "id": params["conversation_id"], "title": "", "created_at": 5, "active_at": 6, "seq_last": 2 });
        state.conversations.insert(params["conversation_id"].as_str().unwrap_or_default().to_owned(), known);
        Err(Fault::new("deadline", "no answer in 30 s"))
    });
    let fault = world.start(json!({ "input": "hi" })).await.expect_err("the store said nothing");
    assert_eq!(fault.code, "deadline");
    world.until(|state| state.n_seals == 1).await;
    world.change(|state| assert_eq!((&state.open, state.run_params.len()), (&None, 0)));
}

#[tokio::test]
async fn an_open_turn_that_had_begun_is_sealed_only_if_its_host_is_dead() {
    for (alive, n_seals) in [(json!({ "alive": false }), 1), (json!({ "alive": true }), 0)] {
        let world = left_open("old").await;
        world.on("conversations.v1/adopt", |_, _| Ok(json!({ "adopted": false, "created_at": 5 })));
        let dead = alive["alive"] == false;
        world.host.on("kernel.v1/host_alive", move |_| Ok(alive.clone()));
        let started = world.start(json!({ "input": "hi", "conversation_id": "c" })).await;
        assert_eq!(started.is_ok(), dead);
        world.change(|state| assert_eq!(state.n_seals, n_seals));
    }
}

/// It was acknowledged, so it runs; a start must not take it out of the way.
#[tokio::test]
async fn a_waiting_turn_of_a_dead_host_runs_before_the_start_that_found_it() {
    let world = left_open("old").await;
    world.host.on("kernel.v1/host_alive", |_| Ok(json!({ "alive": false })));
    world.on("conversations.v1/adopt", |state, params| {
        state.open = Some(json!({ "turn_id": params["turn_id"], "host_id": params["host_id"] }));
        Ok(json!({ "adopted": true, "created_at": 5 }))
    });
    let fault =
        world.start(json!({ "input": "hi", "conversation_id": "c" })).await.expect_err("one at a time");
    assert_eq!(
        (fault.code.as_str(), &fault.detail),
        ("turn_in_flight", &json!({ "turn_id": "old", "host_id": HOST_ID }))
    );
    world.until(|state| state.ends().len() == 1).await;
    world.change(|state| {
        assert_eq!((state.n_seals, &state.run_params[0]["turn_id"]), (0, &json!("old")));
        assert_eq!(state.ends(), [json!(["completed", "stop"])]);
    });
}

/// A world with a conversation `c` in which another host left a turn open.
async fn left_open(turn_id: &str) -> World {
    let world = World::new().await;
    world.change(|state| {
        state.open = Some(json!({ "turn_id": turn_id, "host_id": "elsewhere" }));
        let known = json!({
            "id": "c", "title": "t", "created_at": 5, "active_at": 6, "seq_last": 2, "cwd": "/tmp", "provider": "one",
        });
        state.conversations.insert("c".to_owned(), known);
    });
    world
}
