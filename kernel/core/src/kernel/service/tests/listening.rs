//! What the host binary can listen to, and instances that are reached although nothing is bound to them.

use super::{booted, call, planned};
use crate::kernel::service::*;
use crate::kernel::{Kernel, Record, RecordState};
use crate::router::{CallRecord, LISTENER_BYTES_MAX};
use dispatch_contracts::fault::{NO_SERVICE, NOT_REQUIRED};
use dispatch_contracts::{Contributions, Limits, Mode};
use dispatch_wire::shared;
use serde_json::{Value, json};

/// Says which verb it was called by; asks the kernel who it is first.
struct Reader;

impl NativeService for Reader {
    fn verbs(&self) -> Vec<VerbInfo> {
        let limits = Limits::short(10_000);
        vec![VerbInfo { name: "files.v1/read".to_owned(), mode: Mode::Spawned, limits }]
    }

    fn call(&self, call: NativeCall, _: SharedBytes) -> BoxFuture<'static, Result<SharedBytes, Fault>> {
        Box::pin(async move {
            call.child(HostInfo::NAME, shared(b"{}".to_vec()), 0).await?;
            encode("what a test says", &call.verb())
        })
    }
}

fn enter(kernel: &Kernel, id: &str, state: RecordState) {
    kernel.shared.enter(Record {
        planned: planned(id, "provides = [\"files.v1\"]"),
        endpoint: Endpoint::native(id, Arc::new(Reader), false),
        state,
        sha256: String::new(),
        contributes: Contributions::default(),
        left_out: Vec::new(),
        ops: Vec::new(),
    });
}

fn party(contracts: &[&str]) -> Arc<Endpoint> {
    let may_call = contracts.iter().map(|contract| (*contract).to_owned()).collect();
    Arc::new(Endpoint::new("party", Some(may_call), false, 8))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_is_not_bound_is_reached_by_its_id_by_whom_its_contract_is_open_to() {
    let dir = tempfile::tempdir().expect("a directory");
    let kernel = booted(dir.path()).await;
    enter(&kernel, "near", RecordState::Active);
    enter(&kernel, "far", RecordState::Active);
    enter(&kernel, "gone", RecordState::Disabled("as asked".to_owned()));
    let open = party(&["files.v1"]);
    let asked = |verb: &'static str| call(&kernel, &open, verb, json!({}));
    assert_eq!(asked("files.v1/read#far").await.expect("answered"), "files.v1/read#far");
    assert_eq!(asked("files.v1/read#near").await.expect("answered"), "files.v1/read#near");
    for nobody in ["files.v1/read", "files.v1/read#gone", "files.v1/read#nobody", "files.v1/read#"] {
        assert_eq!(asked(nobody).await.expect_err("nobody is bound").code, NO_SERVICE, "{nobody}");
    }
    let refused = call(&kernel, &party(&["storage.v1"]), "files.v1/read#far", json!({})).await;
    assert_eq!(refused.expect_err("it is not required").code, NOT_REQUIRED);
    kernel.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_call_is_told_once_with_its_place_in_the_chain_to_whoever_listens() {
    let dir = tempfile::tempdir().expect("a directory");
    let kernel = booted(dir.path()).await;
    enter(&kernel, "near", RecordState::Active);
    let open = party(&["files.v1"]);
    call(&kernel, &open, "files.v1/read#near", json!({})).await.expect("nobody listens yet");
    let mut heard = kernel.listen_to_calls();
    call(&kernel, &open, "files.v1/read#near", json!({})).await.expect("answered");
    call(&kernel, &open, "files.v1/nothing#near", json!({}))
        .await
        .expect("it answers whatever it is called by");
    call(&kernel, &open, "files.v1/read", json!({})).await.expect_err("nobody is bound");
    let mut told = Vec::new();
    for _ in 0..5 {
        let heard = heard.next().await;
        assert_eq!(heard.missed, 0);
        told.push(heard.item);
    }
    let shown = |record: &CallRecord| json!([record.verb, record.caller, record.callee, record.code]);
    let expected = json!([
        ["kernel.v1/host", "near", "kernel", ""],
        ["files.v1/read#near", "party", "near", ""],
        ["kernel.v1/host", "near", "kernel", ""],
        ["files.v1/nothing#near", "party", "near", ""],
        ["files.v1/read", "party", "", NO_SERVICE],
    ]);
    assert_eq!(json!(told.iter().map(shown).collect::<Vec<Value>>()), expected);
    assert_eq!(told[0].parent, told[1].call, "what was made out of a call names it");
    assert_eq!((told[1].parent, told[4].call), (0, 0));
    assert!(told.iter().all(|record| record.began > 0));
    drop(heard);
    let mut later = kernel.listen_to_calls();
    call(&kernel, &open, "files.v1/read", json!({})).await.expect_err("nobody is bound");
    assert_eq!(later.next().await.item.verb, "files.v1/read", "nothing of before");
    kernel.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_that_is_slow_loses_the_oldest_and_is_told_how_many() {
    let dir = tempfile::tempdir().expect("a directory");
    let kernel = booted(dir.path()).await;
    let near = Endpoint::native("near", Arc::new(Reader), false);
    let host = kernel.shared.router.host_for(&near);
    let mut heard = kernel.listen_to_topics(&["near.changed", "near.other"]);
    let third = LISTENER_BYTES_MAX / 3;
    for n in 0..5 {
        host.publish("near.changed".into(), shared(vec![n; third]));
    }
    host.publish("near.unheard".into(), shared(b"1".to_vec()));
    host.publish("far.changed".into(), shared(b"2".to_vec()));
    host.publish("near.other".into(), shared(b"3".to_vec()));
    let first = heard.next().await;
    assert_eq!((first.missed, first.item.data[0]), (3, 3), "the oldest were dropped");
    assert_eq!(first.item.topic, "near.changed");
    let second = heard.next().await;
    assert_eq!((second.missed, second.item.data[0]), (0, 4));
    assert_eq!(heard.next().await.item.data, b"3", "what others publish, or nobody chose, is not heard");
    kernel.stop().await;
}
