//! A party that has stopped answers nothing, makes nothing, and leaves nothing open.

use super::super::{Endpoint, NativeCall, NativeService};
use super::world::{opts, world};
use dispatch_abi::SharedBytes;
use dispatch_contracts::fault::{CANCELLED, UNAVAILABLE};
use dispatch_contracts::kernel::VerbInfo;
use dispatch_contracts::{Fault, Limits, Mode};
use dispatch_wire::shared;
use futures_util::future::BoxFuture;
use std::sync::Arc;
use std::sync::atomic::Ordering;

#[tokio::test]
async fn calls_that_a_stopped_party_still_answers_are_ended() {
    let mut world = world(4);
    let waiting = tokio::spawn(world.start("toy.v1/wait", opts(0, 1, 0)).unwrap());
    let hanging = tokio::spawn(world.start("toy.v1/hang-long", opts(0, 2, 0)).unwrap());
    for _ in 0..2 {
        world.opened.recv().await.unwrap();
    }
    world.router.end_calls_of(&world.callee).await;
    assert_eq!(world.held(), (0, 0, 0, 0));
    assert_eq!(waiting.await.unwrap().unwrap().as_slice(), b"\"partial\"");
    assert_eq!(hanging.await.unwrap().unwrap_err().code, CANCELLED);
}

#[tokio::test]
async fn calls_that_a_stopped_party_made_are_ended_and_it_makes_no_more() {
    let mut world = world(4);
    let left_behind = tokio::spawn(world.start("toy.v1/wait-long", opts(0, 1, 0)).unwrap());
    world.opened.recv().await.unwrap();
    world.router.end_calls_of(&world.caller).await;
    assert_eq!(world.held(), (0, 0, 0, 0));
    left_behind.await.unwrap().unwrap();
    let refused = world.start("toy.v1/answer", opts(0, 0, 0)).err().unwrap();
    let message = "`caller` has been stopped and cannot call `toy.v1/answer`";
    assert_eq!((refused.code.as_str(), refused.message.as_str()), (UNAVAILABLE, message));
    // Everybody else goes on.
    let body = shared(b"1".to_vec());
    world
        .router
        .start_call(&world.callee, "toy.v1/answer", opts(0, 0, 0), body, None)
        .unwrap()
        .await
        .unwrap();
}

/// Cancelled while the party itself still lives, so that it can answer with what there is.
#[tokio::test]
async fn a_party_that_is_to_stop_ends_what_it_answers_first_and_may_still_make_calls() {
    let mut world = world(4);
    let waiting = tokio::spawn(world.start("toy.v1/wait-long", opts(0, 1, 0)).unwrap());
    world.opened.recv().await.unwrap();
    world.router.end_calls_to(&world.callee).await;
    assert_eq!(waiting.await.unwrap().unwrap().as_slice(), b"\"partial\"");
    assert_eq!(world.start("toy.v1/answer", opts(0, 0, 0)).err().unwrap().code, UNAVAILABLE, "a new one");
    let other = Endpoint::native("other", Arc::new(Echo), false);
    world.serve("other.v1", &other);
    let body = shared(b"1".to_vec());
    let last = world.router.start_call(&world.callee, "other.v1/echo", opts(0, 0, 0), body, None).unwrap();
    assert_eq!(last.await.unwrap().as_slice(), b"1", "as to write down what it has");
}

struct Echo;

impl NativeService for Echo {
    fn verbs(&self) -> Vec<VerbInfo> {
        vec![VerbInfo { name: "other.v1/echo".to_owned(), mode: Mode::Inline, limits: Limits::short(10_000) }]
    }

    fn call(&self, _call: NativeCall, body: SharedBytes) -> BoxFuture<'static, Result<SharedBytes, Fault>> {
        Box::pin(std::future::ready(Ok(body)))
    }
}

#[tokio::test]
async fn nothing_of_a_stopped_party_stays_open_though_nobody_drives_it() {
    let world = world(4);
    let held = world.start("toy.v1/hang-long", opts(0, 1, 0)).unwrap();
    world.router.end_calls_of(&world.callee).await;
    assert_eq!(world.held(), (0, 0, 0, 0));
    let fault = held.await.unwrap_err();
    let message = "`callee` has been stopped while `toy.v1/hang-long` was open";
    assert_eq!((fault.code.as_str(), fault.message.as_str()), (CANCELLED, message));
}

/// Between the look at the caller and the entry in the table, the caller stops.
#[tokio::test]
async fn a_call_that_races_with_the_end_of_its_party_is_found_or_refused() {
    let world = world(4);
    world.callee.stopped.store(true, Ordering::SeqCst);
    let refused = world.start("toy.v1/answer", opts(0, 3, 0)).err().unwrap();
    let message = "`callee` has been stopped; `toy.v1/answer` was not called";
    assert_eq!((refused.code.as_str(), refused.message.as_str()), (UNAVAILABLE, message));
    assert_eq!(world.held(), (0, 0, 0, 0));
}
