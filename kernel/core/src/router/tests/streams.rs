//! Frames: credit, order, and the reply after the last of them.

use super::super::{NativeCall, NativeStream, NativeWishes, StreamItem};
use super::world::{Handmade, World, assert_all_in_order, open, opts, refuses, world};
use dispatch_abi::{EMIT_DROPPED, EMIT_FULL, EMIT_OVER, FRAME_BYTES_MAX, STREAM_CREDIT_BYTES, SharedBytes};
use dispatch_contracts::fault::{CANCELLED, DEADLINE};
use dispatch_wire::shared;
use std::sync::{Arc, Mutex, OnceLock, mpsc};
use std::time::Duration;

fn bytes(n: u64) -> SharedBytes {
    shared(vec![b' '; usize::try_from(n).unwrap()])
}

async fn opened(world: &mut World, verb: &str) -> (NativeStream, NativeCall) {
    let body = shared(b"{}".to_vec());
    let stream =
        world.router.native_stream(&world.caller, None, verb, body, NativeWishes::default()).unwrap();
    (stream, world.opened.recv().await.unwrap())
}

#[tokio::test]
async fn a_frame_is_taken_whole_while_there_is_credit_and_none_without() {
    let mut world = world(1);
    let (mut stream, call) = opened(&mut world, "toy.v1/wait").await;
    let emit = |n| world.router.emit(&world.callee, call.id(), bytes(n));
    assert_eq!(emit(STREAM_CREDIT_BYTES - 1), 1);
    assert_eq!(emit(1000), 0, "the last byte of credit takes a whole frame");
    assert_eq!(emit(1), EMIT_FULL);
    let drained = || world.router.drained(&world.callee, call.id());
    let early = tokio::time::timeout(Duration::from_millis(20), drained()).await;
    assert!(early.is_err(), "nothing was consumed");
    // 999 bytes are owed, so reading the first frame pays them back.
    let (credit, item) = tokio::join!(drained(), stream.next());
    assert!(matches!(item, Ok(StreamItem::Frame(frame)) if frame.len() as u64 == STREAM_CREDIT_BYTES - 1));
    assert_eq!(credit.unwrap(), STREAM_CREDIT_BYTES - 1 - 999);
    assert_eq!(emit(1), i64::try_from(STREAM_CREDIT_BYTES).unwrap() - 1001);
    assert_eq!(emit(FRAME_BYTES_MAX as u64 + 1), EMIT_OVER, "too large");
}

#[tokio::test]
async fn waiting_for_credit_ends_when_the_call_is_cancelled_or_over_or_its_caller_has_gone() {
    for end in ["cancelled", "caller gone", "over"] {
        let mut world = world(1);
        let (stream, call) = opened(&mut world, "toy.v1/wait").await;
        assert_eq!(world.router.emit(&world.callee, call.id(), bytes(STREAM_CREDIT_BYTES)), 0);
        let (router, callee, id) = (Arc::clone(&world.router), Arc::clone(&world.callee), call.id());
        let waiting = tokio::spawn(async move { router.drained(&callee, id).await });
        tokio::task::yield_now().await;
        let mut stream = Some(stream);
        match (end, &mut stream) {
            ("cancelled", Some(stream)) => stream.cancel(),
            ("over", Some(stream)) => {
                stream.cancel();
                while !matches!(stream.next().await, Ok(StreamItem::End(_))) {}
            }
            _ => stream = None,
        }
        assert_eq!(waiting.await.unwrap().unwrap_err().code, CANCELLED, "{end}");
        drop(stream);
        world.settle().await;
        assert_eq!(world.router.emit(&world.callee, id, bytes(1)), EMIT_OVER);
        assert_eq!(world.router.drained(&world.callee, id).await.unwrap_err().code, CANCELLED);
    }
}

#[tokio::test]
async fn frames_nobody_asked_for_are_dropped_without_credit_and_foreign_ones_are_refused() {
    let mut world = world(2);
    let call = world.start("toy.v1/wait", opts(0, 0, 0)).unwrap();
    let open = world.opened.recv().await.unwrap();
    for _ in 0..3 {
        assert_eq!(world.router.emit(&world.callee, open.id(), bytes(STREAM_CREDIT_BYTES)), EMIT_DROPPED);
    }
    assert_eq!(world.router.emit(&world.caller, open.id(), bytes(1)), EMIT_OVER, "not its call");
    drop(call);
    let inline = world.start("toy.v1/wait-inline", opts(0, 5, 0)).unwrap();
    let id = inline.state().id;
    assert_eq!(world.router.emit(&world.callee, id, bytes(1)), EMIT_OVER, "an inline verb may not emit");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn several_emitters_on_one_call_keep_their_order_and_all_arrive_before_the_reply() {
    for _ in 0..5 {
        let mut world = world(1);
        let (mut stream, _call) = opened(&mut world, "toy.v1/many").await;
        let mut frames = Vec::new();
        let read = async {
            loop {
                match stream.next().await.unwrap() {
                    StreamItem::Frame(frame) => frames.push(frame),
                    StreamItem::End(_) => return,
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(30), read).await.expect("no wake-up is lost");
        assert_all_in_order(&frames);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_same_holds_over_the_boundary_where_credit_comes_from_within_on_stream() {
    let mut world = world(1);
    let seen: Arc<Mutex<Vec<SharedBytes>>> = Arc::default();
    let host = Arc::new(OnceLock::new());
    let instance = Handmade {
        on_call: refuses,
        on_cancel: |_| {},
        on_stream: {
            let (seen, host) = (Arc::clone(&seen), Arc::clone(&host));
            move |stream_id, frames: &[SharedBytes]| {
                let host: &dispatch_abi::HostObj = host.get().unwrap();
                seen.lock().unwrap().extend(frames.iter().cloned());
                host.credit(stream_id, frames.iter().map(|frame| frame.len() as u64).sum());
            }
        },
    };
    open(&world.caller, instance);
    assert!(host.set(world.router.host_for(&world.caller)).is_ok());
    let call = world.start("toy.v1/many", opts(0, 3, 0)).unwrap();
    tokio::time::timeout(Duration::from_secs(30), call).await.expect("no wake-up is lost").unwrap();
    assert_all_in_order(&seen.lock().unwrap());
    world.opened.close();
    world.settle().await;
}

/// An end that the router makes itself waits for the frames that are on their way, as an answer does.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_deadline_is_told_after_the_last_on_stream_has_returned() {
    let mut world = world(1);
    let (entered_sender, entered) = mpsc::channel();
    let (release, gate) = mpsc::channel();
    let gate = Mutex::new(gate);
    let instance = Handmade {
        on_call: refuses,
        on_cancel: |_| {},
        on_stream: move |_, _: &[SharedBytes]| {
            entered_sender.send(()).unwrap();
            gate.lock().unwrap().recv().unwrap();
        },
    };
    open(&world.caller, instance);
    let mut call = world.start("toy.v1/hang", opts(0, 3, 30)).unwrap();
    let id = world.opened.recv().await.unwrap().id();
    let (router, callee) = (Arc::clone(&world.router), Arc::clone(&world.callee));
    let emitter = std::thread::spawn(move || router.emit(&callee, id, bytes(10)));
    entered.recv().unwrap();
    let early = tokio::time::timeout(Duration::from_millis(900), &mut call).await;
    assert!(early.is_err(), "the end came while a frame was being handed over");
    release.send(()).unwrap();
    assert_eq!(call.await.unwrap_err().code, DEADLINE);
    assert!(emitter.join().unwrap() >= 0);
    world.settle().await;
}
