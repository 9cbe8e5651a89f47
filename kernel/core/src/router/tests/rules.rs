//! Who may call what, out of which call, how deep, for whom, and how long in silence.

use super::super::{CancelReason, NativeWishes, OpEntry, Table};
use super::world::{Handmade, World, extension, open, opts, world};
use crate::router::Endpoint;
use dispatch_abi::PANIC_LOG_TARGET;
use dispatch_contracts::bounds::CALL_DEPTH_MAX;
use dispatch_contracts::fault::{
    BAD_CALL, DEADLINE, INVALID, NO_SERVICE, NOT_FOUND, NOT_REQUIRED, OVERLOADED, TOO_DEEP, UNAVAILABLE,
};
use dispatch_contracts::{Limits, Mode, kernel::VerbInfo};
use dispatch_wire::shared;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Notify;

#[tokio::test]
async fn a_parent_that_is_not_an_open_call_of_ones_own_is_refused() {
    let mut world = world(4);
    let open = world.start("toy.v1/wait", opts(0, 0, 0)).unwrap();
    let id = world.opened.recv().await.unwrap().id();
    // The caller made it, but the callee answers it.
    let foreign = world.start("toy.v1/answer", opts(id, 0, 0)).err().unwrap();
    let message = format!("`caller` named call {id} as the parent, which is not an open call of its own");
    assert_eq!((foreign.code.as_str(), foreign.message.as_str()), (BAD_CALL, message.as_str()));
    let start = |parent| {
        let body = shared(b"{}".to_vec());
        world.router.start_call(&world.callee, "toy.v1/answer", opts(parent, 0, 0), body, None)
    };
    start(id).unwrap().await.unwrap();
    drop(open);
    world.settle().await;
    assert_eq!(start(id).err().unwrap().code, BAD_CALL, "closed");
    assert_eq!(start(u64::MAX).err().unwrap().code, BAD_CALL, "never there");
    assert_eq!(world.held(), (0, 0, 0, 0));
}

#[tokio::test]
async fn a_chain_takes_one_slot_of_an_instance_and_ends_at_its_greatest_depth() {
    let world = world(1);
    let deepest = (CALL_DEPTH_MAX - 1).to_string();
    assert_eq!(world.call("toy.v1/nest", &deepest).await.unwrap().as_slice(), b"0");
    let too_deep = world.call("toy.v1/nest", &CALL_DEPTH_MAX.to_string()).await.unwrap_err();
    assert_eq!(too_deep.code, TOO_DEEP);
    assert_eq!(world.held(), (0, 0, 0, 0));
    // A long call holds no slot, so what is called out of it needs one of its own.
    let _held = world.start("toy.v1/wait", opts(0, 0, 0)).unwrap();
    let refused = world.call("toy.v1/nest-long", "1").await.unwrap_err();
    assert_eq!(refused.code, OVERLOADED);
}

#[tokio::test]
async fn a_contract_is_reached_only_if_it_is_required_served_or_the_callers_own() {
    let mut world = world(4);
    let (router, caller) = (Arc::clone(&world.router), Arc::clone(&world.caller));
    let refused = |verb: &str, parent| {
        let body = shared(b"{}".to_vec());
        router.start_call(&caller, verb, opts(parent, 0, 0), body, None).err().unwrap().code
    };
    assert_eq!(refused("storage.v1/get", 0), NOT_REQUIRED);
    assert_eq!(refused("toy.v1#x/y", 0), NOT_REQUIRED, "a target hides no contract");
    assert_eq!(refused("toy.v1/run#nobody", 0), NO_SERVICE);
    assert_eq!(refused("toy_host.v1/ask", 0), BAD_CALL, "no parent call, so nobody to call back");
    let _open = world.start("toy.v1/wait", opts(0, 0, 0)).unwrap();
    let id = world.opened.recv().await.unwrap().id();
    assert_eq!(refused("toy_host.v1/ask", id), BAD_CALL, "not its call");
    // The callee asks back: it is the caller that answers, though no table names it.
    let asked = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&asked);
    let instance = Handmade {
        on_call: move |_| {
            seen.store(true, Ordering::SeqCst);
            async { Ok(shared(b"1".to_vec())) }
        },
        on_cancel: |_| {},
        on_stream: |_, _: &[_]| {},
    };
    open(&world.caller, instance);
    let body = shared(b"{}".to_vec());
    let call = world.router.start_call(&world.callee, "toy_host.v1/ask", opts(id, 0, 0), body, None).unwrap();
    call.await.unwrap();
    assert!(asked.load(Ordering::SeqCst));
}

