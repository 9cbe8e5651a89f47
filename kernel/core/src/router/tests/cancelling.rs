//! Who is told that a call is to end, and why.

use super::super::{CancelReason, NativeWishes, shared};
use super::world::{World, opts, world};

/// What the callee of `verb` is told, after `act` was done to the call that its caller holds.
async fn told(world: &mut World, verb: &str, budget_ms: u64, act: Act) -> CancelReason {
    let call = world.start(verb, opts(0, 0, budget_ms)).unwrap();
    let callees = world.opened.recv().await.unwrap();
    let state = call.state();
    let router = std::sync::Arc::clone(&world.router);
    let held = match act {
        Act::Drop => {
            drop(call);
            None
        }
        Act::Drive | Act::Cancel | Act::Stop => Some(tokio::spawn(call)),
    };
    match act {
        Act::Drop | Act::Drive => {}
        Act::Cancel => router.cancel_tree(&state, CancelReason::Caller),
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
