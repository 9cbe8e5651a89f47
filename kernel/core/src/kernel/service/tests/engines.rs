//! Turns that an engine runs, well and badly: whatever it does, the turn ends once, in the log and in the answer.

use super::{booted, planned};
use crate::kernel::service::*;
use crate::kernel::{Kernel, Record, RecordState};
use crate::router::{NativeWishes, StreamItem};
use dispatch_contracts::engine;
use dispatch_contracts::event::{EventBody, TurnEnded};
use dispatch_contracts::kernel::{Contributions, EngineSpec};
use dispatch_contracts::{Limits, Mode};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::Mutex;
use tokio::sync::Notify;

/// Runs turns for nobody: writes down what it is told, and answers questions.
#[derive(Clone, Default)]
struct Desk {
    commits: Arc<Mutex<Vec<Value>>>,
    faults: Arc<Mutex<VecDeque<Fault>>>,
    /// Rung with each commit that is written.
    written: Arc<Notify>,
}

impl NativeService for Desk {
    fn verbs(&self) -> Vec<VerbInfo> {
        vec![
            info::<turn::Commit>(),
            info::<turn::Ask>(),
            info::<turn::Steering>(),
            info::<turn::Boundary>(),
            info::<turn::History>(),
        ]
    }

    fn call(&self, call: NativeCall, body: SharedBytes) -> BoxFuture<'static, Result<SharedBytes, Fault>> {
        let desk = self.clone();
        Box::pin(async move {
            let asked: Value = serde_json::from_slice(&body).expect("JSON");
            encode(&match call.verb() {
                turn::Commit::NAME => {
                    let fault = desk.faults.lock().expect("no panic").pop_front();
                    desk.commits.lock().expect("no panic").push(asked);
                    desk.written.notify_one();
                    return fault.map_or_else(|| encode(&Empty {}), Err);
                }
                turn::Ask::NAME => json!({ "decision": "deny", "reason": "a person said no" }),
                turn::Steering::NAME => json!({ "messages": [{ "role": "user" }], "ids": ["i"] }),
                turn::Boundary::NAME => json!({}),
                turn::History::NAME => json!({ "messages": [{ "role": "system" }, { "role": "user" }] }),
                other => panic!("nobody asked for `{other}`"),
            })
        })
    }
}

type Script = Arc<dyn Fn(NativeCall, Value) -> BoxFuture<'static, Result<SharedBytes, Fault>> + Send + Sync>;

/// An engine that does as it is told.
struct Scripted(Script);

/// Its limit of silence, in ms.
const SILENCE_MS: u64 = 80;

impl NativeService for Scripted {
    fn verbs(&self) -> Vec<VerbInfo> {
        let limits = Limits::long(SILENCE_MS);
        vec![VerbInfo { name: engine::Run::NAME.to_owned(), mode: Mode::Spawned, limits }]
    }

    fn call(&self, call: NativeCall, body: SharedBytes) -> BoxFuture<'static, Result<SharedBytes, Fault>> {
        (self.0)(call, serde_json::from_slice(&body).expect("JSON"))
    }
}

/// One turn on `script`.
struct Played {
    ended: TurnEnded,
    commits: Vec<Value>,
    frames: Vec<String>,
}

impl Played {
    fn kinds(&self) -> Vec<&str> {
        let events = self.commits.iter().flat_map(|commit| commit["events"].as_array().expect("events"));
        events.filter_map(|event| event["type"].as_str()).collect()
    }

    /// Status and reason, which are those in the log, and the log ends there.
    fn end(&self) -> (Value, &str) {
        let last = self.commits.last().and_then(|commit| commit["events"].as_array()?.last());
        let last = &last.expect("the turn has an end")["data"];
        assert_eq!(
            self.kinds().iter().filter(|kind| **kind == "turn_ended").count(),
            1,
            "{:?}",
            self.kinds()
        );
        let written: TurnEnded = serde_json::from_value(last.clone()).expect("an end");
        assert_eq!(written, self.ended, "what is answered is what is written");
        (last["status"].clone(), &self.ended.reason)
    }
}

struct Stage {
    kernel: Kernel,
    desk: Desk,
    _dir: tempfile::TempDir,
}

impl Stage {
    async fn set<F, Fut>(script: F) -> Self
    where
        F: Fn(NativeCall, Value) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Value, Fault>> + Send + 'static,
    {
        let dir = tempfile::tempdir().expect("a directory");
        let kernel = booted(dir.path()).await;
        let script: Script = Arc::new(move |call, params| {
            let answered = script(call, params);
            Box::pin(async move { encode(&answered.await?) })
        });
        let spec = EngineSpec { name: "toy".to_owned(), ready: true, reason: String::new() };
        let record = Record {
            planned: planned("toys", "contributes = { engines = [\"toy\"] }"),
            endpoint: Endpoint::native("toys", Arc::new(Scripted(script)), false),
            state: RecordState::Active,
            sha256: String::new(),
            contributes: Contributions { engines: vec![spec], ..Contributions::default() },
            left_out: Vec::new(),
            ops: Vec::new(),
        };
        kernel.shared.enter(record);
        Self { kernel, desk: Desk::default(), _dir: dir }
    }

