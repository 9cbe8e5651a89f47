//! The history of a turn, page by page, and where its time goes.

use super::world::World;
use dispatch_sdk::Fault;
use dispatch_sdk::contracts::turn::HISTORY_BYTES_MAX;
use dispatch_testkit::FakeHost;
use serde_json::{Value, json};

fn said(text: &str) -> Value {
    json!({ "role": "user", "parts": [{ "type": "text", "text": text }] })
}

/// Pages of one message each, the last one without `next`.
fn serve_pages(world: &World, messages: Vec<Value>) {
    world.host.on("conversations.v1/messages", move |params| {
        assert!(params["bytes_max"].as_u64().is_some_and(|bytes| bytes > 0), "a page has a bound: {params}");
        let position = params["after"].as_u64().map_or(0, |after| after + 1);
        let at = usize::try_from(position).expect("small");
        let next = (at + 1 < messages.len()).then_some(position);
        Ok(json!({ "messages": [messages[at]], "skipped": 1, "next": next }))
    });
}

#[tokio::test]
async fn a_history_is_read_page_by_page() {
    let world = World::new().await;
    let messages: Vec<Value> = ["a", "b", "c"].map(said).into();
    serve_pages(&world, messages.clone());
    world.start(json!({ "input": "hi" })).await.expect("it starts");
    world.until_ended().await;
    world.change(|state| {
        assert_eq!(state.run_params[0]["messages"], Value::from(messages));
        let message = "3 messages of the history could not be read and were left out";
        assert_eq!(state.log[2]["data"], json!({ "code": "history_incomplete", "message": message }));
    });
}

/// It would be more than a call's body holds.
#[tokio::test]
async fn a_history_that_turns_out_too_long_ends_its_turn_with_what_to_do() {
    let world = World::new().await;
    let large = said(&"x".repeat(HISTORY_BYTES_MAX / 2));
    serve_pages(&world, vec![large.clone(), large.clone(), large]);
    world.start(json!({ "input": "hi" })).await.expect("it starts");
    world.until_ended().await;
    world.change(|state| {
        assert_eq!(state.ends(), [json!(["failed", "context_overflow"])]);
        let error = &state.log[state.log.len() - 2]["data"];
        assert_eq!(error["class"], "context_overflow");
        assert!(
            error["message"].as_str().is_some_and(|text| text.contains("begin a new conversation")),
            "{error}"
        );
        assert_eq!(state.run_params, Vec::<Value>::new(), "it never ran");
    });
    assert_eq!(world.host.calls_of("conversations.v1/messages").len(), 2, "nothing is read beyond the bound");
}

#[tokio::test]
async fn pages_that_go_in_a_circle_end_the_turn() {
    let world = World::new().await;
    world.host.on("conversations.v1/messages", |_| Ok(json!({ "messages": [], "next": 4 })));
    world.start(json!({ "input": "hi" })).await.expect("it starts");
    world.until_ended().await;
    world.change(|state| assert_eq!(state.ends(), [json!(["failed", "broken"])]));
}

/// Every start of such a conversation was once acknowledged, and failed then.
#[tokio::test]
async fn a_start_whose_history_is_too_long_is_refused_before_its_ack() {
    let world = World::new().await;
    world.host.on("conversations.v1/begin", |params| {
        assert_eq!(params["history_bytes_max"], json!(HISTORY_BYTES_MAX));
        Err(Fault::new("too_large", "begin a new conversation").with_detail(json!({ "history_bytes": 7 })))
    });
    let refused = world.start(json!({ "input": "hi" })).await.expect_err("it cannot run");
    assert_eq!((refused.code.as_str(), &refused.detail), ("too_large", &json!({ "history_bytes": 7 })));
    world.change(|state| assert_eq!((state.n_seals, state.run_params.len()), (0, 0)));
    assert_eq!(
        world.host.calls_of("conversations.v1/get"),
        Vec::<Value>::new(),
        "nobody looks whether it opened"
    );
}

fn summary(world: &World) -> Value {
    let last = world.host.calls_of("conversations.v1/append").pop().expect("an end");
    assert_eq!(last["end_turn"], true);
    last["summary"].clone()
}

#[tokio::test]
async fn the_end_of_a_turn_says_where_its_time_went() {
    let world = World::over(FakeHost::with_manual_clock()).await;
    let clock = world.host.clone();
    world.host.on("conversations.v1/begin", {
        let clock = clock.clone();
        move |_| {
            clock.advance_ms(30);
            Ok(json!({ "cursor": 0, "created_at": 5, "durable": true }))
        }
    });
    world.on("conversations.v1/append", |state, _| {
        state.n_appends += 1;
        Ok(json!({ "seq_last": 3, "durable": true }))
    });
    world.host.on("prompt.v1/system", {
        let clock = clock.clone();
        move |_| {
            clock.advance_ms(70);
            Ok(json!({ "text": "be brief" }))
        }
    });
    world.turns(|turn, _| async move {
        let ended = json!({ "status": "completed", "reason": "stop" });
        let told = json!({ "first_byte_ms": 4, "prefill_ms": 9, "commit_ms": 2, "retry_ms": 1 });
        turn.offer_with(json!({ "events": [{ "type": "step_completed", "data": {} }] })).await?;
        turn.offer_with(json!({ "events": [{ "type": "turn_ended", "data": ended }], "timings": told }))
            .await?;
        Ok(ended)
    });
    world.start(json!({ "input": "hi" })).await.expect("it starts");
    world.until(|state| state.n_appends == 2).await;
    let begun = &world.host.calls_of("conversations.v1/begin")[0];
    assert_eq!(begun["attempt"], 1);
    let first = &world.host.calls_of("conversations.v1/append")[0];
    assert_eq!((&first["end_turn"], &first["summary"]), (&json!(false), &Value::Null));
    let timings = &summary(&world)["timings"];
    assert_eq!(
        timings,
        &json!({
            "queue_ms": 30, "prepare_ms": 70, "first_byte_ms": 4, "prefill_ms": 9, "commit_ms": 2, "retry_ms": 1,
        })
    );
}

#[tokio::test]
async fn a_turn_that_broke_says_how_long_it_waited() {
    let world = World::over(FakeHost::with_manual_clock()).await;
    let clock = world.host.clone();
    world.host.on("conversations.v1/messages", move |_| {
        clock.advance_ms(12);
        Err(Fault::new("corrupt", "the head cannot be read"))
    });
    world.start(json!({ "input": "hi" })).await.expect("it starts");
    world.until_ended().await;
    assert_eq!(summary(&world)["timings"], json!({ "queue_ms": 0, "prepare_ms": 12 }));
}
