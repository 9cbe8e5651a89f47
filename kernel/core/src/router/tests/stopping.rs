//! A party that has stopped answers nothing, makes nothing, and leaves nothing open.

use super::super::shared;
use super::world::{opts, world};
use dispatch_contracts::fault::{CANCELLED, UNAVAILABLE};

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
