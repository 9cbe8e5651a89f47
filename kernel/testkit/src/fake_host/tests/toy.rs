//! An extension whose single verb does what its parameters say, and a second one that calls through.

use dispatch_contracts::{Limits, Mode};
use dispatch_sdk::contracts::{Empty, NoFrame};
use dispatch_sdk::fault::INVALID;
use dispatch_sdk::{Call, Config, Contributions, Extension, Fault, Host, Item, Meta, Verb, Verbs};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// What the verbs of [`Toy`] are asked for.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Ask {
    /// `echo`, `frames`, `until_cancelled`, `stubborn`, `panic`, `panic_poll`, `panic_drop`, `about`, `relay`, `tokio`.
    pub(super) act: String,
    pub(super) n: usize,
    pub(super) bytes: usize,
    pub(super) ms: u64,
    pub(super) verb: String,
    pub(super) body: Value,
}

pub(super) fn ask(act: &str) -> Ask {
    Ask { act: act.to_owned(), ..Ask::default() }
}

macro_rules! verb {
    ($type:ident, $name:literal, $mode:expr, $limits:expr) => {
        pub(super) struct $type;

        impl Verb for $type {
            type Params = Ask;
            type Reply = Value;
            type Frame = Value;
            const NAME: &'static str = $name;
            const MODE: Mode = $mode;
            const LIMITS: Limits = $limits;
        }
    };
}

verb!(Do, "toy.v1/do", Mode::Spawned, Limits::long(0));
verb!(DoInline, "toy.v1/do_inline", Mode::Inline, Limits::long(0));
verb!(DoBriefly, "toy.v1/do_briefly", Mode::Spawned, Limits::short(60));
verb!(CallBack, "toy_host.v1/call_back", Mode::Spawned, Limits::long(0));

pub(super) struct Unserved;

impl Verb for Unserved {
    type Params = Empty;
    type Reply = Empty;
    type Frame = NoFrame;
    const NAME: &'static str = "toy.v1/unserved";
    const MODE: Mode = Mode::Inline;
    const LIMITS: Limits = Limits::short(1_000);
}

pub(super) struct Toy {
    host: Host,
    instance: String,
    fail_start: bool,
}

impl Extension for Toy {
    fn open(host: Host, config: Config) -> Result<Self, Fault> {
        let instance = config.instance().to_owned();
        let config: Value = config.parse()?;
        match config["open"].as_str() {
            Some("fault") => Err(Fault::new(INVALID, "told to fail")),
            Some("panic") => panic!("told to panic in open"),
            _ => Ok(Self { host, instance, fail_start: config["open"] == "fail_start" }),
        }
    }

    fn verbs(verbs: &mut Verbs<Self>) {
        verbs.on(Do, Self::act);
        verbs.on(DoInline, Self::act);
        verbs.on(DoBriefly, Self::act);
        verbs.on(CallBack, Self::act);
    }

    async fn start(self: Arc<Self>) -> Result<Contributions, Fault> {
        if self.fail_start {
            return Err(Fault::new(INVALID, "told to fail in start"));
        }
        Ok(Contributions::default())
    }
}

struct PanicsInDrop;

impl Drop for PanicsInDrop {
    fn drop(&mut self) {
        panic!("told to panic in drop");
    }
}

impl Toy {
    // Not an `async fn`: a panic in here happens before there is a future.
    fn act(self: Arc<Self>, call: Call, ask: Ask) -> impl Future<Output = Result<Value, Fault>> + Send {
        assert!(ask.act != "panic", "told to panic");
        self.act_later(call, ask)
    }

    async fn act_later(self: Arc<Self>, call: Call, ask: Ask) -> Result<Value, Fault> {
        match ask.act.as_str() {
            "echo" => Ok(ask.body),
            "frames" => frames(&call, &ask).await,
            "until_cancelled" => {
                call.cancelled().await;
                Ok(json!({ "partial": ask.body }))
            }
            "stubborn" => {
                let _dropped = PublishesDrop(self.host.clone());
                std::future::pending().await
            }
            "panic_poll" => {
                self.host.sleep(Duration::from_millis(1)).await;
                panic!("told to panic in a later poll")
            }
            "panic_drop" => {
                let _bomb = PanicsInDrop;
                Ok(Value::Null)
            }
            "panic_late_drop" => {
                let _bomb = PanicsInDrop;
                std::future::pending().await
            }
            "about" => Ok(json!({
                "caller": call.caller(),
                "target": call.target(),
                "meta": call.meta(),
                "budget_ms": call.budget_ms(),
                "streamed": call.streamed(),
            })),
            "relay" => self.relay(&call, &ask).await,
            "relay_root" => raw(self.host.call_raw(&ask.verb, ask.body.to_string().into_bytes()).await),
            "relay_root_meta" => {
                let wishes =
                    Meta { actor: "user:chosen".into(), turn_id: Some("t".into()), ..Meta::default() };
                raw(self.host.with_meta(&wishes).call_raw(&ask.verb, ask.body.to_string().into_bytes()).await)
            }
            "relay_frames" => self.relay_frames(&call, &ask).await,
            "drop_stream" => {
                let mut stream = call.host().stream_raw(&ask.verb, ask.body.to_string().into_bytes());
                let first = stream.next().await?;
                drop(stream);
                Ok(json!({ "had_frame": matches!(first, Item::Frame(_)) }))
            }
            "publish" => {
                self.host.publish(&format!("{}.said", self.instance), &ask.body)?;
                Ok(json!({ "id": self.host.new_id(), "now_ms": self.host.now_ms() }))
            }
            "sleep" => {
                self.host.sleep(Duration::from_millis(ask.ms)).await;
                Ok(json!({ "now_ms": self.host.now_ms() }))
            }
            "tokio" => {
                tokio::time::sleep(Duration::from_millis(1)).await;
                Ok(Value::Null)
            }
            other => Err(Fault::new(INVALID, format!("no act `{other}`"))),
        }
    }

    async fn relay(&self, call: &Call, ask: &Ask) -> Result<Value, Fault> {
        let host = call.host().with_budget_ms(ask.ms);
        raw(host.call_raw(&ask.verb, ask.body.to_string().into_bytes()).await)
    }

    async fn relay_frames(&self, call: &Call, ask: &Ask) -> Result<Value, Fault> {
        let mut stream = call.host().stream_raw(&ask.verb, ask.body.to_string().into_bytes());
        loop {
            match stream.next().await? {
                Item::Frame(frame) => call.emit_raw(frame).await?,
                Item::End(reply) => return raw(Ok(reply)),
            }
        }
    }
}

fn raw(reply: Result<dispatch_sdk::SharedBytes, Fault>) -> Result<Value, Fault> {
    reply.map(|bytes| serde_json::from_slice(&bytes).expect("the toys answer JSON"))
}

/// Emits `n` frames of `bytes` bytes each, numbered.
async fn frames(call: &Call, ask: &Ask) -> Result<Value, Fault> {
    for i in 0..ask.n {
        call.emit(&json!({ "i": i, "pad": "x".repeat(ask.bytes) })).await?;
    }
    Ok(json!({ "emitted": ask.n }))
}

/// Tells the test, by a notification, that a future has been dropped.
struct PublishesDrop(Host);

impl Drop for PublishesDrop {
    fn drop(&mut self) {
        self.0.publish("toy.dropped", &Value::Null).expect("null encodes");
    }
}
