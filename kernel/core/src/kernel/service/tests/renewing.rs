//! What changes while a turn runs: whoever subscribed is told, and the next step has the tools of then.

use super::*;
use crate::router::Peer;
use dispatch_abi::abi_stable::sabi_trait::TD_Opaque;
use dispatch_abi::abi_stable::std_types::{RResult, RSlice, RStr};
use dispatch_abi::async_ffi::FutureExt as _;
use dispatch_abi::{CallCtx, Instance, Instance_TO, Reply, TopicItem};
use dispatch_contracts::filter::{self, ApplyReply};
use dispatch_contracts::kernel::CONTRIBUTIONS_TOPIC;
use dispatch_contracts::{provider, tool};

/// A provider, its tools and a filter in one: the first step calls `grow`, which adds a tool.
#[derive(Default)]
struct Grower {
    offered: Arc<Mutex<Vec<Value>>>,
    abouts: Arc<Mutex<Vec<Value>>>,
}

fn grown(tools: &[&str]) -> Value {
    let tool = |name: &&str| json!({ "name": name, "description": "", "input_schema": { "type": "object" }, "effect": "read" });
    let tools: Vec<Value> = tools.iter().map(tool).collect();
    json!({ "contributes": {
        "tools": tools,
        "providers": [{ "name": "p", "ready": true }],
        "filters": [{ "name": "f", "point": "turn.tools", "reads": "meta" }],
    } })
}

impl NativeService for Grower {
    fn verbs(&self) -> Vec<VerbInfo> {
        vec![
            info::<turn::Commit>(),
            info::<turn::Steering>(),
            info::<turn::Boundary>(),
            info::<provider::Stream>(),
            info::<tool::Run>(),
            info::<filter::Apply>(),
        ]
    }

    fn call(&self, call: NativeCall, body: SharedBytes) -> BoxFuture<'static, Result<SharedBytes, Fault>> {
        let (offered, abouts) = (Arc::clone(&self.offered), Arc::clone(&self.abouts));
        Box::pin(async move {
            let params: Value = serde_json::from_slice(&body).expect("JSON");
            let verb = call.verb().split('#').next().unwrap_or_default().to_owned();
            match verb.as_str() {
                provider::Stream::NAME => {
                    let tools = params["tools"].as_array().expect("a list");
                    let names = tools.iter().map(|tool| tool["name"].clone()).collect();
                    let first = {
                        let mut offered = offered.lock().expect("no panic");
                        offered.push(Value::Array(names));
                        offered.len() == 1
                    };
                    if first {
                        let frame = json!({ "type": "tool_call", "tool_call_id": "a", "name": "grow", "args_text": "" });
                        call.emit(shared(frame.to_string().into_bytes())).await?;
                    }
                    encode(&verb, &json!({ "finish": if first { "tool_calls" } else { "stop" } }))
                }
                tool::Run::NAME => {
                    let body = shared(grown(&["grow", "grown"]).to_string().into_bytes());
                    call.child(Update::NAME, body, 0).await?;
                    encode(&verb, &json!({ "content": "grown" }))
                }
                filter::Apply::NAME => {
                    abouts.lock().expect("no panic").push(params["about"].clone());
                    encode(&verb, &ApplyReply::default())
                }
                _ => encode(&verb, &json!({})),
            }
        })
    }
}

/// Hears topics.
struct Listener {
    heard: Arc<Mutex<Vec<String>>>,
}

impl Instance for Listener {
    fn start(&self) -> Reply<SharedBytes> {
        unreachable!("it is entered as started")
    }

    fn stop(&self) -> Reply<()> {
        std::future::ready(RResult::ROk(())).into_ffi()
    }

    fn call(&self, _verb: RStr<'_>, _ctx: CallCtx, _body: SharedBytes) -> Reply<SharedBytes> {
        unreachable!("nobody calls it")
    }

    fn cancel(&self, _call_id: u64) {}

    fn on_stream(&self, _stream_id: u64, _frames: RSlice<'_, SharedBytes>) {}

    fn on_topic(&self, items: RSlice<'_, TopicItem>) {
        self.heard.lock().expect("no panic").extend(items.iter().map(|item| item.topic.to_string()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tool_that_comes_while_a_turn_runs_is_offered_in_its_next_step() {
    let dir = tempfile::tempdir().expect("a directory");
    let kernel = booted(dir.path()).await;
    let grower = Grower::default();
    let (offered, abouts) = (Arc::clone(&grower.offered), Arc::clone(&grower.abouts));
    let party = Endpoint::native("grower", Arc::new(grower), true);
    let heard = Arc::<Mutex<Vec<String>>>::default();
    let ears = Endpoint::new("ears", None, false, 1);
    let listener = Listener { heard: Arc::clone(&heard) };
    ears.peer.set(Peer::Extension(Instance_TO::from_value(listener, TD_Opaque))).ok();
    let record = |planned, endpoint| Record {
        planned,
        endpoint,
        state: RecordState::Active,
        sha256: String::new(),
        contributes: Default::default(),
        left_out: Vec::new(),
        ops: Vec::new(),
    };
    let subscribes = format!("subscribes = [\"{CONTRIBUTIONS_TOPIC}\"]");
    kernel.shared.enter(record(planned("ears", &subscribes), Arc::new(ears)));
    let declared = "contributes = { tools = [\"grow\", \"grow*\"], providers = [\"p\"], filters = [\"f\"] }";
    kernel.shared.enter(record(planned("grower", declared), Arc::clone(&party)));
    call(&kernel, &party, Update::NAME, grown(&["grow"])).await.expect("it contributes");
    heard.lock().expect("no panic").clear();

    let run = json!({ "conversation_id": "c", "turn_id": "t", "provider": "p", "model": "m", "cwd": "/w",
        "computer": "vm-1", "messages": [] });
    let ended = call(&kernel, &party, turn::Run::NAME, run).await.expect("an end");
    assert_eq!((&ended["status"], &ended["reason"]), (&json!("completed"), &json!("stop")), "{ended}");
    assert_eq!(*offered.lock().expect("no panic"), [json!(["grow"]), json!(["grow", "grown"])]);
    assert_eq!(*heard.lock().expect("no panic"), [CONTRIBUTIONS_TOPIC], "once for the one update");
    let about = |step_id: &str| {
        json!({ "conversation_id": "c", "turn_id": "t", "step_id": step_id, "provider": "p",
        "model": "m", "cwd": "/w", "computer": "vm-1" })
    };
    assert_eq!(*abouts.lock().expect("no panic"), [about("t#0"), about("t#1")]);
    kernel.stop().await;
}
