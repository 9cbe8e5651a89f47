//! `turns.v1/stop`, and the end of the host.

use super::world::{HOST_ID, World};
use dispatch_sdk::Fault;
use dispatch_sdk::contracts::turns::{Stop, StopParams, StopReply};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::sync::Notify;

fn stop_of(conversation_id: &str, turn_id: Option<&str>) -> StopParams {
    StopParams { conversation_id: conversation_id.to_owned(), turn_id: turn_id.map(str::to_owned) }
}

async fn until_stopped(world: &World) -> String {
    world.turns(|turn, _| async move {
        turn.stopped().await;
        let interrupted = turn.world.change(|state| state.stops[0]["interrupted"] == true);
        turn.end(if interrupted { "interrupted" } else { "cancelled" }, "stopped").await
    });
    let id = world.start(json!({ "input": "hi" })).await.expect("it starts").conversation_id;
    world.until(|state| !state.run_params.is_empty()).await;
    id
}

#[tokio::test]
async fn a_stop_answers_when_the_turn_has_ended() {
    let world = World::new().await;
    let id = until_stopped(&world).await;
    let other = world.ext().call(Stop, &stop_of(&id, Some("another"))).await.expect("it answers");
    assert_eq!(other, StopReply { stopped: false }, "only the turn that was meant");
    let reply = world.ext().call(Stop, &stop_of(&id, None)).await.expect("it answers");
    assert_eq!(reply, StopReply { stopped: true });
    world.change(|state| assert_eq!(state.ends(), [json!(["cancelled", "stopped"])]));
    let again = world.ext().call(Stop, &stop_of(&id, None)).await.expect("it answers");
    assert_eq!(again, StopReply { stopped: false }, "nothing runs any more");
}

#[tokio::test]
async fn a_turn_stopped_before_it_ran_is_cancelled_without_running() {
    let world = World::new().await;
    let (asked, never) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    world.host.on_stream("prompt.v1/system", {
        let asked = Arc::clone(&asked);
        move |_, _| {
            let (asked, never) = (Arc::clone(&asked), Arc::clone(&never));
            async move {
                asked.notify_one();
                never.notified().await;
                Ok(Value::Null)
            }
        }
    });
    world.on("turn.v1/stop", |_, _| Ok(json!({ "stopping": false })));
    let id = world.start(json!({ "input": "hi" })).await.expect("it starts").conversation_id;
    asked.notified().await;
    let reply = world.ext().call(Stop, &stop_of(&id, None)).await.expect("it answers");
    assert_eq!(reply, StopReply { stopped: true });
    world.change(|state| {
        assert_eq!(state.kinds(), ["turn_started", "input", "turn_ended"]);
        assert_eq!(state.ends(), [json!(["cancelled", "stopped"])]);
        assert_eq!(state.run_params, Vec::<Value>::new());
    });
}

#[tokio::test]
async fn a_host_that_goes_down_interrupts_its_turns_and_waits_for_their_ends() {
    let world = World::new().await;
    until_stopped(&world).await;
    world.ext().stop().await.expect("it stops");
    world.change(|state| {
        assert_eq!(state.stops[0]["interrupted"], true);
        assert_eq!(state.ends(), [json!(["interrupted", "stopped"])]);
    });
}

/// A world with a conversation `c` in which `host_id` left a turn open, of which nothing runs here.
async fn open_by(host_id: &str, life: &str) -> World {
    let world = World::new().await;
    world.change(|state| {
        state.open = Some(json!({ "turn_id": "t", "host_id": host_id }));
        let known = json!({ "id": "c", "title": "", "created_at": 5, "active_at": 6, "seq_last": 2 });
        state.conversations.insert("c".to_owned(), known);
    });
    let alive = life == "alive";
    world.host.on("kernel.v1/host_alive", move |_| Ok(json!({ "alive": alive })));
    world
}

#[tokio::test]
async fn a_turn_that_runs_in_another_host_is_not_said_to_be_no_turn() {
    let world = open_by("elsewhere", "alive").await;
    let fault = world.ext().call(Stop, &stop_of("c", None)).await.expect_err("it runs on");
    assert_eq!(fault.code, "unavailable");
    assert!(fault.message.contains("another host process, `elsewhere`"), "{fault}");
    assert_eq!(fault.detail, json!({ "turn_id": "t", "host_id": "elsewhere" }));
    let other = world.ext().call(Stop, &stop_of("c", Some("another"))).await.expect("it answers");
    assert_eq!(other, StopReply { stopped: false }, "only the turn that was meant");
    let none = world.ext().call(Stop, &stop_of("unknown", None)).await.expect("it answers");
    assert_eq!(none, StopReply { stopped: false });
    world.change(|state| assert_eq!((state.n_appends, state.n_seals), (0, 0)));
}

#[tokio::test]
async fn a_turn_of_a_dead_host_is_sealed_by_a_stop() {
    let world = open_by("elsewhere", "dead").await;
    world.on("conversations.v1/append", |_, _| Err(Fault::new("conflict", "not begun here")));
    let reply = world.ext().call(Stop, &stop_of("c", None)).await.expect("it answers");
    assert_eq!(reply, StopReply { stopped: true });
    let seal = json!({ "conversation_id": "c", "turn_id": "t", "dead_host_id": "elsewhere" });
    assert_eq!(world.host.calls_of("conversations.v1/seal"), [seal]);
}

/// It waits in the log for the next host, which would run it.
#[tokio::test]
async fn a_turn_that_a_drain_left_for_the_next_host_can_still_be_stopped() {
    let world = open_by(HOST_ID, "alive").await;
    let reply = world.ext().call(Stop, &stop_of("c", None)).await.expect("it answers");
    assert_eq!(reply, StopReply { stopped: true });
    world.change(|state| assert_eq!(state.ends(), [json!(["cancelled", "stopped"])]));
}
