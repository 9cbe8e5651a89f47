//! A router with one caller and one callee, and the acts that the callee can play.

use super::super::{Endpoint, NativeCall, NativeService, NativeWishes, Peer, Router, Table};
use crate::clock::SystemClock;
use crate::router::drive::RoutedCall;
use dispatch_abi::abi_stable::sabi_trait::TD_Opaque;
use dispatch_abi::abi_stable::std_types::{RResult, RSlice, RStr};
use dispatch_abi::async_ffi::FutureExt as _;
use dispatch_abi::{BODY_BYTES_MAX, CallCtx, CallOpts, Instance, Instance_TO, Reply, SharedBytes, TopicItem};
use dispatch_contracts::fault::{CANCELLED, INVALID};
use dispatch_contracts::kernel::VerbInfo;
use dispatch_contracts::{Fault, Limits, Mode};
use dispatch_wire::{result_to_abi, shared};
use futures_util::future::BoxFuture;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

pub(super) type Answer = Result<SharedBytes, Fault>;

/// Most looks at something that must become true, 5 ms apart.
const LOOKS_MAX: u32 = 1000;
/// A limit of silence that a test can wait for.
pub(super) const SILENCE_MS: u64 = 80;

pub(super) struct World {
    pub(super) router: Arc<Router>,
    pub(super) caller: Arc<Endpoint>,
    pub(super) callee: Arc<Endpoint>,
    /// Calls that the callee has taken up.
    pub(super) opened: UnboundedReceiver<NativeCall>,
}

/// Plays the act that the verb names.
struct Actor {
    opened: UnboundedSender<NativeCall>,
}

impl NativeService for Actor {
    fn verbs(&self) -> Vec<VerbInfo> {
        let info = |name: &str, mode, limits| VerbInfo { name: name.to_owned(), mode, limits };
        let mut verbs = Vec::new();
        for act in [
            "answer",
            "fault",
            "panic",
            "wait",
            "hang",
            "obey",
            "nest",
            "many",
            "relay-panic",
            "leave",
            "report-child",
            "ask",
            "large",
        ] {
            verbs.push(info(&format!("toy.v1/{act}"), Mode::Spawned, Limits::short(10_000)));
            verbs.push(info(&format!("toy.v1/{act}-inline"), Mode::Inline, Limits::short(10_000)));
            verbs.push(info(&format!("toy.v1/{act}-long"), Mode::Spawned, Limits::long(0)));
        }
        verbs.push(info("toy.v1/hang-silent", Mode::Spawned, Limits::long(SILENCE_MS)));
        verbs.push(info("toy.v1/wait-silent", Mode::Spawned, Limits::long(SILENCE_MS)));
        verbs.push(info("toy.v1/sleep-child-silent", Mode::Spawned, Limits::long(SILENCE_MS)));
        verbs.push(info("toy.v1/host-sleep-silent", Mode::Spawned, Limits::long(SILENCE_MS)));
        verbs.push(info("toy.v1/sleep", Mode::Spawned, Limits::short(10_000)));
        verbs
    }