/// The meta of a call that is made out of a root call of `caller` with these wishes.
async fn inherited_meta(world: &mut World, caller: &Arc<Endpoint>, meta: &str) -> serde_json::Value {
    let wishes = NativeWishes { budget_ms: 0, meta: meta.as_bytes().to_vec() };
    let verb = "toy.v1/wait";
    let root = world.router.native_stream(caller, None, verb, shared(Vec::new()), wishes).unwrap();
    let call = world.opened.recv().await.unwrap();
    let mut opts = opts(call.id(), 0, 0);
    // A call made out of another wishes in vain.
    opts.meta = shared(br#"{"actor":"user:eve","tenant":"eve","computer":"eve","turn_id":"eve"}"#.to_vec());
    let child =
        world.router.start_call(&world.callee, "toy.v1/wait", opts, shared(Vec::new()), None).unwrap();
    let child = tokio::spawn(child);
    let id = world.opened.recv().await.unwrap().id();
    let meta = serde_json::from_slice(&world.router.calls.get(id).unwrap().meta).unwrap();
    drop(root);
    child.await.unwrap().unwrap();
    meta
}

#[tokio::test]
async fn whom_a_call_is_for_is_stamped_for_who_holds_identity_and_dropped_for_everybody_else() {
    let mut world = world(4);
    let wish = r#"{"actor":"user:mallory","tenant":"acme","user":"mallory","device":"phone","computer":"exec-ssh","conversation_id":"c","role":"root"}"#;
    let caller = Arc::clone(&world.caller);
    assert_eq!(inherited_meta(&mut world, &caller, wish).await, json!({ "conversation_id": "c" }));
    let trusted = Arc::new(Endpoint { identity: true, ..extension("cli", 4) });
    let expected = json!({
        "actor": "user:mallory", "tenant": "acme", "user": "mallory", "device": "phone", "computer": "exec-ssh",
        "conversation_id": "c",
    });
    assert_eq!(inherited_meta(&mut world, &trusted, wish).await, expected);
    let wishes = NativeWishes { budget_ms: 0, meta: vec![b' '; 5000] };
    let refused = world.router.native_call(&caller, None, "toy.v1/answer", shared(Vec::new()), wishes).await;
    assert_eq!(refused.unwrap_err().code, INVALID);
}

fn with_op(world: &World) {
    let schema = json!({
        "type": "object", "required": ["n"], "properties": { "n": { "type": "integer" } },
        "additionalProperties": false,
    });
    let spec = json!({
        "id": "toys.answer", "summary": "Answers.", "verb": "toy.v1/answer", "intent": "read",
        "input_schema": schema, "output_schema": true,
    });
    let spec = serde_json::from_value(spec).unwrap();
    let op = OpEntry::new(Arc::clone(&world.callee), spec, String::new());
    let mut table = Table::clone(&world.router.table.load());
    table.ops.insert("toys.answer".to_owned(), Arc::new(op));
    world.router.table.store(Arc::new(table));
}

#[tokio::test]
async fn an_ops_input_is_checked_before_its_contributor_sees_it() {
    let mut world = world(4);
    with_op(&world);
    for bad in ["{}", r#"{"n":"1"}"#, r#"{"n":1,"m":2}"#, "[", ""] {
        let refused = world.call("op.v1/run#toys.answer", bad).await.unwrap_err();
        assert_eq!(refused.code, INVALID, "{bad}");
    }
    assert!(world.opened.try_recv().is_err(), "the contributor saw none of them");
    let answered = world.call("op.v1/run#toys.answer", r#"{"n":1}"#).await.unwrap();
    assert_eq!(answered.as_slice(), br#"{"n":1}"#);
    assert_eq!(world.call("op.v1/run#toys.nothing", "{}").await.unwrap_err().code, NOT_FOUND);
}

#[tokio::test]
async fn an_instance_that_is_being_stopped_is_not_reached_by_its_contract_nor_by_its_op() {
    let world = world(4);
    with_op(&world);
    world.callee.gone.store(true, Ordering::SeqCst);
    for verb in ["toy.v1/answer", "op.v1/run#toys.answer"] {
        let refused = world.call(verb, r#"{"n":1}"#).await.unwrap_err();
        let message = format!("`callee`, which answers `{verb}`, is being stopped");
        assert_eq!((refused.code.as_str(), refused.message), (UNAVAILABLE, message));
    }
}

#[tokio::test]
async fn silence_ends_a_long_call_but_neither_a_nested_call_nor_a_sleep_in_flight_is_silence() {
    let world = world(4);
    let silent = world.call("toy.v1/hang-silent", "{}").await.unwrap_err();
    let message = "`callee` showed no sign of life in `toy.v1/hang-silent` for 80 ms";
    assert_eq!((silent.code.as_str(), silent.message.as_str()), (DEADLINE, message));
    // The nested call takes four times the limit.
    assert_eq!(world.call("toy.v1/sleep-child-silent", "1").await.unwrap().as_slice(), b"1");
    // So does the sleep that the host itself will end.
    assert_eq!(world.call("toy.v1/host-sleep-silent", "1").await.unwrap().as_slice(), b"1");
}

/// A cancel that comes between the call's entry in the table and the callee's own must not be lost.
#[tokio::test]
async fn a_cancel_that_comes_while_the_call_is_handed_over_still_reaches_the_callee() {
    let mut world = world(4);
    let known = Arc::new(AtomicBool::new(false));
    let told = Arc::new(Notify::new());
    let router = Arc::clone(&world.router);
    let instance = Handmade {
        on_call: {
            let (known, told) = (Arc::clone(&known), Arc::clone(&told));
            move |call_id| {
                let call = router.calls.get(call_id).unwrap();
                call.cancel_tree(CancelReason::Caller);
                known.store(true, Ordering::SeqCst);
                let told = Arc::clone(&told);
                async move {
                    told.notified().await;
                    Ok(shared(b"\"partial\"".to_vec()))
                }
            }
        },
        on_cancel: move |_| {
            if known.load(Ordering::SeqCst) {
                told.notify_one();
            }
        },
        on_stream: |_, _: &[_]| {},
    };
    let callee = extension("late", 4);
    let verb = VerbInfo { name: "toy.v1/x".to_owned(), mode: Mode::Spawned, limits: Limits::short(10_000) };
    callee.set_verbs(vec![verb]);
    open(&callee, instance);
    world.serve("toy.v1", &Arc::new(callee));
    assert_eq!(world.call("toy.v1/x", "{}").await.unwrap().as_slice(), b"\"partial\"");
    world.opened.close();
}

/// As the SDK tells of a panic in `on_topic`, in a task, in a drop: nobody waits there for an answer.
#[tokio::test]
async fn a_panic_outside_a_call_is_counted_and_named() {
    let world = world(4);
    let host = world.router.host_for(&world.caller);
    let record = r#"{"message":"`caller` panicked in `on_topic`: as asked at x.rs:1"}"#;
    host.log(1, PANIC_LOG_TARGET.into(), record.into());
    host.log(1, "dispatch_sdk".into(), r#"{"message":"something else"}"#.into());
    assert_eq!(world.caller.panics.load(Ordering::SeqCst), 1);
    let last = world.caller.last_panic.lock().unwrap().clone();
    assert_eq!(last, "`caller` panicked in `on_topic`: as asked at x.rs:1");
}

#[tokio::test(start_paused = true)]
async fn a_sleep_may_last_longer_than_a_day() {
    let world = world(4);
    let host = world.router.host_for(&world.caller);
    let began = tokio::time::Instant::now();
    host.sleep(50 * 3600 * 1000).await;
    assert!(began.elapsed() >= std::time::Duration::from_secs(50 * 3600), "{:?}", began.elapsed());
}
