//! One engine that does as a test tells it, and somebody who asked for its turn.

use super::super::{booted, planned};
use crate::kernel::service::*;
use crate::kernel::{Kernel, Record, RecordState};
use crate::router::{NativeWishes, StreamItem};
use dispatch_contracts::Contributions;
use dispatch_contracts::engine;
use dispatch_contracts::engine::EngineSpec;
use dispatch_contracts::event::{EventBody, TurnEnded};
use dispatch_contracts::{Limits, Mode};
use dispatch_wire::shared;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::Mutex;
use tokio::sync::Notify;

/// Runs turns for nobody: writes down what it is told, and answers questions.
#[derive(Clone, Default)]
pub(super) struct Desk {
    pub(super) commits: Arc<Mutex<Vec<Value>>>,
    pub(super) faults: Arc<Mutex<VecDeque<Fault>>>,
    /// Rung with each commit that is written.
    pub(super) written: Arc<Notify>,
    /// Conversation and call of each question that came.
    pub(super) asked: Arc<Mutex<Vec<Value>>>,
    /// Codes that came of asking the kernel what an engine may ask it, once for each commit; absent = it is not asked.
    pub(super) refusals: Option<Arc<Mutex<Vec<String>>>>,
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
            encode(
                "what a test says",
                &match call.verb() {
                    turn::Commit::NAME => {
                        if let Some(refusals) = &desk.refusals {
                            let came = back(&call, "steering", json!({})).await;
                            let code = came.expect_err("it is not the engine").code;
                            refusals.lock().expect("no panic").push(code);
                        }
                        let fault = desk.faults.lock().expect("no panic").pop_front();
                        desk.commits.lock().expect("no panic").push(asked);
                        desk.written.notify_one();
                        return fault.map_or_else(|| encode("what a test says", &Empty {}), Err);
                    }
                    turn::Ask::NAME => {
                        let about = json!([asked["conversation_id"], asked["tool_call_id"]]);
                        desk.asked.lock().expect("no panic").push(about);
                        json!({ "decision": "deny", "reason": "a person said no" })
                    }
                    turn::Steering::NAME => json!({ "messages": [{ "role": "user" }], "ids": ["i"] }),
                    turn::Boundary::NAME => json!({}),
                    turn::History::NAME => json!({ "messages": [{ "role": "system" }, { "role": "user" }] }),
                    other => panic!("nobody asked for `{other}`"),
                },
            )
        })
    }
}

type Script = Arc<dyn Fn(NativeCall, Value) -> BoxFuture<'static, Result<SharedBytes, Fault>> + Send + Sync>;

/// An engine that does as it is told.
struct Scripted {
    script: Script,
    silence_ms: u64,
}

/// Limit of silence, in ms, of an engine that is not silent.
pub(super) const SILENCE_MS: u64 = 60_000;
/// And of one that is.
pub(super) const SHORT_SILENCE_MS: u64 = 80;

impl NativeService for Scripted {
    fn verbs(&self) -> Vec<VerbInfo> {
        let limits = Limits::long(self.silence_ms);
        vec![VerbInfo { name: engine::Run::NAME.to_owned(), mode: Mode::Spawned, limits }]
    }

    fn call(&self, call: NativeCall, body: SharedBytes) -> BoxFuture<'static, Result<SharedBytes, Fault>> {
        (self.script)(call, serde_json::from_slice(&body).expect("JSON"))
    }
}

/// One turn on `script`.
pub(super) struct Played {
    pub(super) ended: TurnEnded,
    pub(super) commits: Vec<Value>,
    pub(super) frames: Vec<String>,
}

impl Played {
    pub(super) fn kinds(&self) -> Vec<&str> {
        let events = self.commits.iter().flat_map(|commit| commit["events"].as_array().expect("events"));
        events.filter_map(|event| event["type"].as_str()).collect()
    }

    /// Status and reason, which are those in the log, and the log ends there.
    pub(super) fn end(&self) -> (Value, &str) {
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

pub(super) struct Stage {
    pub(super) kernel: Kernel,
    pub(super) desk: Desk,
    _dir: tempfile::TempDir,
}

impl Stage {
    pub(super) async fn set<F, Fut>(script: F) -> Self
    where
        F: Fn(NativeCall, Value) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Value, Fault>> + Send + 'static,
    {
        Self::set_with(SILENCE_MS, script).await
    }

    pub(super) async fn set_with<F, Fut>(silence_ms: u64, script: F) -> Self
    where
        F: Fn(NativeCall, Value) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Value, Fault>> + Send + 'static,
    {
        let dir = tempfile::tempdir().expect("a directory");
        let kernel = booted(dir.path()).await;
        let script: Script = Arc::new(move |call, params| {
            let answered = script(call, params);
            Box::pin(async move { encode("what a test says", &answered.await?) })
        });
        let spec = EngineSpec { name: "toy".to_owned(), ready: true, reason: String::new() };
        let record = Record {
            planned: planned("toys", "contributes = { engines = [\"toy\"] }"),
            endpoint: Endpoint::native("toys", Arc::new(Scripted { script, silence_ms }), false),
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
    pub(super) async fn play(self, engine: &str, stop: bool) -> Played {
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

/// A call back to the kernel, as an engine makes it.
pub(super) async fn back(call: &NativeCall, verb: &str, body: Value) -> Result<Value, Fault> {
    let reply =
        call.child(&format!("engine_host.v1/{verb}"), shared(body.to_string().into_bytes()), 0).await?;
    Ok(serde_json::from_slice(&reply).expect("JSON"))
}

pub(super) async fn commit(call: &NativeCall, idx: u64, frames: u64, events: Value) -> Result<Value, Fault> {
    let body = json!({ "turn_id": "t", "commit_idx": idx, "frames_before": frames, "events": events });
    back(call, "commit", body).await
}

pub(super) async fn emit(call: &NativeCall, frame: Value) {
    call.emit(shared(frame.to_string().into_bytes())).await.expect("taken");
}

pub(super) fn delta() -> Value {
    json!({ "type": "text_delta", "data": { "step_id": "t#0", "text": "x" } })
}

pub(super) fn called() -> Value {
    json!({ "type": "tool_call", "data": { "step_id": "t#0", "tool_call_id": "a", "name": "shell", "args": {} } })
}

pub(super) fn consent() -> Value {
    json!({ "type": "approval_resolved", "data": { "step_id": "t#0", "tool_call_id": "a", "tool": "shell", "decision": "allow" } })
}

pub(super) fn ended() -> Value {
    json!({ "status": "completed", "reason": "stop" })
}

pub(super) fn end() -> Value {
    json!({ "type": "turn_ended", "data": ended() })
}
