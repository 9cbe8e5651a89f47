//! Turns that an engine runs, well and badly: whatever it does, the turn ends once, in the log and in the answer.

mod stage;

use super::planned;
use crate::kernel::service::*;
use dispatch_contracts::engine::EngineSpec;
use serde_json::{Value, json};
use stage::{
    Desk, SHORT_SILENCE_MS, SILENCE_MS, Stage, back, called, commit, consent, delta, emit, end, ended,
};
use std::sync::Mutex;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_turn_goes_through_an_engine_as_through_the_loop() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let said = Arc::clone(&heard);
    let stage = Stage::set(move |call, params| {
        let heard = Arc::clone(&said);
        async move {
            let mut answers = vec![params["messages"].clone(), params["engine_state"].clone()];
            emit(&call, delta()).await;
            emit(&call, json!({ "type": "of_a_later_version", "data": {} })).await;
            let used = json!({ "type": "usage", "data": { "step_id": "t#0", "usage": { "input_tokens": 3, "output_tokens": 4 } } });
            let first = json!({
                "turn_id": "t", "commit_idx": 0, "frames_before": 2, "events": [used], "messages": [{ "role": "assistant" }],
                "engine_state": { "n": 2 },
            });
            answers.push(back(&call, "commit", first).await?);
            for (verb, body) in [
                ("steering", json!({})),
                ("boundary", json!({ "usage": { "input_tokens": 3, "output_tokens": 4 } })),
                ("history", json!({ "turn_id": "t" })),
            ] {
                answers.push(back(&call, verb, body).await?);
            }
            for effect in ["read", "write", "exec"] {
                let asked = json!({
                    "conversation_id": "c", "turn_id": "t", "tool_call_id": "a", "tool": "shell", "effect": effect, "args": {},
                });
                answers.push(back(&call, "ask", asked).await?["decision"].clone());
            }
            answers.push(commit(&call, 1, 2, json!([end()])).await?);
            // Its answer was lost: it is not written again.
            answers.push(commit(&call, 1, 2, json!([end()])).await?);
            heard.lock().expect("no panic").append(&mut answers);
            Ok(ended())
        }
    });
    let played = stage.await.play("toy", false).await;
    assert_eq!(played.end(), (json!("completed"), "stop"));
    assert_eq!(played.kinds(), ["usage", "turn_ended"]);
    assert_eq!(played.frames, ["text_delta", "of_a_later_version"]);
    let numbers: Vec<Value> = played
        .commits
        .iter()
        .map(|c| json!([c["commit_idx"], c["frames_before"], c["engine_state"]]))
        .collect();
    assert_eq!(numbers, [json!([0, 2, { "n": 2 }]), json!([1, 2, null])]);
    assert_eq!(played.commits[0]["messages"], json!([{ "role": "assistant" }]));
    let heard = json!(*heard.lock().expect("no panic"));
    let expected = json!([
        [{ "role": "user" }], { "n": 1 }, {}, { "messages": [{ "role": "user" }], "ids": ["i"] }, {},
        { "messages": [{ "role": "system" }, { "role": "user" }] }, "allow", "deny", "deny", {}, {},
    ]);
    assert_eq!(heard, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_an_engine_does_its_turn_ends_once() {
    for (way, status, reason, kinds) in [
        ("dies", "failed", "unavailable", &["tool_call", "tool_result", "error", "turn_ended"][..]),
        ("panics", "failed", "panicked", &["tool_call", "tool_result", "error", "turn_ended"]),
        ("answers too early", "failed", "broken", &["tool_call", "tool_result", "error", "turn_ended"]),
        ("answers nonsense", "failed", "broken", &["tool_call", "tool_result", "error", "turn_ended"]),
        ("emits nonsense", "failed", "broken", &["tool_call", "tool_result", "error", "turn_ended"]),
        ("shows an end", "failed", "broken", &["tool_call", "tool_result", "error", "turn_ended"]),
        ("shows a consent", "failed", "broken", &["tool_call", "tool_result", "error", "turn_ended"]),
        ("is silent", "failed", "deadline", &["tool_call", "tool_result", "error", "turn_ended"]),
        ("ends and dies", "completed", "stop", &["tool_call", "tool_result", "turn_ended"]),
    ] {
        let silence_ms = if way == "is silent" { SHORT_SILENCE_MS } else { SILENCE_MS };
        let stage = Stage::set_with(silence_ms, move |call, _| async move {
            commit(&call, 0, 0, json!([called()])).await?;
            match way {
                "dies" => return Err(Fault::new("unavailable", "its process ended")),
                "panics" => panic!("as asked"),
                "answers too early" => {}
                "answers nonsense" => return Ok(json!([1])),
                "emits nonsense" => emit(&call, json!({ "n": 1 })).await,
                "shows an end" => emit(&call, end()).await,
                "shows a consent" => emit(&call, consent()).await,
                "is silent" => std::future::pending().await,
                "ends and dies" => {
                    let result = json!({ "type": "tool_result", "data": { "tool_call_id": "a" } });
                    commit(&call, 1, 0, json!([result, end()])).await?;
                    return Err(Fault::new("unavailable", "its process ended"));
                }
                other => panic!("nobody does `{other}`"),
            }
            // What broke the contract is not mended by going on.
            if way == "emits nonsense" || way.starts_with("shows") {
                call.cancelled().await;
                commit(&call, 1, 0, json!([end()])).await.expect_err("nothing is taken of it any more");
            }
            Ok(ended())
        });
        let played = stage.await.play("toy", false).await;
        assert_eq!(played.end(), (json!(status), reason), "{way}");
        assert_eq!(played.kinds(), kinds, "{way}");
        assert!(played.frames.is_empty(), "{way}");
        let last = played.commits.last().expect("an end");
        if status == "failed" {
            assert_eq!(last["events"][0]["data"]["status"], "outcome_unknown", "{way}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_reaches_an_engine_in_two_phases_and_the_turn_ends_in_any_case() {
    for (way, kinds) in [
        ("ends in order", &["tool_call", "tool_result", "turn_ended"][..]),
        ("lets go", &["tool_call", "tool_result", "turn_ended"]),
        ("does not listen", &["tool_call", "tool_result", "turn_ended"]),
    ] {
        let stage = Stage::set(move |call, _| async move {
            commit(&call, 0, 0, json!([called()])).await?;
            if way == "does not listen" {
                // Not silent either.
                loop {
                    call.sleep(std::time::Duration::from_secs(3600)).await;
                }
            }
            let waiting = call.clone();
            let sleeping = waiting.sleep(std::time::Duration::from_secs(3600));
            tokio::select! {
                () = sleeping => panic!("nobody stopped it"),
                _ = call.cancelled() => {}
            }
            if way == "lets go" {
                return Err(Fault::new("cancelled", "as told"));
            }
            let result =
                json!({ "type": "tool_result", "data": { "tool_call_id": "a", "status": "cancelled" } });
            let stopped = json!({ "status": "cancelled", "reason": "stopped" });
            let end = json!({ "type": "turn_ended", "data": stopped });
            commit(&call, 1, 0, json!([result, end])).await?;
            Ok(stopped)
        });
        let played = stage.await.play("toy", true).await;
        assert_eq!(played.end(), (json!("cancelled"), "stopped"), "{way}");
        assert_eq!(played.kinds(), kinds, "{way}");
        let in_order = played.commits.last().expect("an end")["events"][0]["data"]["status"] == "cancelled";
        assert_eq!(in_order, way == "ends in order", "{way}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_breaks_the_order_of_a_turn_is_refused_and_the_turn_goes_on() {
    let codes = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&codes);
    let stage = Stage::set(move |call, _| {
        let codes = Arc::clone(&told);
        async move {
            emit(&call, delta()).await;
            commit(&call, 0, 1, json!([called()])).await?;
            let of = |turn: &str, idx: Value, frames: u64, events: Value| json!({ "turn_id": turn, "commit_idx": idx, "frames_before": frames, "events": events });
            let mut large = of("t", json!(1), 1, json!([]));
            large["engine_state"] = json!("x".repeat(engine::ENGINE_STATE_BYTES_MAX));
            let mut refused = Vec::new();
            for bad in [
                of("other", json!(1), 1, json!([])),
                of("t", json!(2), 1, json!([])),
                of("t", Value::Null, 1, json!([])),
                of("t", json!(1), 2, json!([])),
                of("t", json!(1), 0, json!([])),
                of("t", json!(1), 1, json!([end()])),
                of("t", json!(1), 1, json!([{ "type": "input", "data": {} }])),
                of("t", json!(1), 1, json!([{ "type": "tool_call", "data": {} }])),
                of(
                    "t",
                    json!(1),
                    1,
                    json!([{ "type": "error", "data": "x".repeat(dispatch_turn::MESSAGE_BYTES_MAX) }]),
                ),
                large,
            ] {
                refused.push(back(&call, "commit", bad).await.expect_err("it is refused").code);
            }
            let result = json!({ "type": "tool_result", "data": { "tool_call_id": "a" } });
            let early = of("t", json!(1), 1, json!([result, end(), delta()]));
            refused.push(back(&call, "commit", early).await.expect_err("it is refused").code);
            commit(&call, 1, 1, json!([result, end()])).await?;
            refused.push(commit(&call, 2, 1, json!([])).await.expect_err("it is over").code);
            codes.lock().expect("no panic").append(&mut refused);
            Ok(ended())
        }
    });
    let played = stage.await.play("toy", false).await;
    assert_eq!(played.end(), (json!("completed"), "stop"));
    assert_eq!(played.kinds(), ["tool_call", "tool_result", "turn_ended"]);
    let (invalid, large) = ("invalid", "too_large");
    let expected = [
        invalid, invalid, invalid, invalid, invalid, invalid, invalid, invalid, large, large, invalid,
        "conflict",
    ];
    assert_eq!(*codes.lock().expect("no panic"), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_is_offered_again_for_an_engine_and_one_that_nobody_takes_ends_the_turn() {
    let script = |call: NativeCall, _| async move {
        commit(&call, 0, 0, json!([called()])).await?;
        // Only reached when it was taken.
        let result = json!({ "type": "tool_result", "data": { "tool_call_id": "a" } });
        commit(&call, 1, 0, json!([result, end()])).await?;
        Ok(ended())
    };
    let stage = Stage::set(script).await;
    stage.desk.faults.lock().expect("no panic").push_back(Fault::new("overloaded", "busy"));
    let played = stage.play("toy", false).await;
    assert_eq!(played.commits[0], played.commits[1], "the same, under its number");
    assert_eq!((played.commits.len(), played.ended.reason.as_str()), (3, "stop"));

    let stage = Stage::set(script).await;
    stage.desk.faults.lock().expect("no panic").push_back(Fault::new("corrupt", "broken"));
    let played = stage.play("toy", false).await;
    let ended = &played.ended;
    assert_eq!(
        (ended.status, ended.reason.as_str()),
        (dispatch_contracts::event::TurnStatus::Failed, "corrupt")
    );
    assert_eq!(played.commits.len(), 1, "nothing is written after what was not");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_is_not_there_ends_its_turn_and_those_that_are_there_are_named() {
    let stage = Stage::set(|_, _| async { Ok(ended()) }).await;
    let names = |engines: &[EngineSpec]| engines.iter().map(|one| one.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&stage.kernel.inventory().engines), ["native", "toy"]);
    assert_eq!(names(&providers(&stage.kernel.shared).engines), ["native", "toy"]);
    let update = json!({ "contributes": { "engines": [{ "name": "native", "ready": true }] } });
    let record = planned("toys", "contributes = { engines = [\"nat*\"] }");
    stage.kernel.shared.records()[0].planned = record;
    let party = Endpoint::native("toys", Arc::new(Desk::default()), false);
    super::call(&stage.kernel, &party, Update::NAME, update).await.expect("what cannot be used is left out");
    assert_eq!(names(&stage.kernel.inventory().engines), ["native"], "the name is taken");

    let played = stage.play("nobody", false).await;
    assert_eq!(played.end(), (json!("failed"), "no_service"));
    assert_eq!(played.kinds(), ["error", "turn_ended"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_asks_for_the_conversation_that_it_runs_and_for_no_other() {
    let codes = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&codes);
    let stage = Stage::set(move |call, _| {
        let codes = Arc::clone(&told);
        async move {
            for (conversation, id) in [("c", "own"), ("", "unsaid"), ("another", "another")] {
                let asked = json!({
                    "conversation_id": conversation, "turn_id": "t", "tool_call_id": id, "tool": "shell", "effect": "exec", "args": {},
                });
                let came = back(&call, "ask", asked).await;
                codes
                    .lock()
                    .expect("no panic")
                    .push(came.map_or_else(|fault| fault.code, |reply| reply["decision"].to_string()));
            }
            commit(&call, 0, 0, json!([end()])).await?;
            Ok(ended())
        }
    });
    let stage = stage.await;
    let asked = Arc::clone(&stage.desk.asked);
    let played = stage.play("toy", false).await;
    assert_eq!(played.end(), (json!("completed"), "stop"));
    assert_eq!(*codes.lock().expect("no panic"), ["\"deny\"", "\"deny\"", "invalid"]);
    assert_eq!(json!(*asked.lock().expect("no panic")), json!([["c", "own"], ["c", "unsaid"]]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_takes_the_commits_of_an_engines_turn_is_not_its_engine() {
    let mut stage = Stage::set(|call, _| async move {
        commit(&call, 0, 0, json!([end()])).await?;
        Ok(ended())
    })
    .await;
    let refusals = Arc::new(Mutex::new(Vec::new()));
    stage.desk.refusals = Some(Arc::clone(&refusals));
    let played = stage.play("toy", false).await;
    assert_eq!(played.end(), (json!("completed"), "stop"));
    assert_eq!(*refusals.lock().expect("no panic"), ["bad_call"]);
}