    fn call(&self, call: NativeCall, body: SharedBytes) -> BoxFuture<'static, Answer> {
        let opened = self.opened.clone();
        Box::pin(async move {
            let verb = call.verb().to_owned();
            let act = verb.split_once('/').map_or("", |(_, act)| act);
            let act =
                ["-inline", "-long", "-silent"].iter().find_map(|end| act.strip_suffix(end)).unwrap_or(act);
            opened.send(call.clone()).ok();
            match act {
                "answer" => Ok(body),
                "fault" => Err(Fault::new(INVALID, "as asked")),
                "panic" => panic!("as asked"),
                "wait" => {
                    call.cancelled().await;
                    Ok(shared(b"\"partial\"".to_vec()))
                }
                "obey" => {
                    call.cancelled().await;
                    Err(Fault::new(CANCELLED, "as told"))
                }
                "nest" => nest(&call, &body).await,
                "many" => many(&call).await,
                "relay-panic" => call.child("other.v1/panic", body, 0).await,
                "sleep-child" => call.child("toy.v1/sleep", body, 0).await,
                "leave" => leave(&call, body),
                "report-child" => {
                    let code = call.child("toy.v1/hang", body, 0).await.unwrap_err().code;
                    Ok(shared(format!("\"the inner call: {code}\"").into_bytes()))
                }
                "large" => Ok(shared(vec![b' '; BODY_BYTES_MAX + 1])),
                "ask" => call.child("toy_host.v1/ask", body, 0).await,
                "host-sleep" => {
                    call.sleep(Duration::from_millis(SILENCE_MS * 4)).await;
                    Ok(body)
                }
                "sleep" => {
                    tokio::time::sleep(Duration::from_millis(SILENCE_MS * 4)).await;
                    Ok(body)
                }
                _ => std::future::pending().await,
            }
        })
    }
}

/// Answers while two calls that were made out of this one go on; one is driven, one only held.
fn leave(call: &NativeCall, body: SharedBytes) -> Answer {
    let mut driven = call.child_stream("toy.v1/wait-long", body.clone(), 0)?;
    let held = call.child_stream("toy.v1/hang-long", body.clone(), 0)?;
    tokio::spawn(async move { driven.next().await.map(|_| ()) });
    tokio::spawn(async move {
        let _held = held;
        std::future::pending::<()>().await
    });
    Ok(body)
}

/// Calls itself as often as the body says.
async fn nest(call: &NativeCall, body: &SharedBytes) -> Answer {
    let left: u64 = serde_json::from_slice(body).unwrap();
    if left == 0 {
        return Ok(body.clone());
    }
    call.child("toy.v1/nest", shared((left - 1).to_string().into_bytes()), 0).await
}

pub(super) const EMITTERS: usize = 4;
pub(super) const FRAMES_EACH: usize = 3000;

/// Several tasks emit on this one call, each in its own order.
async fn many(call: &NativeCall) -> Answer {
    let mut tasks = Vec::new();
    for emitter in 0..EMITTERS {
        let call = call.clone();
        tasks.push(tokio::spawn(async move {
            for n in 0..FRAMES_EACH {
                call.emit(frame(emitter, n)).await?;
            }
            Ok::<_, Fault>(())
        }));
    }
    for task in tasks {
        task.await.unwrap()?;
    }
    Ok(shared(b"\"all\"".to_vec()))
}

/// 128 bytes, so that the credit runs out every 512 frames.
fn frame(emitter: usize, n: usize) -> SharedBytes {
    shared(format!("{:<128}", format!("[{emitter},{n}]")).into_bytes())
}

/// Whether `frames` are all of `many`, each emitter's in order.
pub(super) fn assert_all_in_order(frames: &[SharedBytes]) {
    let mut next = [0; EMITTERS];
    for frame in frames {
        let [emitter, n]: [usize; 2] = serde_json::from_slice(frame).unwrap();
        assert_eq!(n, next[emitter], "emitter {emitter}");
        next[emitter] += 1;
    }
    assert_eq!(next, [FRAMES_EACH; EMITTERS]);
}

pub(super) fn extension(id: &str, calls_in_flight_max: u32) -> Endpoint {
    let contracts = ["toy.v1", "op.v1"].map(str::to_owned);
    Endpoint::new(id, Some(contracts.into()), false, calls_in_flight_max)
}

pub(super) fn world(calls_in_flight_max: u32) -> World {
    let (sender, opened) = unbounded_channel();
    let router = Router::new(Arc::new(SystemClock), Handle::current(), 2);
    let service: Arc<dyn NativeService> = Arc::new(Actor { opened: sender });
    let callee = Endpoint { may_call: None, ..Endpoint::new("callee", None, false, calls_in_flight_max) };
    callee.set_verbs(service.verbs());
    callee.peer.set(Peer::Native(service)).ok();
    let world = World { router, caller: Arc::new(extension("caller", 8)), callee: Arc::new(callee), opened };
    world.serve("toy.v1", &world.callee);
    world
}

