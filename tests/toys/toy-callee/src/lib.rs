//! A toy that answers, streams, hangs and panics on request; for tests of the waist over real dlopen.
#![forbid(unsafe_code)]

mod verbs;

use dispatch_sdk::Contributions;
use dispatch_sdk::contracts::instance::{Check, CheckReply, CheckResult, CheckStatus};
use dispatch_sdk::contracts::tool::{Effect, ToolSpec};
use dispatch_sdk::contracts::verb::Empty;
use dispatch_sdk::{Call, Config, Extension, Fault, Host, Topic, Verbs};
use serde_json::{Value, json};
use std::io::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use verbs::{
    Abort, Block, Bounce, DriverBounce, Echo, Flood, Hang, InlineEmit, Panic, Partial, Seen, Silent,
};

dispatch_sdk::export!(Callee);

/// How the build wants it to fail.
#[derive(Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Asked {
    fail: String,
    /// How it answers when it is to check itself.
    check: String,
    /// Whether it tells on standard error that it is being started, and that it is being stopped.
    tells: bool,
}

struct Callee {
    fail: String,
    check: String,
    tells: bool,
    instance: String,
    /// Futures of `hang` that were dropped without having ended.
    dropped: Arc<AtomicU64>,
    emitted: AtomicU64,
    topics: Mutex<Vec<Value>>,
    topic_gate: tokio::sync::Semaphore,
}

/// Counts when it is dropped.
struct Counted(Arc<AtomicU64>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("in drop");
    }
}

impl Extension for Callee {
    fn open(_host: Host, config: Config) -> Result<Self, Fault> {
        let Asked { fail, check, tells } = config.parse()?;
        match fail.as_str() {
            "open" => return Err(Fault::new("no_luck", "it was asked to fail in `open`")),
            "panic in open" => panic!("it was asked to panic in `open`"),
            "block in open" => block(),
            _ => {}
        }
        Ok(Self {
            fail,
            check,
            tells,
            instance: config.instance().to_owned(),
            dropped: Arc::default(),
            emitted: AtomicU64::new(0),
            topics: Mutex::default(),
            topic_gate: tokio::sync::Semaphore::new(0),
        })
    }

    fn verbs(verbs: &mut Verbs<Self>) {
        verbs.on(Echo, Self::echo);
        verbs.on(Flood, Self::flood);
        verbs.on(Partial, Self::partial);
        verbs.on(Hang, Self::hang);
        verbs.on(Panic, Self::panic);
        verbs.on(InlineEmit, Self::inline_emit);
        verbs.on(Block, Self::block);
        verbs.on(Bounce, Self::bounce);
        verbs.on(Seen, Self::seen);
        verbs.on(Silent, Self::silent);
        verbs.on(Abort, Self::abort);
        verbs.on(Check, Self::check);
    }

    async fn start(self: Arc<Self>) -> Result<Contributions, Fault> {
        let tool = |name: &str| ToolSpec::new(name, "A toy.", Effect::Read, json!({ "type": "object" }));
        self.tell("is being started");
        match self.fail.as_str() {
            "start" => Err(Fault::new("no_luck", "it was asked to fail in `start`")),
            "panic in start" => panic!("it was asked to panic in `start`"),
            "block in start" => {
                block();
                Ok(Contributions::default())
            }
            "slow in start" => {
                std::thread::sleep(SLOW);
                Ok(Contributions::default())
            }
            "undeclared" => Ok(Contributions { tools: vec![tool("surprise")], ..Contributions::default() }),
            _ => Ok(Contributions::default()),
        }
    }

    async fn stop(self: Arc<Self>) -> Result<(), Fault> {
        self.tell("is being stopped");
        Ok(())
    }

    async fn on_topic(self: Arc<Self>, topic: Topic) {
        // Held until the test asks what was seen, so that the queue before it overflows.
        if let Ok(permit) = self.topic_gate.acquire().await {
            permit.forget();
        }
        let data: Value = serde_json::from_slice(&topic.data).unwrap_or_default();
        let row = json!({ "data": data, "missed": topic.missed });
        self.topics.lock().unwrap_or_else(PoisonError::into_inner).push(row);
    }
}

/// How long a slow start takes: long enough to be told to end in it, and within what the host then waits.
const SLOW: std::time::Duration = std::time::Duration::from_secs(3);

/// Blocks the thread for longer than anybody waits.
fn block() {
    std::thread::sleep(std::time::Duration::from_secs(3600));
}

