//! The same scripts on the router and on `FakeHost`: what an extension is tested with must be what it meets.
//!
//! Both are seen through the SDK, by a player that calls and a worker that answers.

use super::super::{Endpoint, NativeWishes, Peer};
use super::world::{World, extension, world};
use dispatch_abi::BODY_BYTES_MAX;
use dispatch_abi::abi_stable::std_types::RResult;
use dispatch_contracts::kernel::{Dirs, OpenParams, Started};
use dispatch_contracts::{Limits, Mode};
use dispatch_sdk::{Call, Config, Contributions, Extension, Fault, Host, Meta, SharedBytes, Verb, Verbs};
use dispatch_testkit::FakeHost;
use dispatch_wire::shared;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

macro_rules! verb {
    ($type:ident, $name:literal, $limits:expr) => {
        struct $type;

        impl Verb for $type {
            type Params = Value;
            type Reply = Value;
            type Frame = Value;
            const NAME: &'static str = $name;
            const MODE: Mode = Mode::Spawned;
            const LIMITS: Limits = $limits;
        }
    };
}

const SILENCE_MS: u64 = 150;

verb!(Play, "script.v1/play", Limits::long(0));
verb!(Answer, "script_host.v1/answer", Limits::short(10_000));
verb!(Hold, "work.v1/hold", Limits::short(10_000));
verb!(Echo, "work.v1/echo", Limits::short(10_000));
verb!(Silent, "work.v1/silent", Limits::long(SILENCE_MS));
verb!(Nesting, "work.v1/nesting", Limits::long(SILENCE_MS));
verb!(AskBack, "work.v1/ask_back", Limits::long(0));
verb!(Long, "work.v1/long", Limits::long(0));
verb!(Deaf, "work.v1/deaf", Limits::long(SILENCE_MS));
verb!(Chain, "work.v1/chain", Limits::short(10_000));
verb!(Whom, "work.v1/whom", Limits::short(10_000));

/// Plays one script; has one slot.
struct Player {
    host: Host,
}

impl Extension for Player {
    fn open(host: Host, _config: Config) -> Result<Self, Fault> {
        Ok(Self { host })
    }

    fn verbs(verbs: &mut Verbs<Self>) {
        verbs.on(Play, Self::play);
        verbs.on(Answer, |_, _, params| std::future::ready(Ok(params)));
    }
}

/// Has two slots.
struct Worker;

impl Extension for Worker {
    fn open(_host: Host, _config: Config) -> Result<Self, Fault> {
        Ok(Self)
    }

    fn verbs(verbs: &mut Verbs<Self>) {
        verbs.on(Hold, Self::until_cancelled);
        verbs.on(Long, Self::until_cancelled);
        verbs.on(Silent, Self::until_cancelled);
        verbs.on(Echo, Self::echo);
        verbs.on(Nesting, Self::nesting);
        verbs.on(AskBack, Self::ask_back);
        verbs.on(Deaf, |_, _, _| std::future::pending());
        verbs.on(Chain, Self::chain);
        verbs.on(Whom, Self::whom);
    }

    async fn start(self: Arc<Self>) -> Result<Contributions, Fault> {
        Ok(Contributions::default())
    }
}

impl Worker {
    async fn until_cancelled(self: Arc<Self>, call: Call, _params: Value) -> Result<Value, Fault> {
        call.cancelled().await;
        Ok(json!("told"))
    }

    async fn echo(self: Arc<Self>, _call: Call, params: Value) -> Result<Value, Fault> {
        Ok(match params["bytes"].as_u64() {
            Some(bytes) => json!("x".repeat(usize::try_from(bytes).unwrap())),
            None => params,
        })
    }

    /// Whom it is for, and whom a call made out of it is for.
    async fn whom(self: Arc<Self>, call: Call, params: Value) -> Result<Value, Fault> {
        if params == json!("inner") {
            return Ok(json!(call.meta()));
        }
        // Wishes of a call that has a parent are not looked at.
        let inner = call.host().call(Whom, &json!("inner")).await?;
        Ok(json!([call.meta(), inner]))
    }

    /// Several times its limit of silence, all of it in a nested call.
    async fn nesting(self: Arc<Self>, call: Call, _params: Value) -> Result<Value, Fault> {
        let host = call.host().with_budget_ms(SILENCE_MS * 3);
        host.call(Hold, &json!({})).await
    }

