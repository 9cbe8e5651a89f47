//! The kernel's own verbs through its router, without a library: a native party runs turns and takes their commits.

mod engines;
mod listening;
mod suite;

use super::*;
use crate::clock::SystemClock;
use crate::router::{NativeWishes, StreamItem};
use crate::{BootOptions, Kernel, TrustNothing};
use dispatch_compose::{Manifest, Plan, PlannedInstance, Policy};
use dispatch_contracts::event::TurnEnded;
use dispatch_contracts::kernel::{Dirs, HealthState, Wait, WaitOn};
use dispatch_contracts::tool::Decision;
use dispatch_turn::ToolPolicy;
use dispatch_wire::shared;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Mutex;

/// Asks in each commit what the turn waits for.
#[derive(Default)]
struct Asker {
    heard: Arc<Mutex<Vec<ExplainReply>>>,
}

impl NativeService for Asker {
    fn verbs(&self) -> Vec<VerbInfo> {
        vec![info::<turn::Commit>()]
    }

    fn call(&self, call: NativeCall, body: SharedBytes) -> BoxFuture<'static, Result<SharedBytes, Fault>> {
        let heard = Arc::clone(&self.heard);
        Box::pin(async move {
            let commit: Value = serde_json::from_slice(&body).expect("a commit");
            let asked = serde_json::to_vec(&json!({ "turn_id": commit["turn_id"] })).expect("JSON");
            let reply = call.child(Explain::NAME, shared(asked), 0).await?;
            heard.lock().expect("no panic").push(serde_json::from_slice(&reply).expect("an explanation"));
            encode(turn::Commit::NAME, &Empty {})
        })
    }
}

async fn booted(state: &Path) -> Kernel {
    let dir = || state.to_str().expect("UTF-8").to_owned();
    let dirs = Dirs { state: dir(), cache: dir(), ..Dirs::default() };
    let policy = ToolPolicy { read: Decision::Allow, write: Decision::Deny, exec: Decision::Ask };
    let runtime = tokio::runtime::Handle::current();
    let (clock, trust) = (Arc::new(SystemClock), Arc::new(TrustNothing));
    let options = BootOptions { dirs, runtime, clock, log_level_max: 1, policy, trust };
    let plan = Plan { instances: Vec::new(), binds: BTreeMap::new(), policy: Policy::default() };
    Kernel::boot(plan, options).await.expect("a kernel without instances boots")
}

