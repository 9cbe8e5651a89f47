//! The doubles: a conversation log in memory, a kernel whose turns are scripts, and waits for what they see.

use crate::Orchestrator;
use dispatch_sdk::Fault;
use dispatch_sdk::contracts::event::TURN_ENDED;
use dispatch_sdk::contracts::kernel::KERNEL_INSTANCE;
use dispatch_sdk::contracts::turn;
use dispatch_sdk::contracts::turns::{Start, StartParams, StartReply};
use dispatch_testkit::{FakeHost, FakeOut, Opened};
use serde_json::{Value, json};
use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use tokio::sync::watch;

pub(super) const HOST_ID: &str = "host-here";
const WAIT_MAX: Duration = Duration::from_secs(10);

/// What the doubles know and saw.
#[derive(Default)]
pub(super) struct State {
    pub(super) conversations: HashMap<String, Value>,
    /// `{turn_id, host_id}` of the only conversation that a test opens turns in.
    pub(super) open: Option<Value>,
    /// Every event, live or appended, in the order of arrival.
    pub(super) log: Vec<Value>,
    pub(super) append_faults: VecDeque<Fault>,
    pub(super) live_faults: VecDeque<Fault>,
    pub(super) n_appends: usize,
    pub(super) n_seals: usize,
    /// Parameters of every begin, and of every append.
    pub(super) begun: Vec<Value>,
    pub(super) appends: Vec<Value>,
    pub(super) run_params: Vec<Value>,
    pub(super) stops: Vec<Value>,
    /// `{conversation_id, tool, by}`.
    pub(super) grants: Vec<Value>,
}

impl State {
    pub(super) fn kinds(&self) -> Vec<&str> {
        self.log.iter().filter_map(|event| event["type"].as_str()).collect()
    }

    pub(super) fn ends(&self) -> Vec<Value> {
        let ends = self.log.iter().filter(|event| event["type"] == TURN_ENDED);
        ends.map(|event| json!([event["data"]["status"], event["data"]["reason"]])).collect()
    }
}

#[derive(Clone)]
pub(super) struct World {
    pub(super) host: FakeHost,
    state: Arc<Mutex<State>>,
    changed: watch::Sender<u64>,
    opened: Arc<OnceLock<Opened>>,
}

impl World {
    pub(super) async fn new() -> Self {
        Self::over(FakeHost::new()).await
    }

    pub(super) async fn over(host: FakeHost) -> Self {
        Self::configured(host, json!({})).await
    }

    pub(super) async fn configured(host: FakeHost, config: Value) -> Self {
        let world =
            Self { host, state: Arc::default(), changed: watch::Sender::new(0), opened: Arc::default() };
        world.providers(json!([{ "name": "one", "ready": true }]));
        world.serve_conversations();
        world.host.on("kernel.v1/host", |_| Ok(json!({ "host_id": HOST_ID })));
        world.host.on("prompt.v1/system", |_| Ok(json!({ "text": "be brief" })));
        world.on("turn.v1/stop", |state, params| {
            state.stops.push(params);
            Ok(json!({ "stopping": true }))
        });
        world.turns(|turn, _| async move { turn.end("completed", "stop").await });
        world.host.grant_identity("orchestrator");
        let ext = world.host.open::<Orchestrator>("orchestrator", config).await.expect("it opens");
        assert!(world.opened.set(ext).is_ok(), "opened once");
        world
    }

    pub(super) fn ext(&self) -> &Opened {
        self.opened.get().expect("set when the world was made")
    }

    pub(super) fn providers(&self, providers: Value) {
        self.host
            .on("kernel.v1/providers", move |_| Ok(json!({ "host_id": HOST_ID, "providers": providers })));
    }