    /// So many calls of itself, one out of the other.
    async fn chain(self: Arc<Self>, call: Call, params: Value) -> Result<Value, Fault> {
        match params.as_u64().unwrap() {
            0 => Ok(json!("end")),
            n => call.host().call(Chain, &json!(n - 1)).await,
        }
    }

    /// Makes one call more than there may be; each of the callers is answered.
    async fn ask_back(self: Arc<Self>, call: Call, params: Value) -> Result<Value, Fault> {
        let mut asking = Vec::new();
        for n in 0..params["n"].as_u64().unwrap() {
            let host = call.host();
            asking.push(tokio::spawn(async move { host.call(Answer, &json!(n)).await }));
        }
        let mut answered = 0;
        for asked in asking {
            answered += u64::from(asked.await.unwrap().is_ok());
        }
        Ok(json!({ "answered": answered }))
    }
}

/// What a call came to, short enough to compare: an answer, or code and message.
fn shown(result: Result<SharedBytes, Fault>) -> Value {
    match result {
        Ok(bytes) if bytes.len() > 1000 => json!(bytes.len()),
        Ok(bytes) => serde_json::from_slice(&bytes).unwrap(),
        Err(fault) => json!([fault.code, fault.message]),
    }
}

impl Player {
    async fn play(self: Arc<Self>, call: Call, script: Value) -> Result<Value, Fault> {
        let raw = |verb: &str, body: &str| {
            let (host, verb, body) = (call.host(), verb.to_owned(), body.as_bytes().to_vec());
            async move { shown(host.call_raw(&verb, body).await) }
        };
        Ok(match script.as_str().unwrap() {
            "unlisted" => raw("other.v1/x", "{}").await,
            "slots" => {
                let held = [Hold, Hold].map(|hold| self.host.stream(hold, &json!({})));
                let refused = raw(Echo::NAME, "1").await;
                let long = self.host.stream(Long, &json!({}));
                drop((held, long));
                let mut then = raw(Echo::NAME, "2").await;
                while then.is_array() {
                    self.host.sleep(Duration::from_millis(5)).await;
                    then = raw(Echo::NAME, "2").await;
                }
                json!({ "refused": refused, "then": then })
            }
            "silent" => {
                let told = raw(Silent::NAME, "{}").await;
                json!({ "silent": told, "nesting": raw(Nesting::NAME, "{}").await })
            }
            "deaf" => raw(Deaf::NAME, "{}").await,
            // More calls than the worker has slots, then more than a chain may have.
            "chain" => json!([raw(Chain::NAME, "5").await, raw(Chain::NAME, "20").await]),
            "whom" | "whom, with identity" => {
                let some = |word: &str| Some(word.to_owned());
                let wishes = Meta {
                    actor: "user:ann".to_owned(),
                    tenant: some("acme"),
                    user: some("ann"),
                    device: some("phone"),
                    computer: some("exec-ssh"),
                    conversation_id: some("c"),
                    turn_id: some("t"),
                    trace: some("00-1"),
                };
                let told = shown(self.host.with_meta(&wishes).call_raw(Whom::NAME, b"{}".to_vec()).await);
                let long = Meta { trace: Some("x".repeat(5000)), ..Meta::default() };
                let refused = self.host.with_meta(&long).call_raw(Whom::NAME, b"{}".to_vec()).await;
                json!({ "told": told, "refused": shown(refused)[0] })
            }
            "back" => raw(AskBack::NAME, r#"{"n":20}"#).await,
            "sizes" => {
                let large = format!("\"{}\"", "x".repeat(BODY_BYTES_MAX - 1));
                let reply = format!(r#"{{"bytes":{BODY_BYTES_MAX}}}"#);
                json!([raw(Echo::NAME, &large).await, raw(Echo::NAME, &reply).await])
            }
            other => panic!("no script `{other}`"),
        })
    }
}

const SCRIPTS: [&str; 9] =
    ["unlisted", "slots", "silent", "deaf", "chain", "back", "sizes", "whom", "whom, with identity"];
/// What the scripts end with whose player holds the capability.
const WITH_IDENTITY: &str = "with identity";
const PLAYER_REQUIRES: [&str; 1] = ["work.v1"];

async fn on_the_fake_host(script: &str) -> Value {
    let host = FakeHost::new();
    host.set_requires("player", &PLAYER_REQUIRES);
    host.set_calls_in_flight_max("player", 1);
    host.set_calls_in_flight_max("worker", 2);
    host.set_requires("worker", &PLAYER_REQUIRES);
    if script.ends_with(WITH_IDENTITY) {
        host.grant_identity("player");
    }
    host.open::<Worker>("worker", json!({})).await.unwrap();
    let player = host.open::<Player>("player", json!({})).await.unwrap();
    player.call(Play, &json!(script)).await.unwrap()
}

/// Opens `E` behind the boundary, as a library would be.
async fn open<E: Extension>(world: &World, endpoint: &Arc<Endpoint>) {
    let params = OpenParams {
        instance: endpoint.id.clone(),
        config: json!({}),
        dirs: Dirs::default(),
        workers: 1,
        topic_queue_max: 16,
    };
    let params = serde_json::to_vec(&params).unwrap();
    let opened = dispatch_sdk::__private::open::<E>(world.router.host_for(endpoint), params.into());
    let RResult::ROk(instance) = opened else { panic!("it does not open") };
    let RResult::ROk(started) = instance.start().await else { panic!("it does not start") };
    let started: Started = serde_json::from_slice(&started).unwrap();
    endpoint.set_verbs(started.verbs);
    assert!(endpoint.peer.set(Peer::Extension(instance)).is_ok());
}

async fn on_the_router(script: &str) -> Value {
    let world = world(1);
    let party = |id: &str, requires: &[&str], slots| {
        let requires = requires.iter().map(|contract| (*contract).to_owned()).collect();
        let mut party = extension(id, slots);
        party.may_call = Some(requires);
        party.identity = id == "player" && script.ends_with(WITH_IDENTITY);
        party.manifest_hint = format!("the extension.toml of `{id}`");
        Arc::new(party)
    };
    let (player, worker) = (party("player", &PLAYER_REQUIRES, 1), party("worker", &["work.v1"], 2));
    open::<Worker>(&world, &worker).await;
    open::<Player>(&world, &player).await;
    world.serve("script.v1", &player);
    world.serve("work.v1", &worker);
    let test = Endpoint::new("test", None, true, 8);
    let body = shared(json!(script).to_string().into_bytes());
    let wishes = NativeWishes::default();
    let played = world.router.native_call(&Arc::new(test), None, Play::NAME, body, wishes).await.unwrap();
    serde_json::from_slice(&played).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_extension_meets_the_same_rules_on_the_fake_host_as_on_the_router() {
    let about = json!({ "conversation_id": "c", "turn_id": "t", "trace": "00-1" });
    let whom = json!({
        "actor": "user:ann", "tenant": "acme", "user": "ann", "device": "phone", "computer": "exec-ssh",
        "conversation_id": "c", "turn_id": "t", "trace": "00-1",
    });
    let expected = json!({
        "unlisted": ["not_required", "`player` called `other.v1/x`, which its manifest does not require; add `other.v1` to `requires` in the extension.toml of `player`"],
        "slots": {
            "refused": ["overloaded", "`work.v1/echo` was refused: `worker` has 2 calls in flight already; try again later"],
            "then": 2,
        },
        "silent": { "silent": "told", "nesting": "told" },
        "deaf": ["deadline", "`worker` showed no sign of life in `work.v1/deaf` for 150 ms"],
        "chain": ["end", ["too_deep", "`work.v1/chain` would be call 17 of a chain; at most 16"]],
        "back": { "answered": 20 },
        "whom": { "told": [about, about], "refused": "invalid" },
        "whom, with identity": { "told": [whom, whom], "refused": "invalid" },
        "sizes": [
            ["too_large", "`player` called `work.v1/echo` with 16777217 bytes; a body has at most 16777216: send what is larger as a blob, or in parts"],
            ["too_large", "`worker` answered `work.v1/echo` with 16777218 bytes; a reply has at most 16777216: what is larger goes as a blob, or in frames"],
        ],
    });
    for script in SCRIPTS {
        assert_eq!(on_the_router(script).await, expected[script], "the router: {script}");
        assert_eq!(on_the_fake_host(script).await, expected[script], "the fake host: {script}");
    }
}
