//! The suite of engines on the kernel's own loop.

use super::{booted, planned};
use crate::kernel::service::*;
use crate::kernel::{Kernel, Record, RecordState};
use crate::router::{NativeWishes, StreamItem};
use dispatch_contracts::Contributions;
use dispatch_contracts::event::EventBody;
use dispatch_contracts::provider::{self, ProviderSpec};
use dispatch_testkit::engine_suite::{self, Desk, Inputs, Running as Run, Runs};
use dispatch_wire::shared;
use serde_json::{Value, json};

/// Says one thing to whatever it is asked, and nothing more to `wait`.
struct Model;

impl NativeService for Model {
    fn verbs(&self) -> Vec<VerbInfo> {
        vec![info::<provider::Stream>()]
    }

    fn call(&self, call: NativeCall, body: SharedBytes) -> BoxFuture<'static, Result<SharedBytes, Fault>> {
        Box::pin(async move {
            let asked: Value = serde_json::from_slice(&body).expect("JSON");
            call.emit(shared(br#"{"type":"text_delta","text":"well"}"#.to_vec())).await?;
            let last = asked["messages"].as_array().and_then(|messages| messages.last()).expect("an input");
            if last["parts"][0]["text"] == "wait" {
                call.cancelled().await;
            }
            encode(
                "what a test says",
                &json!({ "finish": "stop", "usage": { "input_tokens": 1, "output_tokens": 1 } }),
            )
        })
    }
}

struct Caller(Arc<Desk>);

impl NativeService for Caller {
    fn verbs(&self) -> Vec<VerbInfo> {
        vec![info::<turn::Commit>(), info::<turn::Steering>(), info::<turn::Boundary>()]
    }

    fn call(&self, call: NativeCall, body: SharedBytes) -> BoxFuture<'static, Result<SharedBytes, Fault>> {
        let desk = Arc::clone(&self.0);
        Box::pin(async move {
            let (_, word) = call.verb().split_once('/').expect("a verb has a contract");
            encode("what a test says", &desk.answer(word, serde_json::from_slice(&body).expect("JSON"))?)
        })
    }
}

struct Native(Kernel);

impl Runs for Native {
    fn run<'a>(&'a self, mut params: turn::RunParams, desk: &'a Arc<Desk>) -> Run<'a> {
        "model".clone_into(&mut params.provider);
        Box::pin(async move {
            let party = Endpoint::native("desk", Arc::new(Caller(Arc::clone(desk))), true);
            let router = &self.0.shared.router;
            let body = encode("what a test says", &params)?;
            let wishes = NativeWishes::default();
            let mut stream = router.native_stream(&party, None, turn::Run::NAME, body, wishes)?;
            let mut stopped = false;
            loop {
                let next = tokio::select! {
                    next = stream.next() => next?,
                    () = desk.stop_wished(), if !stopped => {
                        stopped = true;
                        let told = encode("what a test says", &turn::StopParams { turn_id: params.turn_id.clone(), interrupted: false })?;
                        router.native_call(&party, None, turn::Stop::NAME, told, NativeWishes::default()).await?;
                        continue;
                    }
                };
                match next {
                    StreamItem::Frame(frame) => {
                        let frame: EventBody = serde_json::from_slice(&frame).expect("an event");
                        desk.frame(&frame.kind);
                    }
                    StreamItem::End(ended) => return Ok(serde_json::from_slice(&ended).expect("an end")),
                }
            }
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_kernels_own_loop_passes_the_suite_of_engines() {
    let dir = tempfile::tempdir().expect("a directory");
    let kernel = booted(dir.path()).await;
    let spec: ProviderSpec =
        serde_json::from_value(json!({ "name": "model", "ready": true })).expect("a spec");
    let record = Record {
        planned: planned("models", "contributes = { providers = [\"model\"] }"),
        endpoint: Endpoint::native("models", Arc::new(Model), false),
        state: RecordState::Active,
        sha256: String::new(),
        contributes: Contributions { providers: vec![spec], ..Contributions::default() },
        left_out: Vec::new(),
        ops: Vec::new(),
    };
    kernel.shared.enter(record);
    let native = Native(kernel);
    engine_suite::run(&native, Inputs { quick: "hello", long: "wait" }).await;
    native.0.stop().await;
}