async fn call(kernel: &Kernel, party: &Arc<Endpoint>, verb: &str, params: Value) -> Result<Value, Fault> {
    let body = shared(serde_json::to_vec(&params).expect("JSON"));
    let router = &kernel.shared.router;
    let mut stream = router.native_stream(party, None, verb, body, NativeWishes::default())?;
    loop {
        if let StreamItem::End(bytes) = stream.next().await? {
            return Ok(serde_json::from_slice(&bytes).expect("JSON"));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_turn_is_explained_while_it_runs_and_not_after() {
    let dir = tempfile::tempdir().expect("a directory");
    let kernel = booted(dir.path()).await;
    let asker = Asker::default();
    let heard = Arc::clone(&asker.heard);
    let party = Endpoint::native("asker", Arc::new(asker), true);

    let run =
        json!({ "conversation_id": "c", "turn_id": "t", "provider": "none", "cwd": "/", "messages": [] });
    let ended = call(&kernel, &party, turn::Run::NAME, run).await.expect("a failed turn is an answer");
    let ended: TurnEnded = serde_json::from_value(ended).expect("an end");
    let heard = std::mem::take(&mut *heard.lock().expect("no panic"));
    let [during] = heard.as_slice() else { panic!("one commit, with the end {ended:?}; heard {heard:?}") };
    let [Wait { on: WaitOn::Commit, since_ms, .. }] = during.waits.as_slice() else { panic!("{during:?}") };
    assert!(*since_ms <= during.running_ms);
    assert_eq!((during.turn_id.as_str(), during.step_idx, during.stopping), ("t", Some(0), false));

    let missing =
        call(&kernel, &party, Explain::NAME, json!({ "turn_id": "t" })).await.expect_err("it is over");
    assert_eq!(missing.code, NOT_FOUND);
    assert!(missing.message.contains("no turn `t` runs"), "{}", missing.message);
    kernel.stop().await;
}

fn planned(id: &str, contributes: &str) -> PlannedInstance {
    let text = format!("id = \"{id}\"\nversion = \"0.1.0\"\nsummary = \"A party.\"\n{contributes}");
    let manifest = Manifest::parse(Path::new("extension.toml"), text.as_bytes()).expect("a manifest");
    PlannedInstance {
        id: id.to_owned(),
        from: id.to_owned(),
        library: PathBuf::new(),
        placement: dispatch_compose::Placement::InProcess,
        config: Value::Null,
        settings: None,
        grants: Vec::new(),
        required: false,
        workers: 1,
        dependencies: Vec::new(),
        optional_dependencies: Vec::new(),
        contributes: manifest.contributes.clone(),
        manifest,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_made_while_an_instance_starts_is_taken_and_counts_when_it_is_there() {
    let dir = tempfile::tempdir().expect("a directory");
    let kernel = booted(dir.path()).await;
    let party = Endpoint::native("party", Arc::new(Asker::default()), true);
    let engines = |name: &str| json!({ "contributes": { "engines": [{ "name": name, "ready": true }] } });
    let refused = call(&kernel, &party, Update::NAME, engines("mine_1")).await.expect_err("nobody starts it");
    assert_eq!(refused.code, INVALID);

    kernel.shared.starting().insert("party".to_owned(), None);
    for name in ["mine_1", "mine_2"] {
        call(&kernel, &party, Update::NAME, engines(name)).await.expect("it is being started");
    }
    let record = Record {
        planned: planned("party", "contributes = { engines = [\"mine_*\"] }"),
        endpoint: Arc::clone(&party),
        state: RecordState::Active,
        sha256: String::new(),
        contributes: Default::default(),
        left_out: Vec::new(),
        ops: Vec::new(),
    };
    kernel.shared.enter(record);
    let contributed = || kernel.inventory().instances[0].contributes.engines[0].name.clone();
    assert_eq!(contributed(), "mine_2", "the last one");
    assert!(kernel.shared.router.table.load().named.contains_key("engine.v1#mine_2"), "it is reached");

    call(&kernel, &party, Update::NAME, engines("mine_3")).await.expect("it is active");
    assert_eq!(contributed(), "mine_3");
    let refused = call(&kernel, &party, Update::NAME, engines("theirs")).await.expect_err("undeclared");
    assert_eq!(refused.code, INVALID);
    kernel.stop().await;
}

/// Writes down who each commit is for.
struct Clerk {
    router: Arc<crate::router::Router>,
    heard: Arc<Mutex<Vec<Value>>>,
}

impl NativeService for Clerk {
    fn verbs(&self) -> Vec<VerbInfo> {
        vec![info::<turn::Commit>()]
    }

    fn call(&self, call: NativeCall, _body: SharedBytes) -> BoxFuture<'static, Result<SharedBytes, Fault>> {
        let open = self.router.calls.get(call.id()).expect("it is open");
        let meta = serde_json::from_slice(&open.meta).expect("JSON");
        self.heard.lock().expect("no panic").push(meta);
        Box::pin(async { encode(turn::Commit::NAME, &Empty {}) })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_actor_of_a_turn_is_that_of_its_run_and_only_who_may_say_so_says_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let kernel = booted(dir.path()).await;
    let mut found = Vec::new();
    for identity in [true, false] {
        let heard = Arc::default();
        let clerk = Clerk { router: Arc::clone(&kernel.shared.router), heard: Arc::clone(&heard) };
        let party = Endpoint::native("clerk", Arc::new(clerk), identity);
        let run = json!({ "conversation_id": "c", "turn_id": "t", "provider": "none", "cwd": "/", "messages": [],
            "actor": "user:from-a-body" });
        let meta = json!({ "actor": "user:ann", "turn_id": "t" }).to_string().into_bytes();
        let wishes = NativeWishes { budget_ms: 0, meta };
        let router = &kernel.shared.router;
        let body = shared(run.to_string().into_bytes());
        let mut stream = router.native_stream(&party, None, turn::Run::NAME, body, wishes).expect("it runs");
        while let StreamItem::Frame(_) = stream.next().await.expect("a failed turn is an answer") {}
        found.push(heard.lock().expect("no panic")[0].clone());
    }
    assert_eq!(found, [json!({ "actor": "user:ann", "turn_id": "t" }), json!({ "turn_id": "t" })]);
    kernel.stop().await;
}

fn active(planned: PlannedInstance) -> Record {
    let endpoint = Endpoint::native(&planned.id, Arc::new(Asker::default()), false);
    Record {
        planned,
        endpoint,
        state: RecordState::Active,
        sha256: String::new(),
        contributes: Default::default(),
        left_out: Vec::new(),
        ops: Vec::new(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_host_stands_as_what_its_build_needs_does_and_a_failure_is_for_good() {
    let dir = tempfile::tempdir().expect("a directory");
    let kernel = booted(dir.path()).await;
    let needs =
        PlannedInstance { required: true, dependencies: vec!["keeper".to_owned()], ..planned("worker", "") };
    let records = [planned("keeper", ""), planned("extra", ""), needs].map(active);
    let parties = [&records[0], &records[1]].map(|record| Arc::clone(&record.endpoint));
    records.into_iter().for_each(|record| kernel.shared.enter(record));
    let [keeper, extra] = &parties;
    let report = |party: &Arc<Endpoint>, state: &'static str, reason: &str| {
        let params = json!({ "state": state, "reason": reason });
        let party = Arc::clone(party);
        let kernel = &kernel;
        async move { call(kernel, &party, Report::NAME, params).await.expect("it is taken") }
    };
    let of_host = || kernel.shared.health().state;

    report(extra, "failed", "nobody needs it").await;
    assert_eq!(
        (of_host(), kernel.shared.health().instances[1].state),
        (HealthState::Ok, HealthState::Failed)
    );
    report(keeper, "a state of a later version", "what").await;
    assert_eq!(of_host(), HealthState::Degraded, "what is not known is not fine");
    report(keeper, "ok", "").await;
    assert_eq!(of_host(), HealthState::Ok);

    let mut failed = Box::pin(kernel.failed());
    let early = tokio::time::timeout(std::time::Duration::ZERO, &mut failed).await;
    assert!(early.is_err(), "what nobody needs ends nothing");
    report(keeper, "failed", &"gone ".repeat(1_000)).await;
    let (id, reason) = (&mut failed).await;
    drop(failed);
    assert_eq!((id.as_str(), reason.len()), ("keeper", dispatch_contracts::kernel::HEALTH_REASON_BYTES_MAX));
    report(keeper, "ok", "").await;
    assert_eq!(of_host(), HealthState::Failed, "there is no way back");
    assert_eq!(kernel.failed().await.0, "keeper", "and whoever asks later hears of it");
    kernel.stop().await;
}
mod renewing;