impl World {
    /// Lets `endpoint` answer `contract`.
    pub(super) fn serve(&self, contract: &str, endpoint: &Arc<Endpoint>) {
        let mut table = Table::clone(&self.router.table.load());
        table.services.insert(contract.to_owned(), Arc::clone(endpoint));
        self.router.table.store(Arc::new(table));
    }

    pub(super) fn start(&self, verb: &str, opts: CallOpts) -> Result<RoutedCall, Fault> {
        self.router.start_call(&self.caller, verb, opts, shared(b"{}".to_vec()), None)
    }

    pub(super) async fn call(&self, verb: &str, body: &str) -> Answer {
        let body = shared(body.as_bytes().to_vec());
        self.router.native_call(&self.caller, None, verb, body, NativeWishes::default()).await
    }

    /// Waits until nothing is open and nothing is held.
    pub(super) async fn settle(&self) {
        eventually("every call is closed", || self.held() == (0, 0, 0, 0)).await;
    }

    /// Calls open, slots of the callee, long calls, streams of the caller.
    pub(super) fn held(&self) -> (usize, u32, u64, usize) {
        (
            self.router.calls.len(),
            self.callee.calls_in_flight.load(Ordering::SeqCst),
            self.router.long_calls_open.load(Ordering::SeqCst),
            self.caller.streams.lock().unwrap().len(),
        )
    }
}

pub(super) fn opts(parent_call_id: u64, stream_id: u64, budget_ms: u64) -> CallOpts {
    CallOpts { parent_call_id, stream_id, budget_ms, meta: shared(Vec::new()) }
}

pub(super) async fn eventually(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..LOOKS_MAX {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{what}: not so");
}

/// An instance made by hand, behind the real boundary.
pub(super) struct Handmade<C, X, S> {
    /// Answers `call`.
    pub(super) on_call: C,
    /// Takes `cancel`.
    pub(super) on_cancel: X,
    /// Takes `on_stream`.
    pub(super) on_stream: S,
}

impl<C, F, X, S> Instance for Handmade<C, X, S>
where
    C: Fn(u64) -> F + Send + Sync,
    F: Future<Output = Answer> + Send + 'static,
    X: Fn(u64) + Send + Sync,
    S: Fn(u64, &[SharedBytes]) + Send + Sync,
{
    fn start(&self) -> Reply<SharedBytes> {
        std::future::ready(RResult::ROk(shared(Vec::new()))).into_ffi()
    }

    fn stop(&self) -> Reply<()> {
        std::future::ready(RResult::ROk(())).into_ffi()
    }

    fn call(&self, _verb: RStr<'_>, ctx: CallCtx, _body: SharedBytes) -> Reply<SharedBytes> {
        let answer = (self.on_call)(ctx.call_id);
        async move { result_to_abi(answer.await) }.into_ffi()
    }

    fn cancel(&self, call_id: u64) {
        (self.on_cancel)(call_id);
    }

    fn on_stream(&self, stream_id: u64, frames: RSlice<'_, SharedBytes>) {
        (self.on_stream)(stream_id, frames.as_slice());
    }

    fn on_topic(&self, _items: RSlice<'_, TopicItem>) {}
}

/// Puts `instance` behind `endpoint`.
pub(super) fn open(endpoint: &Endpoint, instance: impl Instance + 'static) {
    let opened = endpoint.peer.set(Peer::Extension(Instance_TO::from_value(instance, TD_Opaque)));
    assert!(opened.is_ok(), "opened once");
}

pub(super) async fn refuses(_call_id: u64) -> Answer {
    Err(Fault::new(INVALID, "answers nothing"))
}
