//! Who is told that a call is to end, and why.

use super::super::{CancelReason, NativeWishes};
use super::world::{World, eventually, opts, world};
use dispatch_contracts::fault::BAD_CALL;
use dispatch_wire::shared;
use std::sync::Arc;

/// What the callee of `verb` is told, after `act` was done to the call that its caller holds.
async fn told(world: &mut World, verb: &str, budget_ms: u64, act: Act) -> CancelReason {
    let call = world.start(verb, opts(0, 0, budget_ms)).unwrap();
    let callees = world.opened.recv().await.unwrap();
    let state = call.state();
    let router = Arc::clone(&world.router);
    let held = match act {
        Act::Drop => {
            drop(call);
            None
        }
        Act::Drive | Act::Cancel | Act::Stop => Some(tokio::spawn(call)),
    };
    match act {
        Act::Drop | Act::Drive => {}
        Act::Cancel => state.cancel_tree(CancelReason::Caller),
        Act::Stop => router.end_calls_of(&world.caller).await,
    }
    let reason = callees.cancelled().await;
    if let Some(held) = held {
        held.await.unwrap().ok();
    }
    world.settle().await;
    reason
}

enum Act {
    Drive,
    Cancel,
    Drop,
    Stop,
}

#[tokio::test]
async fn a_cancelled_call_knows_why() {
    let mut world = world(4);
    assert_eq!(told(&mut world, "toy.v1/wait", 0, Act::Cancel).await, CancelReason::Caller);
    assert_eq!(told(&mut world, "toy.v1/wait", 0, Act::Drop).await, CancelReason::Caller);
    assert_eq!(told(&mut world, "toy.v1/wait", 30, Act::Drive).await, CancelReason::Deadline);
    assert_eq!(told(&mut world, "toy.v1/wait-silent", 0, Act::Drive).await, CancelReason::Silence);
    assert_eq!(told(&mut world, "toy.v1/wait", 0, Act::Stop).await, CancelReason::Ended);
}

#[tokio::test]
async fn a_nested_call_is_told_why_the_outer_one_ends_and_a_forgotten_one_which_limit_it_passed() {
    let mut world = world(4);
    world.router.watch_for_abandoned();
    let wishes = NativeWishes { budget_ms: 30, meta: Vec::new() };
    let verb = "toy.v1/wait";
    let held = world.router.native_stream(&world.caller, None, verb, shared(Vec::new()), wishes).unwrap();
    let outer = world.opened.recv().await.unwrap();
    let nesting = outer.clone();
    let nested = tokio::spawn(async move { nesting.child(verb, shared(Vec::new()), 60_000).await });
    let inner = world.opened.recv().await.unwrap();
    // Nobody polls the outer one: its limit is found to have passed all the same.
    assert_eq!(outer.cancelled().await, CancelReason::Deadline);
    assert_eq!(inner.cancelled().await, CancelReason::Deadline);
    nested.await.unwrap().ok();
    drop((held, outer, inner));
    world.settle().await;
}

#[tokio::test]
async fn calls_end_with_the_call_they_were_made_out_of() {
    let mut world = world(4);
    world.router.watch_for_abandoned();
    let left = world.start("toy.v1/leave", opts(0, 0, 0)).unwrap();
    assert!(left.await.is_ok(), "it answered, in order");
    let outer = world.opened.recv().await.unwrap();
    let (driven, held) = (world.opened.recv().await.unwrap(), world.opened.recv().await.unwrap());
    assert_eq!([driven.cancelled().await, held.cancelled().await], [CancelReason::Caller; 2]);
    let late = outer.child("toy.v1/answer", shared(Vec::new()), 0).await.unwrap_err();
    assert_eq!(late.code, BAD_CALL);
    // Nor does the one stay that nobody drives.
    world.settle().await;
}

#[tokio::test]
async fn a_call_made_within_the_grace_time_is_told_at_once() {
    let mut world = world(4);
    let outer = world.start("toy.v1/hang-long", opts(0, 0, 0)).unwrap();
    let state = outer.state();
    let outer = tokio::spawn(outer);
    let callees = world.opened.recv().await.unwrap();
    state.cancel_tree(CancelReason::Caller);
    let late = tokio::spawn(async move { callees.child("toy.v1/hang-long", shared(Vec::new()), 0).await });
    let inner = world.opened.recv().await.unwrap();
    assert_eq!(inner.cancelled().await, CancelReason::Caller);
    assert_eq!(world.held().0, 2, "told while the outer one still has its grace time");
    assert!(late.await.unwrap().is_err());
    assert!(outer.await.unwrap().is_err());
    world.settle().await;
}

/// The inner call uses up its whole grace; the outer one must still be able to say so.
#[tokio::test]
async fn an_outer_call_outlasts_an_inner_one_that_is_told_together_with_it() {
    let world = world(4);
    let call = world.start("toy.v1/report-child", opts(0, 0, 0)).unwrap();
    let state = call.state();
    let call = tokio::spawn(call);
    eventually("the inner call is open", || world.held().0 == 2).await;
    state.cancel_tree(CancelReason::Caller);
    assert_eq!(call.await.unwrap().unwrap().as_slice(), b"\"the inner call: cancelled\"");
    world.settle().await;
}