    /// What each `turn.v1/run` does from now on.
    pub(super) fn turns<F, Fut>(&self, script: F)
    where
        F: Fn(Script, FakeOut) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Value, Fault>> + Send + 'static,
    {
        let world = self.clone();
        self.host.on_stream("turn.v1/run", move |params, out| {
            let turn_id = params["turn_id"].as_str().expect("a turn has an id").to_owned();
            world.change(|state| state.run_params.push(params));
            script(Script { world: world.clone(), turn_id }, out)
        });
    }

    /// Answers `verb` from the state.
    pub(super) fn on<F>(&self, verb: &str, answer: F)
    where
        F: Fn(&mut State, Value) -> Result<Value, Fault> + Send + Sync + 'static,
    {
        let world = self.clone();
        self.host.on(verb, move |params| world.change(|state| answer(state, params)));
    }

    pub(super) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let changed = change(&mut self.state.lock().unwrap());
        self.changed.send_modify(|n| *n += 1);
        changed
    }

    /// Waits until the doubles have seen it.
    pub(super) async fn until(&self, seen: impl Fn(&State) -> bool) {
        let mut changes = self.changed.subscribe();
        let waited = tokio::time::timeout(WAIT_MAX, async {
            while !seen(&self.state.lock().unwrap()) {
                changes.changed().await.expect("the world holds the sender");
            }
        });
        if waited.await.is_err() {
            panic!("it did not come; the log is {:#?}", self.state.lock().unwrap().log);
        }
    }

    pub(super) async fn until_ended(&self) {
        self.until(|state| state.open.is_none() && !state.log.is_empty()).await;
    }

    pub(super) async fn start(&self, params: Value) -> Result<StartReply, Fault> {
        let params: StartParams = serde_json::from_value(params).expect("parameters of a start");
        self.ext().call(Start, &params).await
    }

    fn serve_conversations(&self) {
        self.on("conversations.v1/begin", begin);
        self.on("conversations.v1/append", |state, params| {
            state.n_appends += 1;
            state.appends.push(params.clone());
            if let Some(fault) = state.append_faults.pop_front() {
                return Err(fault);
            }
            if state.open.as_ref().is_none_or(|open| open["turn_id"] != params["turn_id"]) {
                return Err(Fault::new("conflict", "that turn is not open"));
            }
            state.log.extend(params["events"].as_array().cloned().unwrap_or_default());
            if params["end_turn"] == true {
                state.open = None;
            }
            Ok(json!({ "seq_last": state.log.len(), "durable": true }))
        });
        self.on("conversations.v1/live", |state, params| {
            if let Some(fault) = state.live_faults.pop_front() {
                return Err(fault);
            }
            state.log.extend(params["events"].as_array().cloned().unwrap_or_default());
            Ok(json!({}))
        });
        self.on("conversations.v1/seal", |state, params| {
            state.n_seals += 1;
            let sealed = state.open.take_if(|open| open["turn_id"] == params["turn_id"]).is_some();
            Ok(json!({ "sealed": sealed }))
        });
        self.on("conversations.v1/turn", |_, params| {
            Ok(json!({ "turn_id": params["turn_id"], "seq_first": 1, "seq_last": 2, "started_at": 5 }))
        });
        self.on("conversations.v1/request_stop", |state, params| {
            let Some(open) = state.open.as_mut().filter(|open| open["turn_id"] == params["turn_id"]) else {
                return Err(Fault::new("conflict", "it has ended"));
            };
            if open["stop"].is_null() {
                open["stop"] = json!({ "at": 7, "by": params["by"] });
            }
            Ok(json!({ "stop": open["stop"], "host_id": open["host_id"], "durable": true }))
        });
        self.on("conversations.v1/stop_wishes", |state, params| {
            let wished = |open: &&Value| open["host_id"] == params["host_id"] && !open["stop"].is_null();
            let shown =
                |open: &Value| json!({ "conversation_id": "c", "turn_id": open["turn_id"], "stop": open["stop"] });
            Ok(json!({ "wishes": state.open.iter().filter(wished).map(shown).collect::<Vec<_>>() }))
        });
        self.on("conversations.v1/grants", |state, params| {
            let of = |grant: &&Value| grant["conversation_id"] == params["conversation_id"];
            let shown = |grant: &Value| json!({ "tool": grant["tool"], "granted_at": 1 });
            let grants: Vec<Value> = state.grants.iter().filter(of).map(shown).collect();
            Ok(json!({ "grants": grants }))
        });
        self.on("conversations.v1/grant", |state, params| {
            state.grants.push(params);
            Ok(json!({}))
        });
        self.on("conversations.v1/messages", |_, _| Ok(json!({ "messages": [{ "role": "user" }] })));
        self.on("conversations.v1/get", |state, params| {
            let id = params["conversation_id"].as_str().unwrap_or_default();
            let missing = || Fault::new("not_found", format!("no conversation `{id}`"));
            let mut known = state.conversations.get(id).cloned().ok_or_else(missing)?;
            known["open_turn"] = state.open.clone().unwrap_or_default();
            Ok(known)
        });
    }
}