impl Callee {
    fn tell(&self, what: &str) {
        if self.tells {
            // Nobody may be left to read it.
            let _ = writeln!(std::io::stderr(), "toy `{}` {what}", self.instance);
        }
    }

    async fn echo(self: Arc<Self>, call: Call, params: Value) -> Result<Value, Fault> {
        let meta = call.meta();
        Ok(json!({
            "params": params,
            "caller": call.caller(),
            "instance": self.instance,
            "actor": meta.actor,
            "conversation_id": meta.conversation_id,
        }))
    }

    async fn check(self: Arc<Self>, _call: Call, _params: Empty) -> Result<CheckReply, Fault> {
        let status = match self.check.as_str() {
            "fault" => return Err(Fault::new("no_luck", "it was asked to fail in `check`")),
            "panic" => panic!("it was asked to panic in `check`"),
            "hang" => std::future::pending().await,
            "fail" => CheckStatus::Fail,
            _ => CheckStatus::Ok,
        };
        let (summary, recovery) = ("what it was asked for".to_owned(), "ask for something else".to_owned());
        Ok(CheckReply { checks: vec![CheckResult { name: "toy".to_owned(), status, summary, recovery }] })
    }

    async fn flood(self: Arc<Self>, call: Call, params: Value) -> Result<Value, Fault> {
        let frames = params["frames"].as_u64().unwrap_or(0);
        let filler = "x".repeat(usize::try_from(params["bytes"].as_u64().unwrap_or(0)).unwrap_or(0));
        for n in 0..frames {
            call.emit(&json!({ "n": n, "filler": filler })).await?;
            self.emitted.fetch_add(1, Ordering::SeqCst);
        }
        Ok(json!({ "frames": frames }))
    }

    async fn partial(self: Arc<Self>, call: Call, _params: Value) -> Result<Value, Fault> {
        call.emit(&json!("first")).await?;
        call.cancelled().await;
        Ok(json!({ "partial": true }))
    }

    async fn hang(self: Arc<Self>, call: Call, _params: Value) -> Result<Value, Fault> {
        let _counted = Counted(Arc::clone(&self.dropped));
        call.emit(&json!("hanging")).await?;
        std::future::pending().await
    }

    async fn abort(self: Arc<Self>, _call: Call, params: Value) -> Result<Value, Fault> {
        if params["exit"] == true {
            std::process::exit(3);
        }
        std::process::abort()
    }

    /// Shows one frame and then nothing.
    async fn silent(self: Arc<Self>, call: Call, _params: Value) -> Result<Value, Fault> {
        call.emit(&json!("one")).await?;
        std::future::pending().await
    }

    async fn panic(self: Arc<Self>, call: Call, params: Value) -> Result<Value, Fault> {
        match params["place"].as_str() {
            Some("drop") => {
                let _bomb = Bomb;
                call.emit(&json!("armed")).await?;
                std::future::pending().await
            }
            Some("end") => {
                let _bomb = Bomb;
                Ok(json!({}))
            }
            _ => {
                tokio::task::yield_now().await;
                panic!("in poll")
            }
        }
    }

    async fn inline_emit(self: Arc<Self>, call: Call, _params: Value) -> Result<Value, Fault> {
        match call.emit(&json!("no")).await {
            Ok(()) => Ok(json!({ "taken": true })),
            Err(fault) => Ok(json!({ "taken": false, "code": fault.code })),
        }
    }

    async fn block(self: Arc<Self>, _call: Call, params: Value) -> Result<Value, Fault> {
        // On purpose: an author who blocks the thread of a spawned verb.
        std::thread::sleep(std::time::Duration::from_millis(params["block_ms"].as_u64().unwrap_or(0)));
        Ok(json!({ "blocked": true }))
    }

    async fn bounce(self: Arc<Self>, call: Call, params: Value) -> Result<Value, Fault> {
        let left = params["left"].as_u64().unwrap_or(0);
        if left == 0 {
            return Ok(json!({ "bottom": true }));
        }
        call.host().call(DriverBounce, &json!({ "left": left - 1 })).await
    }

    async fn seen(self: Arc<Self>, _call: Call, params: Value) -> Result<Value, Fault> {
        if let Some(permits) = params["let_topics"].as_u64() {
            self.topic_gate.add_permits(usize::try_from(permits).unwrap_or(0));
        }
        Ok(json!({
            "dropped": self.dropped.load(Ordering::SeqCst),
            "emitted": self.emitted.load(Ordering::SeqCst),
            "topics": *self.topics.lock().unwrap_or_else(PoisonError::into_inner),
        }))
    }
}