    /// Runs one turn to its end; `stop` = it is stopped once it has committed something.
    async fn play(self, engine: &str, stop: bool) -> Played {
        let party = Endpoint::native("desk", Arc::new(self.desk.clone()), true);
        let run = json!({
            "conversation_id": "c", "turn_id": "t", "provider": "", "cwd": "/", "engine": engine,
            "messages": [{ "role": "system" }, { "role": "user" }], "engine_state": { "n": 1 },
        });
        let router = &self.kernel.shared.router;
        let body = shared(run.to_string().into_bytes());
        let wishes = NativeWishes::default();
        let mut stream = router.native_stream(&party, None, turn::Run::NAME, body, wishes).expect("it runs");
        let mut frames = Vec::new();
        let mut stopped = !stop;
        let ended = loop {
            let next = tokio::select! {
                next = stream.next() => next.expect("a failed turn is an answer"),
                () = self.desk.written.notified(), if !stopped => {
                    stopped = true;
                    let told = shared(br#"{"turn_id":"t"}"#.to_vec());
                    let told = router.native_call(&party, None, turn::Stop::NAME, told, NativeWishes::default());
                    assert_eq!(told.await.expect("answered").as_slice(), br#"{"stopping":true}"#);
                    continue;
                }
            };
            match next {
                StreamItem::Frame(frame) => {
                    let frame: EventBody = serde_json::from_slice(&frame).expect("an event");
                    frames.push(frame.kind);
                }
                StreamItem::End(ended) => break serde_json::from_slice(&ended).expect("an end"),
            }
        };
        assert!(self.kernel.shared.engine_turns.lock().expect("no panic").is_empty(), "nothing is left");
        let commits = std::mem::take(&mut *self.desk.commits.lock().expect("no panic"));
        self.kernel.stop().await;
        Played { ended, commits, frames }
    }
}

/// A call back of the engine.
async fn back(call: &NativeCall, verb: &str, body: Value) -> Result<Value, Fault> {
    let reply =
        call.child(&format!("engine_host.v1/{verb}"), shared(body.to_string().into_bytes()), 0).await?;
    Ok(serde_json::from_slice(&reply).expect("JSON"))
}

async fn commit(call: &NativeCall, idx: u64, frames: u64, events: Value) -> Result<Value, Fault> {
    let body = json!({ "turn_id": "t", "commit_idx": idx, "frames_before": frames, "events": events });
    back(call, "commit", body).await
}

async fn emit(call: &NativeCall, frame: Value) {
    call.emit(shared(frame.to_string().into_bytes())).await.expect("taken");
}

fn delta() -> Value {
    json!({ "type": "text_delta", "data": { "step_id": "t#0", "text": "x" } })
}

fn called() -> Value {
    json!({ "type": "tool_call", "data": { "step_id": "t#0", "tool_call_id": "a", "name": "shell", "args": {} } })
}

fn ended() -> Value {
    json!({ "status": "completed", "reason": "stop" })
}

fn end() -> Value {
    json!({ "type": "turn_ended", "data": ended() })
}

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
        ("is silent", "failed", "deadline", &["tool_call", "tool_result", "error", "turn_ended"]),
        ("ends and dies", "completed", "stop", &["tool_call", "tool_result", "turn_ended"]),
    ] {
        let stage = Stage::set(move |call, _| async move {
            commit(&call, 0, 0, json!([called()])).await?;
            match way {
                "dies" => return Err(Fault::new("unavailable", "its process ended")),
                "panics" => panic!("as asked"),
                "answers too early" => {}
                "answers nonsense" => return Ok(json!([1])),
                "emits nonsense" => emit(&call, json!({ "n": 1 })).await,
                "shows an end" => emit(&call, end()).await,
                "is silent" => std::future::pending().await,
                "ends and dies" => {
                    let result = json!({ "type": "tool_result", "data": { "tool_call_id": "a" } });
                    commit(&call, 1, 0, json!([result, end()])).await?;
                    return Err(Fault::new("unavailable", "its process ended"));
                }
                other => panic!("nobody does `{other}`"),
            }
            // What broke the contract is not mended by going on.
            if way == "emits nonsense" || way == "shows an end" {
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
                    json!([{ "type": "error", "data": "x".repeat(crate::turn::MESSAGE_BYTES_MAX) }]),
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
    let refused =
        super::call(&stage.kernel, &party, Update::NAME, update).await.expect_err("the name is taken");
    assert!(refused.message.contains("cannot be called `native`"), "{}", refused.message);

    let played = stage.play("nobody", false).await;
    assert_eq!(played.end(), (json!("failed"), "no_service"));
    assert_eq!(played.kinds(), ["error", "turn_ended"]);
}
