//! `turns.v1/start`.

use super::world::{HOST_ID, World, text};
use dispatch_sdk::Fault;
use dispatch_sdk::contracts::turns::{INPUT_BYTES_MAX, Stop, StopParams};
use dispatch_testkit::FakeHost;
use serde_json::{Value, json};
use std::time::Duration;

#[tokio::test]
async fn what_no_conversation_can_take_is_refused_before_anything_is_written() {
    let world = World::new().await;
    let cases = [
        (json!({ "input": " \n\t " }), "invalid"),
        (json!({ "input": "x".repeat(INPUT_BYTES_MAX + 1) }), "too_large"),
        (json!({ "input": "hi", "conversation_id": "" }), "invalid"),
        (json!({ "input": "hi", "conversation_id": "../etc" }), "invalid"),
        (json!({ "input": "hi", "conversation_id": "x".repeat(65) }), "invalid"),
        (json!({ "input": "hi", "cwd": "relative" }), "invalid"),
        (json!({ "input": "hi", "cwd": "/nul\0" }), "invalid"),
        (json!({ "input": "hi", "model": "a\u{1b}[2J" }), "invalid"),
        (json!({ "input": "hi", "conversation_id": "unknown" }), "not_found"),
        (json!({ "input": "hi", "provider": "unknown" }), "no_provider"),
    ];
    for (params, code) in cases {
        let fault = world.start(params.clone()).await.expect_err("it is refused");
        assert_eq!(fault.code, code, "{params:.200}");
    }
    assert_eq!(world.host.calls_of("conversations.v1/begin"), Vec::<Value>::new());
}

#[tokio::test]
async fn a_turn_is_acked_shown_in_order_and_ended_once() {
    let world = World::new().await;
    world.turns(|turn, out| async move {
        out.emit(text("a")).await?;
        out.emit(text("b")).await?;
        turn.commit(2, json!([{ "type": "step_completed", "data": {} }])).await?;
        out.emit(text("c")).await?;
        turn.commit(
            3,
            json!([{ "type": "turn_ended", "data": { "status": "completed", "reason": "stop" } }]),
        )
        .await?;
        Ok(json!({ "status": "completed", "reason": "stop" }))
    });
    let reply = world.start(json!({ "input": "  hello\nthere", "cwd": "/tmp" })).await.expect("it starts");
    world.until_ended().await;
    world.change(|state| {
        let kinds =
            ["turn_started", "input", "text_delta", "text_delta", "step_completed", "text_delta", "turn_ended"];
        assert_eq!(state.kinds(), kinds);
        assert_eq!(state.log[0]["data"], json!({ "provider": "one", "model": "", "cwd": "/tmp", "actor": "user:test" }));
        assert_eq!(state.log[1]["data"], json!({ "parts": [{ "type": "text", "text": "  hello\nthere" }] }));
        let run = json!({
            "conversation_id": reply.conversation_id, "turn_id": reply.turn_id, "provider": "one", "model": "",
            "system": "be brief", "cwd": "/tmp", "messages": [{ "role": "user" }], "steps_max": 0,
            "boundaries": [],
        });
        assert_eq!(state.run_params, [run]);
    });
    assert!(reply.durable && reply.cursor == 0);
    // A stop waits until the task is gone: by then it would have written a second end.
    let stop = StopParams { conversation_id: reply.conversation_id, turn_id: None };
    world.ext().call(Stop, &stop).await.expect("it answers");
    world.change(|state| assert_eq!(state.n_appends, 2));
    let begin = &world.host.calls_of("conversations.v1/begin")[0];
    assert_eq!(
        (&begin["create"], &begin["title"], &begin["host_id"]),
        (&json!(true), &json!("hello\nthere"), &json!(HOST_ID))
    );
}

#[tokio::test]
async fn a_commit_waits_for_the_frames_before_it() {
    let world = World::new().await;
    world.turns(|turn, out| async move {
        let end = json!([{ "type": "turn_ended", "data": { "status": "completed", "reason": "stop" } }]);
        let (committed, emitted) = tokio::join!(turn.commit(1, end), async {
            let appended = turn.world.until(|state| state.n_appends > 0);
            let early = tokio::time::timeout(Duration::from_millis(50), appended).await;
            assert!(early.is_err(), "the commit went ahead of its frame");
            out.emit(text("late")).await
        });
        committed.and(emitted)?;
        Ok(json!({ "status": "completed", "reason": "stop" }))
    });
    world.start(json!({ "input": "hi" })).await.expect("it starts");
    world.until_ended().await;
    world.change(|state| assert_eq!(state.kinds(), ["turn_started", "input", "text_delta", "turn_ended"]));
}

