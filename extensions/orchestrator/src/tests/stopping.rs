//! `turns.v1/stop`, and the end of the host.

use super::world::{HOST_ID, World};
use crate::wishes::LOOK_EVERY;
use dispatch_sdk::Fault;
use dispatch_sdk::contracts::turns::{Stop, StopParams, StopReply};
use dispatch_testkit::FakeHost;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::sync::Notify;

const STOPPED: StopReply = StopReply { stopped: true, requested: false };
const NOTHING: StopReply = StopReply { stopped: false, requested: false };

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
    assert_eq!(other, NOTHING, "only the turn that was meant");
    let reply = world.ext().call(Stop, &stop_of(&id, None)).await.expect("it answers");
    assert_eq!(reply, STOPPED);
    world.change(|state| assert_eq!(state.ends(), [json!(["cancelled", "stopped"])]));
    let again = world.ext().call(Stop, &stop_of(&id, None)).await.expect("it answers");
    assert_eq!(again, NOTHING, "nothing runs any more");
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
    assert_eq!(reply, STOPPED);
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
    open_in(host_id, life, FakeHost::new()).await
}

async fn open_in(host_id: &str, life: &str, host: FakeHost) -> World {
    let world = World::over(host).await;
    world.change(|state| {
        state.open = Some(json!({ "turn_id": "t", "host_id": host_id }));
        let known = json!({ "id": "c", "title": "", "created_at": 5, "active_at": 6, "seq_last": 2 });
        state.conversations.insert("c".to_owned(), known);
    });
    let alive = life == "alive";
    world.host.on("kernel.v1/host_alive", move |_| Ok(json!({ "alive": alive })));
    world
}

/// A `conversations.v1/watch` that shows the end of `t` once it is there.
fn shows_the_end(world: &World) {
    let shown = world.clone();
    world.host.on_stream("conversations.v1/watch", move |params, out| {
        let world = shown.clone();
        async move {
            world.until(|state| state.open.is_none()).await;
            for (seq, turn_id) in [(3, "another"), (4, "t")] {
                let event = json!({
                    "seq": params["after"].as_u64().expect("a cursor") + seq, "conversation_id": "c", "at": 1,
                    "turn_id": turn_id, "type": "turn_ended", "data": {},
                });
                out.emit(event).await?;
            }
            std::future::pending().await
        }
    });
}

#[tokio::test]
async fn a_stop_of_a_turn_that_runs_in_another_host_is_written_down_and_answers_when_it_has_ended() {
    let world = open_by("elsewhere", "alive").await;
    shows_the_end(&world);
    let stopping = tokio::spawn({
        let world = world.clone();
        async move { world.ext().call(Stop, &stop_of("c", None)).await }
    });
    world.until(|state| state.open.as_ref().is_some_and(|open| open["stop"]["at"] == 7)).await;
    assert!(!stopping.is_finished(), "it has not ended");
    world.change(|state| state.open = None);
    assert_eq!(stopping.await.expect("it ends").expect("it answers"), STOPPED);
    world.change(|state| assert_eq!((state.n_appends, state.n_seals), (0, 0)));
}

#[tokio::test]
async fn nothing_is_written_down_about_another_turn_or_one_that_has_ended() {
    let world = open_by("elsewhere", "alive").await;
    let other = world.ext().call(Stop, &stop_of("c", Some("another"))).await.expect("it answers");
    assert_eq!(other, NOTHING, "only the turn that was meant");
    let none = world.ext().call(Stop, &stop_of("unknown", None)).await.expect("it answers");
    assert_eq!(none, NOTHING);
    assert_eq!(world.host.calls_of("conversations.v1/request_stop"), Vec::<Value>::new());
    world.on("conversations.v1/request_stop", |_, _| Err(Fault::new("conflict", "it ended just now")));
    assert_eq!(world.ext().call(Stop, &stop_of("c", None)).await.expect("it answers"), NOTHING);
    world.change(|state| assert_eq!((state.n_appends, state.n_seals), (0, 0)));
}

#[tokio::test]
async fn a_stop_that_nobody_carries_out_in_time_says_that_the_wish_stands() {
    let world = open_in("elsewhere", "alive", FakeHost::with_manual_clock()).await;
    shows_the_end(&world);
    let stopping = tokio::spawn({
        let world = world.clone();
        async move { world.ext().call(Stop, &stop_of("c", None)).await }
    });
    super::sweeping::in_time(&world, "it answers", || stopping.is_finished()).await;
    let requested = StopReply { stopped: false, requested: true };
    assert_eq!(stopping.await.expect("it ends").expect("it answers"), requested);
    world.change(|state| assert_eq!(state.open.as_ref().expect("it is open")["stop"]["at"], 7));
}

/// The other side of it: the wish of another process reaches the turn that runs here.
#[tokio::test]
async fn a_wish_that_another_process_wrote_down_ends_the_turn_here() {
    let world = World::over(FakeHost::with_manual_clock()).await;
    until_stopped(&world).await;
    let wish = json!({ "at": 7, "by": "user:ann" });
    world.change(|state| state.open.as_mut().expect("it is open")["stop"] = wish);
    super::sweeping::in_time(&world, "it ends", || world.change(|state| state.open.is_none())).await;
    world.change(|state| {
        assert_eq!(state.stops[0]["interrupted"], false);
        assert_eq!(state.ends(), [json!(["cancelled", "stopped"])]);
    });
    let n_looks = world.host.calls_of("conversations.v1/stop_wishes").len();
    // A host without turns looks for nothing, and the next turn is looked after again.
    for _ in 0..20 {
        world.host.advance_ms(u64::try_from(LOOK_EVERY.as_millis()).expect("short"));
        tokio::task::yield_now().await;
    }
    assert!(world.host.calls_of("conversations.v1/stop_wishes").len() <= n_looks + 1);
    world.change(|state| state.stops.clear());
    until_stopped(&world).await;
    world.change(|state| state.open.as_mut().expect("it is open")["stop"] = json!({ "at": 8 }));
    super::sweeping::in_time(&world, "it ends", || world.change(|state| state.open.is_none())).await;
}

#[tokio::test]
async fn a_turn_of_a_dead_host_is_sealed_by_a_stop_that_is_written_down_first() {
    let world = open_by("elsewhere", "dead").await;
    world.on("conversations.v1/append", |_, _| Err(Fault::new("conflict", "not begun here")));
    let reply = world.ext().call(Stop, &stop_of("c", None)).await.expect("it answers");
    assert_eq!(reply, STOPPED);
    let seal = json!({ "conversation_id": "c", "turn_id": "t", "dead_host_id": "elsewhere" });
    assert_eq!(world.host.calls_of("conversations.v1/seal"), [seal]);
    let wish = json!({ "conversation_id": "c", "turn_id": "t", "by": "user:test" });
    assert_eq!(world.host.calls_of("conversations.v1/request_stop"), [wish]);
}

/// It waits in the log for the next host, which would run it.
#[tokio::test]
async fn a_turn_that_a_drain_left_for_the_next_host_can_still_be_stopped() {
    let world = open_by(HOST_ID, "alive").await;
    let reply = world.ext().call(Stop, &stop_of("c", None)).await.expect("it answers");
    assert_eq!(reply, STOPPED);
    world.change(|state| assert_eq!(state.ends(), [json!(["cancelled", "stopped"])]));
}
