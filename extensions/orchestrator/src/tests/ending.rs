//! That every accepted turn reaches exactly one terminal state.

use super::world::{World, text};
use crate::ending::END_ATTEMPTS_MAX;
use dispatch_sdk::Fault;
use dispatch_sdk::contracts::conversations::APPEND_ITEMS_MAX;
use dispatch_sdk::contracts::turns::{Stop, StopParams, Watch, WatchParams};
use dispatch_testkit::FakeHost;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

fn no_space() -> Fault {
    Fault::new("no_space", "the disk is full")
}

#[tokio::test]
async fn a_run_that_faults_breaks_or_forgets_its_end_gets_one() {
    for (case, status, reason) in
        [("fault", "failed", "deadline"), ("panic", "failed", "broken"), ("forgot", "failed", "broken")]
    {
        let world = World::new().await;
        world.turns(move |_, out| async move {
            out.emit(text("begun")).await?;
            match case {
                "fault" => Err(Fault::new("deadline", "nothing came for 300 s")),
                "panic" => panic!("a planted panic"),
                _ => Ok(json!({ "status": "completed", "reason": "stop" })),
            }
        });
        world.start(json!({ "input": "hi" })).await.expect("it starts");
        world.until_ended().await;
        world.change(|state| {
            assert_eq!(
                state.kinds(),
                ["turn_started", "input", "text_delta", "error", "turn_ended"],
                "{case}"
            );
            assert_eq!(state.ends(), [json!([status, reason])], "{case}");
        });
    }
}

#[tokio::test]
async fn a_history_that_cannot_be_read_ends_the_turn() {
    let world = World::new().await;
    world.host.on("conversations.v1/messages", |_| Err(Fault::new("corrupt", "page 3 is damaged")));
    world.start(json!({ "input": "hi" })).await.expect("it starts");
    world.until_ended().await;
    world.change(|state| {
        assert_eq!(state.ends(), [json!(["failed", "corrupt"])]);
        assert_eq!(state.log[2]["data"], json!({ "code": "corrupt", "message": "page 3 is damaged" }));
        assert_eq!(state.run_params, Vec::<Value>::new());
    });
}

#[tokio::test]
async fn a_turn_that_was_accepted_waits_for_room_to_read_its_history() {
    let world = World::new().await;
    let n_asked = Arc::new(AtomicUsize::new(0));
    world.host.on("conversations.v1/messages", {
        let n_asked = Arc::clone(&n_asked);
        move |_| match n_asked.fetch_add(1, Ordering::Relaxed) {
            0..3 => Err(Fault::new("overloaded", "256 calls are in flight already")),
            _ => Ok(json!({ "messages": [{ "role": "user" }] })),
        }
    });
    world.turns(|turn, _| async move { turn.end("completed", "stop").await });
    world.start(json!({ "input": "hi" })).await.expect("it starts");
    world.until_ended().await;
    world.change(|state| assert_eq!(state.ends(), [json!(["completed", "stop"])]));
    assert_eq!(n_asked.load(Ordering::Relaxed), 4);
}

#[tokio::test]
async fn a_commit_that_finds_no_space_fails_the_turn_and_its_end_waits_for_space() {
    let world = World::new().await;
    world.change(|state| state.append_faults.extend([no_space(), no_space(), no_space()]));
    world.turns(|turn, _| async move {
        let fault = turn.end("completed", "stop").await.expect_err("the disk is full");
        Ok(json!({ "status": "failed", "reason": fault.code, "usage": { "input_tokens": 7 } }))
    });
    world.start(json!({ "input": "hi" })).await.expect("it starts");
    world.until_ended().await;
    world.change(|state| {
        assert_eq!(state.ends(), [json!(["failed", "no_space"])]);
        assert_eq!(state.log[2]["data"], json!({ "code": "no_space", "message": "the disk is full" }));
        assert_eq!(state.log[3]["data"]["usage"]["input_tokens"], 7);
        assert_eq!(state.n_appends, 4);
    });
}

#[tokio::test]
async fn an_end_whose_reply_was_lost_is_not_written_twice() {
    let world = World::new().await;
    world.turns(|turn, _| async move {
        turn.world.change(|state| {
            state
                .log
                .push(json!({ "type": "turn_ended", "data": { "status": "completed", "reason": "stop" } }));
            state.open = None;
            state.append_faults.push_back(Fault::new("deadline", "no answer in 60 s"));
        });
        let fault = turn.end("completed", "stop").await.expect_err("the reply was lost");
        Ok(json!({ "status": "failed", "reason": fault.code }))
    });
    world.start(json!({ "input": "hi" })).await.expect("it starts");
    world.until(|state| state.n_appends == 2).await;
    world.change(|state| assert_eq!(state.ends(), [json!(["completed", "stop"])]));
}

