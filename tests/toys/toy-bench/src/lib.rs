//! A toy that answers, streams and provides as fast as it can; for the benches of the waist over real dlopen.
//!
//! Its verbs are of `instance.v1`, so that each instance of it can be called by its id.
#![forbid(unsafe_code)]

mod verbs;

use dispatch_sdk::Contributions;
use dispatch_sdk::contracts::provider::{
    Finish, ProviderSpec, Stream, StreamFrame, StreamParams, StreamReply,
};
use dispatch_sdk::{Call, Config, Extension, Fault, Host, Item, Verbs};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use verbs::{EchoInline, EchoSpawned, Flood, Relay, RelayCalls};

dispatch_sdk::export!(Bench);

struct Bench {
    host: Host,
    instance: String,
}

impl Extension for Bench {
    fn open(host: Host, config: Config) -> Result<Self, Fault> {
        Ok(Self { host, instance: config.instance().to_owned() })
    }

    fn verbs(verbs: &mut Verbs<Self>) {
        verbs.on(EchoInline, Self::echo);
        verbs.on(EchoSpawned, Self::echo);
        verbs.on(Flood, Self::flood);
        verbs.on(Relay, Self::relay);
        verbs.on(RelayCalls, Self::relay_calls);
        verbs.on(Stream, Self::stream);
    }

    async fn start(self: Arc<Self>) -> Result<Contributions, Fault> {
        let spec = ProviderSpec {
            name: self.instance.clone(),
            ready: true,
            reason: String::new(),
            default_model: "text-2".to_owned(),
            selectable: false,
            images: false,
        };
        Ok(Contributions { providers: vec![spec], ..Contributions::default() })
    }
}

impl Bench {
    async fn echo(self: Arc<Self>, _call: Call, params: Value) -> Result<Value, Fault> {
        Ok(params)
    }

    /// Emits `{"n", "at"}` so many times, every `gap_ms`; answers how long each `emit` took, in ns.
    async fn flood(self: Arc<Self>, call: Call, params: Value) -> Result<Value, Fault> {
        let frames = params["frames"].as_u64().unwrap_or(0);
        let gap = Duration::from_millis(params["gap_ms"].as_u64().unwrap_or(0));
        let mut emit_ns = Vec::new();
        for n in 0..frames {
            if !gap.is_zero() {
                tokio::time::sleep(gap).await;
            }
            let began = Instant::now();
            call.emit(&json!({ "n": n, "at": now_ns() })).await?;
            emit_ns.push(began.elapsed().as_nanos() as u64);
        }
        Ok(json!({ "emit_ns": emit_ns }))
    }

    /// Reads the flood of another instance; answers how long each frame was on its way, and the reply.
    async fn relay(self: Arc<Self>, call: Call, params: Value) -> Result<Value, Fault> {
        let target = params["target"].as_str().unwrap_or_default();
        let mut stream = call.host().stream_named(Flood, target, &params);
        let mut way_ns = Vec::new();
        loop {
            match stream.next().await? {
                Item::Frame(frame) => {
                    way_ns.push(now_ns().saturating_sub(frame["at"].as_u64().unwrap_or(0)));
                }
                Item::End(reply) => return Ok(json!({ "way_ns": way_ns, "reply": reply })),
            }
        }
    }

    /// Calls another instance's echo, with pauses; answers how long each call took, in ns.
    async fn relay_calls(self: Arc<Self>, _call: Call, params: Value) -> Result<Value, Fault> {
        let target = params["target"].as_str().unwrap_or_default();
        let calls = params["calls"].as_u64().unwrap_or(0);
        let spawned = params["spawned"] == true;
        let gap = Duration::from_millis(params["gap_ms"].as_u64().unwrap_or(1));
        let body = json!({});
        let mut call_ns = Vec::new();
        for _ in 0..calls {
            tokio::time::sleep(gap).await;
            let began = Instant::now();
            if spawned {
                self.host.call_named(EchoSpawned, target, &body).await?;
            } else {
                self.host.call_named(EchoInline, target, &body).await?;
            }
            call_ns.push(began.elapsed().as_nanos() as u64);
        }
        Ok(json!({ "call_ns": call_ns }))
    }

    /// The model `text-<bytes>` answers so many bytes in one delta, after as many messages as it was sent.
    async fn stream(self: Arc<Self>, call: Call, params: StreamParams) -> Result<StreamReply, Fault> {
        let bytes = params.model.strip_prefix("text-").and_then(|bytes| bytes.parse().ok()).unwrap_or(2);
        call.emit(&StreamFrame::TextDelta { text: "words ".repeat(bytes / 6 + 1) }).await?;
        Ok(StreamReply { finish: Finish::Stop, usage: None, model: params.model })
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a frame is timed from one library to another: both read one clock"
)]
fn now_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}
