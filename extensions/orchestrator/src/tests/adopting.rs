//! Two that take one turn over at a time, and ends that wait to be written.

use super::ending::given_up;
use super::queueing::left_open;
use super::sweeping::in_time;
use super::world::{HOST_ID, World};
use dispatch_sdk::contracts::instance::{Serve, ServeParams};
use dispatch_sdk::contracts::turns::{Start, StartParams, Stop, StopParams, Watch, WatchParams};
use dispatch_sdk::{Fault, Meta};
use dispatch_testkit::FakeHost;
use serde_json::json;
use std::sync::{Arc, Mutex};
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

/// What became of a turn was known here, and only the disk was full: it was sealed as if its host had died.
#[tokio::test]
async fn a_turn_whose_end_waits_to_be_written_gets_that_end_whoever_finds_it_open() {
    for by in ["a sweep", "a start", "a stop"] {
        let (world, conversation_id, turn_id) = given_up().await;
        let params = WatchParams {
            conversation_id: conversation_id.clone(),
            after: 2,
            until_turn: Some(turn_id.clone()),
        };
        assert!(world.ext().stream(Watch, &params).finish().await.1.is_err(), "it is told");
        match by {
            "a sweep" => {
                world.host.on("conversations.v1/hosts", |_| {
                    Ok(json!({ "hosts": [{ "host_id": HOST_ID, "life": "alive" }] }))
                });
                world.host.on("conversations.v1/open_turns", move |_| {
                    Ok(json!({ "conversations": [left_open(&conversation_id, &turn_id, HOST_ID)] }))
                });
                world
                    .ext()
                    .call_named(Serve, "orchestrator", &ServeParams::default())
                    .await
                    .expect("it serves");
            }
            "a start" => {
                let start = json!({ "conversation_id": conversation_id, "input": "again" });
                world.start(start).await.expect("nothing runs any more");
            }
            _ => {
                let stop = StopParams { conversation_id, turn_id: None };
                assert!(world.ext().call(Stop, &stop).await.expect("it is over").stopped);
            }
        }
        world.until(|state| !state.ends().is_empty()).await;
        world.change(|state| {
            assert_eq!((&state.ends()[0], state.n_seals), (&json!(["failed", "io"]), 0), "{by}")
        });
    }
}

/// Of such a host nothing is taken over by itself, and nobody was told what to do.
#[tokio::test]
async fn a_start_behind_a_turn_of_a_host_that_nobody_can_judge_says_how_to_bury_it() {
    let world = World::new().await;
    world.change(|state| {
        state.open = Some(json!({ "turn_id": "t", "host_id": "far" }));
        state.conversations.insert("c".to_owned(), left_open("c", "t", "far"));
    });
    world.host.on("conversations.v1/host", |_| Ok(json!({ "life": "unknown" })));
    world.host.on("kernel.v1/host_alive", |_| Ok(json!({ "alive": true })));
    let start = json!({ "conversation_id": "c", "input": "hi" });
    let refused = world.start(start.clone()).await.expect_err("a turn is open");
    assert_eq!(refused.code, "turn_in_flight");
    assert!(refused.message.contains("`dispatch hosts bury far`"), "{}", refused.message);
    world.host.on("conversations.v1/host", |_| Ok(json!({ "life": "alive" })));
    let refused = world.start(start).await.expect_err("a turn is open");
    assert!(!refused.message.contains("bury"), "{}", refused.message);
}

#[tokio::test]
async fn an_adopted_turn_is_for_whom_it_was_begun_and_acts_on_the_computer_that_it_was_to() {
    let world = World::new().await;
    world.change(|state| {
        state.open = Some(json!({ "turn_id": "t", "host_id": "dead" }));
        state.conversations.insert("c".to_owned(), left_open("c", "t", "dead"));
    });
    world.host.on("conversations.v1/host", |_| Ok(json!({ "life": "dead" })));
    world.on("conversations.v1/adopt", |state, params| {
        state.open = Some(json!({ "turn_id": params["turn_id"], "host_id": params["host_id"] }));
        let turn = json!({
            "turn_id": "t", "seq_first": 1, "seq_last": 2, "started_at": 5, "actor": "user:ann",
            "tenant": "acme", "user": "ann", "device": "phone", "computer": "exec-ssh",
        });
        Ok(json!({ "adopted": true, "created_at": 5, "turn": turn }))
    });
    let seen = Arc::<Mutex<Meta>>::default();
    let noted = Arc::clone(&seen);
    world.turns(move |turn, out| {
        *noted.lock().expect("no panic") = out.meta();
        async move { turn.end("completed", "stop").await }
    });
    // Of another person, who must not lend a name to it.
    let bob = Meta { user: Some("bob".to_owned()), ..Meta::default() };
    let start: StartParams =
        serde_json::from_value(json!({ "conversation_id": "c", "input": "hi" })).expect("a start");
    world.ext().with_meta(bob).call(Start, &start).await.expect_err("the old one runs first");
    world.until(|state| state.ends().len() == 1).await;
    let some = |word: &str| Some(word.to_owned());
    let for_ann = Meta {
        conversation_id: some("c"),
        turn_id: some("t"),
        actor: "user:ann".to_owned(),
        tenant: some("acme"),
        user: some("ann"),
        device: some("phone"),
        computer: some("exec-ssh"),
        ..Meta::default()
    };
    assert_eq!(*seen.lock().expect("no panic"), for_ann);
    assert_eq!(world.change(|state| state.run_params[0]["computer"].clone()), "exec-ssh");
}