#[tokio::test]
async fn a_turn_whose_end_never_got_through_is_given_it_by_the_next_start() {
    let world = World::over(FakeHost::with_manual_clock()).await;
    world.turns(|_, _| async { Err(Fault::new("io", "broken")) });
    world.change(|state| state.append_faults.extend(vec![no_space(); END_ATTEMPTS_MAX as usize]));
    let id = world.start(json!({ "input": "hi" })).await.expect("it starts").conversation_id;
    // Each wait of the task ends when the clock has moved far enough.
    while world.change(|state| state.n_appends) < END_ATTEMPTS_MAX as usize {
        world.host.advance_ms(60_000);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    world.change(|state| {
        assert_eq!(state.n_appends, END_ATTEMPTS_MAX as usize);
        assert!(state.open.is_some());
    });
    world.turns(|turn, _| async move { turn.end("completed", "stop").await });
    // The place in the table is given up right after the last attempt.
    let again = json!({ "input": "again", "conversation_id": id });
    let mut started = world.start(again.clone()).await;
    while started.as_ref().is_err_and(|fault| fault.is("turn_in_flight")) {
        tokio::task::yield_now().await;
        started = world.start(again.clone()).await;
    }
    started.expect("the orphan is out of the way");
    world.until_ended().await;
    world.change(|state| {
        let ends = vec![json!(["failed", "io"]), json!(["completed", "stop"])];
        assert_eq!((state.ends(), state.n_seals), (ends, 0));
    });
}

#[tokio::test]
async fn frames_that_cannot_be_shown_end_the_turn_instead_of_leaving_a_hole() {
    let world = World::new().await;
    world.change(|state| state.live_faults.push_back(Fault::new("io", "the log is gone")));
    world.turns(|_, out| async move {
        out.emit(text("lost")).await?;
        out.cancelled().await;
        Err(Fault::new("cancelled", "the caller left"))
    });
    world.start(json!({ "input": "hi" })).await.expect("it starts");
    world.until_ended().await;
    world.change(|state| {
        assert_eq!(state.kinds(), ["turn_started", "input", "error", "turn_ended"]);
        assert_eq!(state.ends(), [json!(["failed", "io"])]);
    });
}

#[tokio::test]
async fn a_store_that_is_busy_for_a_moment_loses_no_frame() {
    let world = World::new().await;
    let busy = || Fault::new("overloaded", "too many calls");
    world.change(|state| state.live_faults.extend([busy(), busy()]));
    world.turns(|turn, out| async move {
        out.emit(text("kept")).await?;
        let ended = json!({ "status": "completed", "reason": "stop" });
        turn.commit(1, json!([{ "type": "turn_ended", "data": ended }])).await?;
        Ok(ended)
    });
    world.start(json!({ "input": "hi" })).await.expect("it starts");
    world.until_ended().await;
    world.change(|state| assert_eq!(state.kinds(), ["turn_started", "input", "text_delta", "turn_ended"]));
}

#[tokio::test]
async fn nothing_can_be_committed_after_the_end() {
    let world = World::new().await;
    world.turns(|turn, _| async move {
        let ended = turn.end("completed", "stop").await?;
        let late = turn.commit(0, json!([{ "type": "step_completed", "data": {} }])).await;
        assert!(late.is_err_and(|fault| fault.is("conflict")), "the turn is over");
        turn.world.change(|state| state.stops.push(json!("checked")));
        Ok(ended)
    });
    world.start(json!({ "input": "hi" })).await.expect("it starts");
    world.until(|state| !state.stops.is_empty()).await;
    world.change(|state| assert_eq!(state.kinds(), ["turn_started", "input", "turn_ended"]));
}

#[tokio::test]
async fn an_end_in_the_middle_of_a_commit_is_refused() {
    let world = World::new().await;
    world.turns(|turn, _| async move {
        let end = json!({ "type": "turn_ended", "data": { "status": "completed", "reason": "stop" } });
        let fault = turn.commit(0, json!([end, { "type": "usage", "data": {} }])).await.expect_err("refused");
        Err(fault)
    });
    world.start(json!({ "input": "hi" })).await.expect("it starts");
    world.until_ended().await;
    world.change(|state| assert_eq!(state.ends(), [json!(["failed", "invalid"])]));
}

/// A turn whose end the store refuses so long that whoever waits for it is told; answers the conversation and the turn.
pub(super) async fn given_up() -> (World, String, String) {
    let world = World::over(FakeHost::with_manual_clock()).await;
    world.host.on_stream("conversations.v1/watch", |_, out| async move {
        out.cancelled().await;
        Ok(json!({}))
    });
    world.turns(|_, _| async { Err(Fault::new("io", "broken")) });
    world.change(|state| state.append_faults.extend(vec![no_space(); END_ATTEMPTS_MAX as usize]));
    let started = world.start(json!({ "input": "hi" })).await.expect("it starts");
    while world.change(|state| state.n_appends) < END_ATTEMPTS_MAX as usize {
        world.host.advance_ms(60_000);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    (world, started.conversation_id, started.turn_id)
}

/// A script that waited for the end of its turn on a full disk once waited for ever.
#[tokio::test]
async fn whoever_waits_for_an_end_that_cannot_be_written_is_told() {
    let (world, conversation_id, turn_id) = given_up().await;
    let params =
        WatchParams { conversation_id: conversation_id.clone(), after: 2, until_turn: Some(turn_id.clone()) };
    for when in ["while it is given up", "afterwards"] {
        let (frames, reply) = world.ext().stream(Watch, &params).finish().await;
        let fault = reply.expect_err("there is no end to show");
        assert_eq!((frames.len(), fault.code.as_str()), (0, "no_space"), "{when}");
        let told = format!(
            "turn `{turn_id}` is over and its end could not be written down: the disk is full (`no_space`); what came up \
             to number 2 is kept, what was shown after that may be lost; the end is written when the store takes it"
        );
        assert_eq!(fault.message, told, "{when}");
    }
    // A stop has to write the end, and cannot.
    world.change(|state| state.append_faults.push_back(no_space()));
    let stop = StopParams { conversation_id, turn_id: None };
    assert_eq!(world.ext().call(Stop, &stop).await.expect_err("the disk is full").code, "no_space");
}

#[tokio::test]
async fn an_end_that_was_given_up_is_written_when_there_is_space_again() {
    let (world, conversation_id, turn_id) = given_up().await;
    let params = WatchParams { conversation_id, after: 2, until_turn: Some(turn_id) };
    // It is told, so it is offered again from now on.
    assert!(world.ext().stream(Watch, &params).finish().await.1.is_err());
    while world.change(|state| state.open.is_some()) {
        world.host.advance_ms(30_000);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    world.change(|state| assert_eq!((state.ends(), state.n_seals), (vec![json!(["failed", "io"])], 0)));
}

#[tokio::test]
async fn a_commit_of_more_than_the_store_takes_at_once_goes_in_parts() {
    let world = World::new().await;
    world.on("conversations.v1/append", |state, params| {
        let of = |key: &str| params[key].as_array().cloned().unwrap_or_default();
        let (events, messages) = (of("events"), of("messages"));
        if events.len() + messages.len() > APPEND_ITEMS_MAX {
            return Err(Fault::new("invalid", "too many"));
        }
        state.log.extend(events);
        if params["end_turn"] == true {
            state.open = None;
        }
        Ok(json!({ "seq_last": state.log.len(), "durable": true }))
    });
    world.turns(|turn, _| async move {
        let mut events = vec![json!({ "type": "tool_result", "data": {} }); 2 * APPEND_ITEMS_MAX + 1];
        events.push(json!({ "type": "turn_ended", "data": { "status": "completed", "reason": "stop" } }));
        turn.commit(0, Value::from(events)).await?;
        Ok(json!({ "status": "completed", "reason": "stop" }))
    });
    world.start(json!({ "input": "hi" })).await.expect("it starts");
    world.until_ended().await;
    world.change(|state| {
        assert_eq!(
            (state.log.len(), state.ends()),
            (2 + 2 * APPEND_ITEMS_MAX + 2, vec![json!(["completed", "stop"])])
        );
    });
}

/// A commit whose reply came too late is offered again by the kernel.
#[tokio::test]
async fn a_commit_that_is_offered_again_is_written_once_and_one_that_failed_goes_on_where_it_stopped() {
    let world = World::new().await;
    world.turns(|turn, _| async move {
        let many = vec![json!({ "type": "tool_result", "data": {} }); APPEND_ITEMS_MAX + 1];
        turn.offer(Some(0), 0, Value::from(vec![many[0].clone()])).await?;
        turn.offer(Some(0), 0, Value::from(vec![many[0].clone()])).await?;
        turn.world.change(|state| state.append_faults.extend([no_space(), no_space()]));
        for _ in 0..2 {
            turn.offer(Some(1), 0, Value::from(many.clone())).await.expect_err("the disk is full");
        }
        turn.offer(Some(1), 0, Value::from(many)).await?;
        let end = json!([{ "type": "turn_ended", "data": { "status": "completed", "reason": "stop" } }]);
        turn.offer(Some(2), 0, end.clone()).await?;
        turn.offer(Some(2), 0, end).await?;
        Ok(json!({ "status": "completed", "reason": "stop" }))
    });
    world.start(json!({ "input": "hi" })).await.expect("it starts");
    world.until_ended().await;
    world.change(|state| {
        assert_eq!(
            (state.log.len(), state.ends()),
            (2 + 1 + APPEND_ITEMS_MAX + 1 + 1, vec![json!(["completed", "stop"])])
        );
    });
    let appends = world.host.calls_of("conversations.v1/append");
    let named: Vec<u64> = appends.iter().map(|append| append["append_idx"].as_u64().unwrap()).collect();
    let (first, last) = (1 << 16, 2 << 16);
    assert_eq!(named, [0, first, first, first, first + 1, last], "an offer and its repeat have one name");
}
