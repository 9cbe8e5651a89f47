//! Slots, shares and sizes: what is refused, and what never is.

use super::super::NativeWishes;
use super::world::{Handmade, World, extension, open, opts, world};
use dispatch_abi::BODY_BYTES_MAX;
use dispatch_contracts::bounds::{CALLS_BACK_MAX, LONG_CALLS_MAX};
use dispatch_contracts::fault::{OVERLOADED, TOO_LARGE};
use dispatch_wire::shared;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::Semaphore;

#[tokio::test]
async fn the_call_over_a_limit_is_refused_and_takes_nothing() {
    let world = world(1);
    let held = world.start("toy.v1/wait", opts(0, 0, 0)).unwrap();
    let refused = world.call("toy.v1/answer", "1").await.unwrap_err();
    assert_eq!((refused.code.as_str(), &refused.detail["retry_after_ms"]), (OVERLOADED, &100.into()));
    assert_eq!(world.held(), (1, 1, 0, 0));
    assert_eq!(world.callee.overloaded.load(Ordering::SeqCst), 1);
    drop(held);
    world.settle().await;
}

#[tokio::test]
async fn long_calls_have_a_share_for_each_verb_so_that_those_of_one_keep_out_no_other() {
    let world = world(1);
    let watchers: Vec<_> =
        (0..LONG_CALLS_MAX).map(|_| world.start("toy.v1/wait-long", opts(0, 0, 0)).unwrap()).collect();
    let refused = world.start("toy.v1/wait-long", opts(0, 0, 0)).err().unwrap();
    let message = format!(
        "`toy.v1/wait-long` was refused: `callee` has {LONG_CALLS_MAX} long calls of this verb open already; \
         try again later"
    );
    assert_eq!((refused.code.as_str(), refused.message), (OVERLOADED, message));
    assert_eq!(refused.detail["retry_after_ms"], 100);
    // A target makes no other verb of it.
    world.call("toy.v1/answer-long", "1").await.expect("another verb has a share of its own");
    drop(watchers);
    world.settle().await;
    world.call("toy.v1/answer-long", "1").await.unwrap();
}

/// Lets the caller answer `toy_host.v1/ask`, each call when `gate` gives a permit.
fn asked_back(world: &mut World, calls_in_flight_max: u32, gate: &Arc<Semaphore>) {
    let caller = extension("caller", calls_in_flight_max);
    let gate = Arc::clone(gate);
    let instance = Handmade {
        on_call: move |_| {
            let gate = Arc::clone(&gate);
            async move {
                gate.acquire().await.expect("open").forget();
                Ok(shared(b"\"taken\"".to_vec()))
            }
        },
        on_cancel: |_| {},
        on_stream: |_, _: &[_]| {},
    };
    open(&caller, instance);
    world.caller = Arc::new(caller);
}

/// A turn's commit is such a call: what it brings has been paid for.
#[tokio::test]
async fn a_call_back_takes_no_slot_of_whoever_asked_for_it() {
    let mut world = world(8);
    let gate = Arc::new(Semaphore::new(0));
    asked_back(&mut world, 1, &gate);
    let asking: Vec<_> =
        (0..100).map(|_| tokio::spawn(world.start("toy.v1/ask-long", opts(0, 0, 0)).unwrap())).collect();
    for _ in 0..100 {
        world.opened.recv().await.unwrap();
    }
    super::world::eventually("all of them ask back at once", || world.held().0 == 200).await;
    assert_eq!(world.caller.calls_in_flight.load(Ordering::SeqCst), 0);
    gate.add_permits(100);
    for asked in asking {
        assert_eq!(asked.await.unwrap().unwrap().as_slice(), b"\"taken\"");
    }
    world.settle().await;
}

#[tokio::test]
async fn one_call_has_a_bounded_number_of_calls_back() {
    let mut world = world(8);
    let gate = Arc::new(Semaphore::new(0));
    asked_back(&mut world, 1, &gate);
    let outer = tokio::spawn(world.start("toy.v1/wait-long", opts(0, 0, 0)).unwrap());
    let call = world.opened.recv().await.unwrap();
    let ask = || {
        let body = shared(Vec::new());
        world.router.start_call(&world.callee, "toy_host.v1/ask", opts(call.id(), 0, 0), body, None)
    };
    let asking: Vec<_> = (0..CALLS_BACK_MAX).map(|_| tokio::spawn(ask().unwrap())).collect();
    assert_eq!(ask().err().unwrap().code, OVERLOADED);
    gate.add_permits(asking.len() + 1);
    for asked in asking {
        asked.await.unwrap().unwrap();
    }
    ask().unwrap().await.expect("there is room again");
    outer.abort();
}

#[tokio::test]
async fn a_body_and_a_reply_have_a_bound_that_the_refusal_names() {
    let world = world(4);
    let sent = |bytes: usize| {
        let body = shared(vec![b' '; bytes]);
        world.router.native_call(&world.caller, None, "toy.v1/answer", body, NativeWishes::default())
    };
    assert_eq!(sent(BODY_BYTES_MAX).await.unwrap().len(), BODY_BYTES_MAX);
    let refused = sent(BODY_BYTES_MAX + 1).await.unwrap_err();
    let message = "`caller` called `toy.v1/answer` with 16777217 bytes; a body has at most 16777216: \
                   send what is larger as a blob, or in parts";
    assert_eq!((refused.code.as_str(), refused.message.as_str()), (TOO_LARGE, message));
    let refused = world.call("toy.v1/large", "1").await.unwrap_err();
    let message = "`callee` answered `toy.v1/large` with 16777217 bytes; a reply has at most 16777216: \
                   what is larger goes as a blob, or in frames";
    assert_eq!((refused.code.as_str(), refused.message.as_str()), (TOO_LARGE, message));
    assert_eq!(world.held(), (0, 0, 0, 0));
}