fn begin(state: &mut State, params: Value) -> Result<Value, Fault> {
    if let Some(open) = &state.open {
        return Err(Fault::new("turn_in_flight", "a turn is open").with_detail(open.clone()));
    }
    state.open = Some(json!({ "turn_id": params["turn_id"], "host_id": params["host_id"] }));
    let cursor = state.log.len();
    state.log.extend(params["events"].as_array().cloned().unwrap_or_default());
    let known = json!({
        "id": params["conversation_id"], "title": params["title"], "created_at": 5, "active_at": 6, "seq_last": 1,
        "cwd": params["cwd"], "provider": params["provider"], "model": params["model"],
        "engine": params["engine"].as_str().unwrap_or_default(),
    });
    state.begun.push(params.clone());
    state.conversations.insert(params["conversation_id"].as_str().unwrap_or_default().to_owned(), known);
    Ok(json!({ "cursor": cursor, "created_at": 5, "durable": true }))
}

/// The kernel's side of one turn.
pub(super) struct Script {
    pub(super) world: World,
    pub(super) turn_id: String,
}

impl Script {
    pub(super) async fn commit(&self, frames_before: u64, events: Value) -> Result<(), Fault> {
        self.offer(None, frames_before, events).await
    }

    /// Commits as the one with that number.
    pub(super) async fn offer(
        &self,
        commit_idx: Option<u64>,
        frames_before: u64,
        events: Value,
    ) -> Result<(), Fault> {
        let params = json!({
            "turn_id": self.turn_id, "commit_idx": commit_idx, "frames_before": frames_before, "events": events,
        });
        let params: turn::CommitParams = serde_json::from_value(params).expect("a commit");
        self.world.ext().as_caller(KERNEL_INSTANCE).call(turn::Commit, &params).await.map(drop)
    }

    /// Commits the first frames with these fields.
    pub(super) async fn offer_with(&self, mut fields: Value) -> Result<(), Fault> {
        fields["turn_id"] = json!(self.turn_id);
        fields["frames_before"] = json!(0);
        let params: turn::CommitParams = serde_json::from_value(fields).expect("a commit");
        self.world.ext().as_caller(KERNEL_INSTANCE).call(turn::Commit, &params).await.map(drop)
    }

    /// Commits the end and answers it.
    pub(super) async fn end(&self, status: &str, reason: &str) -> Result<Value, Fault> {
        let ended = json!({ "status": status, "reason": reason });
        self.commit(0, json!([{ "type": TURN_ENDED, "data": ended }])).await?;
        Ok(ended)
    }

    /// Waits until `turn.v1/stop` was called.
    pub(super) async fn stopped(&self) {
        self.world.until(|state| !state.stops.is_empty()).await;
    }
}

pub(super) fn text(text: &str) -> Value {
    json!({ "type": "text_delta", "data": { "step_id": "t#1", "text": text } })
}
