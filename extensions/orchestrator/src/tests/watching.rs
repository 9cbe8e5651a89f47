//! `turns.v1/watch`.

use super::world::World;
use dispatch_sdk::Item;
use dispatch_sdk::contracts::turns::{Watch, WatchParams, WatchReply};
use serde_json::{Value, json};

fn event(seq: u64, turn_id: &str, kind: &str) -> Value {
    json!({ "seq": seq, "conversation_id": "c", "turn_id": turn_id, "at": 1, "type": kind, "data": { "n": seq } })
}

fn watch(after: u64, until_turn: Option<&str>) -> WatchParams {
    WatchParams { conversation_id: "c".into(), after, until_turn: until_turn.map(str::to_owned) }
}

/// A store that shows these events and then goes on for ever.
fn log_of(world: &World, events: Vec<Value>, open: Option<&str>) {
    let last = events.last().cloned().unwrap_or_default();
    world.change(|state| {
        state.open = open.map(|turn_id| json!({ "turn_id": turn_id, "host_id": "elsewhere" }));
        let known = json!({ "id": "c", "title": "", "created_at": 1, "active_at": 1, "seq_last": 40 });
        state.conversations.insert("c".into(), known);
    });
    world.host.on("conversations.v1/events", move |_| {
        Ok(json!({ "events": [last], "has_older": true, "has_newer": false }))
    });
    world.host.on_stream("conversations.v1/watch", move |params, out| {
        let events = events.clone();
        async move {
            for event in events {
                if event["seq"].as_u64() > params["after"].as_u64() {
                    out.emit(event).await?;
                }
            }
            out.cancelled().await;
            Ok(json!({}))
        }
    });
}

#[tokio::test]
async fn a_watch_ends_after_the_end_of_its_turn_and_no_other() {
    let world = World::new().await;
    let events = vec![
        event(3, "t1", "turn_ended"),
        event(5, "t2", "text_delta"),
        event(9, "t2", "turn_ended"),
        event(12, "t3", "turn_started"),
    ];
    log_of(&world, events.clone(), Some("t2"));
    let (frames, reply) = world.ext().stream(Watch, &watch(0, Some("t2"))).finish().await;
    let frames: Vec<Value> = frames.iter().map(|frame| serde_json::to_value(frame).unwrap()).collect();
    assert_eq!(frames, events[..3]);
    assert_eq!(reply, Ok(WatchReply { cursor: 9 }));
}

#[tokio::test]
async fn a_watch_for_a_turn_that_is_over_does_not_wait_for_ever() {
    let world = World::new().await;
    log_of(&world, vec![event(3, "t1", "turn_ended"), event(7, "t2", "turn_ended")], None);
    for (after, until, n_frames, cursor) in
        [(9, "t1", 0, 9), (3, "t1", 1, 7), (0, "t1", 1, 3), (0, "never", 2, 7)]
    {
        let (frames, reply) = world.ext().stream(Watch, &watch(after, Some(until))).finish().await;
        assert_eq!(
            (frames.len(), reply),
            (n_frames, Ok(WatchReply { cursor })),
            "after {after} until {until}"
        );
    }
}

#[tokio::test]
async fn a_watch_without_an_end_lasts_until_its_client_leaves() {
    let world = World::new().await;
    log_of(&world, vec![event(3, "t1", "turn_ended")], None);
    let mut stream = world.ext().stream(Watch, &watch(0, None));
    assert!(matches!(stream.next().await, Ok(Item::Frame(frame)) if frame.seq == 3));
    stream.cancel();
    let (frames, _) = stream.finish().await;
    assert_eq!(frames.len(), 0);
}

#[tokio::test]
async fn a_cursor_that_is_too_old_passes_on_what_the_store_says() {
    let world = World::new().await;
    let stale = dispatch_sdk::Fault::new("stale", "kept from 7").with_detail(json!({ "first_seq": 7 }));
    let answer = stale.clone();
    world.host.on("conversations.v1/watch", move |_| Err(answer.clone()));
    let (_, reply) = world.ext().stream(Watch, &watch(1, None)).finish().await;
    assert_eq!(reply, Err(stale));
}
