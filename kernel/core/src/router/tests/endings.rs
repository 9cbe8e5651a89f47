//! However a call ends, nothing of it stays.

use super::super::{CancelReason, Endpoint, NativeWishes, Peer, StreamItem};
use super::world::{Answer, Handmade, extension, open, opts, world};
use dispatch_contracts::fault::{CANCELLED, DEADLINE, INVALID, PANICKED};
use dispatch_contracts::kernel::VerbInfo;
use dispatch_contracts::{Limits, Mode};
use dispatch_wire::shared;
use std::future::Future as _;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

const KINDS: [&str; 3] = ["", "-inline", "-long"];

/// What is held while one streamed call is open.
fn open_one(kind: &str) -> (usize, u32, u64, usize) {
    if kind == "-long" { (1, 0, 1, 1) } else { (1, 1, 0, 1) }
}

#[tokio::test]
async fn an_answer_a_fault_and_a_panic_leave_nothing_open() {
    let world = world(1);
    for kind in KINDS {
        let answered = world.call(&format!("toy.v1/answer{kind}"), "7").await.unwrap();
        assert_eq!(answered.as_slice(), b"7");
        assert_eq!(world.held(), (0, 0, 0, 0), "answer{kind}");
        let fault = world.call(&format!("toy.v1/fault{kind}"), "7").await.unwrap_err();
        assert_eq!(fault.code, INVALID);
        assert_eq!(world.held(), (0, 0, 0, 0), "fault{kind}");
        let fault = world.call(&format!("toy.v1/panic{kind}"), "7").await.unwrap_err();
        let message = format!("`callee` panicked in `toy.v1/panic{kind}`: as asked");
        assert_eq!((fault.code.as_str(), fault.message), (PANICKED, message));
        assert_eq!(world.held(), (0, 0, 0, 0), "panic{kind}");
    }
    assert_eq!(world.callee.calls.load(Ordering::SeqCst), 9);
    assert_eq!(world.callee.panics.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_panic_is_counted_where_it_happened_and_not_at_those_who_hand_it_on() {
    let outer = world(8);
    let Some(Peer::Native(service)) = outer.callee.peer.get() else { panic!("the callee is native") };
    let inner = Endpoint::native("inner", Arc::clone(service), false);
    let mut verbs = service.verbs();
    for info in &mut verbs {
        info.name = info.name.replace("toy.v1", "other.v1");
    }
    inner.set_verbs(verbs);
    outer.serve("other.v1", &inner);
    let fault = outer.call("toy.v1/relay-panic", "{}").await.unwrap_err();
    assert_eq!(fault.code, PANICKED);
    assert_eq!(inner.panics.load(Ordering::SeqCst), 1);
    assert_eq!(outer.callee.panics.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_deadline_gives_the_grace_time_and_then_leaves_nothing_open() {
    for kind in KINDS {
        let world = world(1);
        let call = world.start(&format!("toy.v1/hang{kind}"), opts(0, 1, 30)).unwrap();
        assert_eq!(world.held(), open_one(kind), "hang{kind}");
        let fault = call.await.unwrap_err();
        assert_eq!(fault.code, DEADLINE, "hang{kind}: {}", fault.message);
        assert_eq!(world.held(), (0, 0, 0, 0), "hang{kind}");
        let partial = world.start(&format!("toy.v1/wait{kind}"), opts(0, 1, 30)).unwrap().await.unwrap();
        assert_eq!(partial.as_slice(), b"\"partial\"");
        assert_eq!(world.held(), (0, 0, 0, 0), "wait{kind}");
    }
}

#[tokio::test]
async fn a_callee_that_obeys_a_deadline_does_not_hide_it() {
    let world = world(1);
    for kind in KINDS {
        let fault = world.start(&format!("toy.v1/obey{kind}"), opts(0, 1, 30)).unwrap().await.unwrap_err();
        assert_eq!(fault.code, DEADLINE, "obey{kind}: {}", fault.message);
    }
}

#[tokio::test]
async fn a_cancelled_call_may_answer_within_the_grace_time_and_leaves_nothing_open() {
    for kind in KINDS {
        let mut world = world(1);
        for (act, expected) in [("wait", Ok("\"partial\"")), ("hang", Err(CANCELLED))] {
            let call = world.start(&format!("toy.v1/{act}{kind}"), opts(0, 1, 0)).unwrap();
            let state = call.state();
            let waiting = tokio::spawn(call);
            world.opened.recv().await.unwrap();
            assert_eq!(world.held(), open_one(kind), "{act}{kind}");
            state.cancel_tree(CancelReason::Caller);
            let answer = waiting.await.unwrap();
            let answer = answer.map(|bytes| String::from_utf8(bytes.to_vec()).unwrap()).map_err(|f| f.code);
            assert_eq!(answer, expected.map(str::to_owned).map_err(str::to_owned), "{act}{kind}");
            assert_eq!(world.held(), (0, 0, 0, 0), "{act}{kind}");
        }
    }
}

#[tokio::test]
async fn a_dropped_call_is_cancelled_and_leaves_nothing_open_after_the_grace_time() {
    for kind in KINDS {
        for act in ["wait", "hang"] {
            let world = world(1);
            let call = world.start(&format!("toy.v1/{act}{kind}"), opts(0, 1, 0)).unwrap();
            let state = call.state();
            drop(call);
            assert!(state.is_cancelled());
            assert_eq!(world.held().0, 1, "{act}{kind} has its grace time");
            world.settle().await;
        }
    }
}

#[tokio::test]
async fn children_are_cancelled_with_their_parent() {
    let mut world = world(1);
    let parent = world.start("toy.v1/hang-long", opts(0, 0, 0)).unwrap();
    let state = parent.state();
    let parent = tokio::spawn(parent);
    let parent_call = world.opened.recv().await.unwrap();
    let child = tokio::spawn(async move { parent_call.child("toy.v1/hang", shared(Vec::new()), 0).await });
    let child_call = world.opened.recv().await.unwrap();
    state.cancel_tree(CancelReason::Caller);
    assert_eq!(child_call.cancelled().await, CancelReason::Caller);
    assert_eq!(world.held().0, 2, "told together with its parent, not at the end of it");
    assert!(child.await.unwrap().is_err());
    assert!(parent.await.unwrap().is_err());
    drop((child_call, state));
    world.settle().await;
}

#[tokio::test]
async fn a_stream_id_that_is_taken_is_refused_and_takes_nothing() {
    let world = world(2);
    let first = world.start("toy.v1/wait", opts(0, 9, 0)).unwrap();
    for kind in KINDS {
        let refused = world.start(&format!("toy.v1/answer{kind}"), opts(0, 9, 0)).err().unwrap();
        assert_eq!(refused.code, INVALID);
        assert_eq!(world.held(), (1, 1, 0, 1), "the first one keeps its stream");
    }
    drop(first);
    world.settle().await;
}

#[tokio::test]
async fn a_native_stream_that_was_read_to_its_end_leaves_nothing_open() {
    let world = world(1);
    let verb = "toy.v1/answer";
    let wishes = NativeWishes::default();
    let mut stream =
        world.router.native_stream(&world.caller, None, verb, shared(b"1".to_vec()), wishes).unwrap();
    assert!(matches!(stream.next().await, Ok(StreamItem::End(_))));
    assert_eq!(world.held(), (0, 0, 0, 0));
    assert!(stream.next().await.is_err(), "past its end");
}

#[tokio::test]
async fn a_call_that_its_caller_holds_and_never_polls_ends_soon_after_its_limits() {
    for kind in KINDS {
        let world = world(1);
        world.router.watch_for_abandoned();
        let call = world.start(&format!("toy.v1/hang{kind}"), opts(0, 1, 30)).unwrap();
        assert_eq!(world.held(), open_one(kind), "hang{kind}");
        world.settle().await;
        let fault = call.await.unwrap_err();
        assert_eq!(fault.code, DEADLINE, "hang{kind}: {}", fault.message);
    }
}

/// The callee has answered within its limits; that nobody came for the answer is no reason to lose it.
#[tokio::test]
async fn an_answer_that_exists_is_delivered_however_slow_its_reader_is() {
    for kind in ["", "-long"] {
        let world = world(1);
        world.router.watch_for_abandoned();
        let wishes = NativeWishes { budget_ms: 30, meta: Vec::new() };
        let verb = format!("toy.v1/answer{kind}");
        let body = shared(b"7".to_vec());
        let mut stream = world.router.native_stream(&world.caller, None, &verb, body, wishes).unwrap();
        // Until the call has been taken away from its reader, which is busy elsewhere.
        world.settle().await;
        match stream.next().await {
            Ok(StreamItem::End(answer)) => assert_eq!(answer.as_slice(), b"7", "{kind}"),
            Ok(StreamItem::Frame(_)) => panic!("a frame"),
            Err(fault) => panic!("{kind}: {fault}"),
        }
    }
}

/// More of them than one task of the runtime may poll in a row.
#[tokio::test]
async fn the_answers_of_many_slow_readers_are_all_kept() {
    let world = world(300);
    let verb = "toy.v1/answer";
    let wishes = || NativeWishes { budget_ms: 30, meta: Vec::new() };
    let open =
        |_| world.router.native_stream(&world.caller, None, verb, shared(b"7".to_vec()), wishes()).unwrap();
    let streams: Vec<_> = (0..300).map(open).collect();
    world.router.watch_for_abandoned();
    world.settle().await;
    for mut stream in streams {
        assert!(matches!(stream.next().await, Ok(StreamItem::End(_))));
    }
}

/// An inline verb's future is polled by nobody meanwhile, so its answer comes with the last look.
#[tokio::test]
async fn a_call_is_looked_at_once_more_before_it_is_dropped() {
    let world = world(1);
    world.router.watch_for_abandoned();
    let call = world.start("toy.v1/answer-inline", opts(0, 0, 30)).unwrap();
    world.settle().await;
    assert_eq!(call.await.unwrap().as_slice(), b"{}");
}

#[tokio::test]
async fn a_call_within_its_limits_is_nobodys_to_end() {
    let world = world(1);
    let call = world.start("toy.v1/hang", opts(0, 1, 60_000)).unwrap();
    world.router.end_abandoned(Instant::now());
    assert_eq!(world.held(), open_one(""));
    drop(call);
}

/// Knows whether it was woken.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn a_call_that_is_polled_while_it_is_looked_at_waits_and_gets_its_answer() {
    let world = world(1);
    let blocker = Arc::new(extension("blocker", 8));
    let limits = Limits::short(60_000);
    blocker.set_verbs(vec![VerbInfo { name: "toy.v1/block".to_owned(), mode: Mode::Spawned, limits }]);
    let (looks, looked) = mpsc::channel();
    let (let_go, gate) = mpsc::channel::<()>();
    let gate = Arc::new(Mutex::new((looks, gate)));
    // Pending at first; whoever polls it again waits for the test inside of it, and then has the answer.
    let on_call = move |_| {
        let gate = Arc::clone(&gate);
        let mut polled = false;
        std::future::poll_fn(move |_| -> Poll<Answer> {
            if !std::mem::replace(&mut polled, true) {
                return Poll::Pending;
            }
            let (looks, gate) = &*gate.lock().unwrap();
            looks.send(()).unwrap();
            gate.recv().unwrap();
            Poll::Ready(Ok(shared(b"\"late\"".to_vec())))
        })
    };
    open(&blocker, Handmade { on_call, on_cancel: |_| {}, on_stream: |_, _: &[_]| {} });
    world.serve("toy.v1", &blocker);
    let mut call = pin!(world.start("toy.v1/block", opts(0, 0, 0)).unwrap());
    assert!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());

    let router = Arc::clone(&world.router);
    let far = Instant::now() + Duration::from_secs(3600);
    let look = std::thread::spawn(move || router.end_abandoned(far));
    looked.recv_timeout(Duration::from_secs(60)).expect("it is looked at");
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    let meanwhile = call.as_mut().poll(&mut Context::from_waker(&waker));
    assert!(meanwhile.is_pending(), "it is told an end before the look is over: {meanwhile:?}");
    assert!(!woken.0.load(Ordering::SeqCst));
    let_go.send(()).unwrap();
    look.join().unwrap();
    assert!(woken.0.load(Ordering::SeqCst), "whoever waits is told that the look is over");
    assert_eq!(call.await.unwrap().as_slice(), b"\"late\"");
    assert_eq!(world.held(), (0, 0, 0, 0));
}