#[tokio::test]
async fn of_two_starts_on_one_conversation_one_runs() {
    let world = World::new().await;
    world.turns(|turn, _| async move {
        turn.stopped().await;
        turn.end("cancelled", "stopped").await
    });
    let first = world.start(json!({ "input": "first" })).await.expect("it starts");
    let second = json!({ "input": "second", "conversation_id": first.conversation_id });
    let fault = world.start(second).await.expect_err("one turn at a time");
    assert_eq!(fault.code, "turn_in_flight");
    assert_eq!(fault.detail["turn_id"], json!(first.turn_id));
    // The first may not have come to its run yet when the second is refused.
    world.until(|state| !state.run_params.is_empty()).await;
    world.change(|state| assert_eq!((state.n_seals, state.run_params.len()), (0, 1)));
    assert_eq!(world.host.calls_of("kernel.v1/host_alive"), Vec::<Value>::new(), "our own host lives");
}

#[tokio::test]
async fn in_doubt_about_a_host_its_turn_is_left_alone() {
    let world = World::new().await;
    world.host.on("kernel.v1/host_alive", |_| Err(Fault::new("io", "cannot read the lock")));
    world.change(|state| state.open = Some(json!({ "turn_id": "old", "host_id": "elsewhere" })));
    let fault = world.start(json!({ "input": "hi" })).await.expect_err("it may still run");
    assert_eq!(fault.code, "turn_in_flight");
}

#[tokio::test]
async fn a_conversation_goes_on_with_what_it_had_last() {
    let world = World::new().await;
    world.providers(json!([
        { "name": "one", "ready": true },
        { "name": "two", "ready": true },
        { "name": "demo", "ready": true, "selectable": false },
    ]));
    let asked = json!({ "input": "a", "provider": "demo", "model": "m", "cwd": "/srv" });
    let id = world.start(asked).await.expect("demo is named").conversation_id;
    world.until_ended().await;
    for (asked, ran) in [
        (json!({}), json!(["demo", "m", "/srv"])),
        (json!({ "provider": "two" }), json!(["two", "", "/srv"])),
        (json!({ "model": "n", "cwd": "/" }), json!(["two", "n", "/"])),
    ] {
        let mut params = asked.clone();
        params["input"] = json!("go on");
        params["conversation_id"] = json!(id);
        world.start(params).await.expect("it starts");
        world.until_ended().await;
        let begun = world.host.calls_of("conversations.v1/begin").pop().expect("it began");
        assert_eq!(json!([begun["provider"], begun["model"], begun["cwd"]]), ran, "{asked}");
        assert_eq!(begun["create"], false);
    }
}

#[tokio::test]
async fn instructions_that_nobody_trusts_are_named_with_what_to_do() {
    let world = World::new().await;
    world.host.on("prompt.v1/system", |_| {
        Ok(json!({ "text": "be brief", "untrusted": ["/w/AGENTS.md", "/w/a/AGENTS.md"] }))
    });
    world.start(json!({ "input": "hi" })).await.expect("it starts");
    world.until_ended().await;
    world.change(|state| {
        let message = "instructions were not read, because nobody trusts them as they are: `/w/AGENTS.md`, \
                       `/w/a/AGENTS.md`; look at them, then `dispatch trust /w`";
        assert_eq!(state.log[2]["data"], json!({ "code": "untrusted", "message": message }));
        assert_eq!(state.run_params[0]["system"], "be brief");
    });
}

#[tokio::test]
async fn a_turn_runs_without_its_system_prompt_and_says_so() {
    let world = World::new().await;
    world.host.on("prompt.v1/system", |_| Err(Fault::new("io", "cannot read `AGENTS.md`")));
    world.start(json!({ "input": "hi" })).await.expect("it starts");
    world.until_ended().await;
    world.change(|state| {
        assert_eq!(state.kinds(), ["turn_started", "input", "notice", "turn_ended"]);
        let message = "the turn runs without a system prompt: cannot read `AGENTS.md`";
        assert_eq!(state.log[2]["data"], json!({ "code": "prompt_failed", "message": message }));
        assert_eq!(state.run_params[0]["system"], "");
    });
}

#[tokio::test]
async fn the_default_model_is_that_of_the_default_provider_alone() {
    let config = json!({ "default_provider": "two", "default_model": "big" });
    let world = World::configured(FakeHost::new(), config).await;
    world.providers(json!([{ "name": "one", "ready": true }, { "name": "two", "ready": true }]));
    for (asked, ran) in [
        (json!({}), json!(["two", "big"])),
        (json!({ "provider": "two" }), json!(["two", "big"])),
        (json!({ "provider": "one" }), json!(["one", ""])),
        (json!({ "model": "small" }), json!(["two", "small"])),
    ] {
        let mut params = asked.clone();
        params["input"] = json!("hi");
        world.start(params).await.expect("it starts");
        world.until_ended().await;
        let begun = world.host.calls_of("conversations.v1/begin").pop().expect("it began");
        assert_eq!(json!([begun["provider"], begun["model"]]), ran, "{asked}");
    }
}
