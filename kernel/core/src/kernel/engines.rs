//! A turn that an engine runs: what it shows and commits is handed on to whoever called `turn.v1/run`, and whatever the
//! engine does, the turn ends once.
//!
//! It must not know any engine, nor what a turn is about.

mod desk;
mod sealing;
mod written;

pub(super) use desk::Desk;

use super::ports::RouterPorts;
use super::reading::params;
use super::shared::Shared;
use crate::router::{NativeCall, StreamItem};
use dispatch_abi::SharedBytes;
use dispatch_contracts::engine;
use dispatch_contracts::event::{DURABLE_TYPES, EventBody, TurnEnded};
use dispatch_contracts::fault::{BAD_CALL, BROKEN, UNKNOWN_VERB};
use dispatch_contracts::kernel::WaitOn;
use dispatch_contracts::turn::RunParams;
use dispatch_contracts::{Fault, Verb};
use dispatch_turn::{FramesOut, Progress, StopSignal, TurnPorts};
use dispatch_wire::{decode, encode};
use sealing::Heard;
use std::sync::{Arc, PoisonError};

/// How the verbs begin that an engine may call back with.
pub(super) const HOST_CONTRACT: &str = "engine_host.v1/";

/// Lets the engine that `params` names run exactly one turn, and answers how it ended.
///
/// The last commit holds `turn_ended`, the engine's own or the kernel's; only if nobody takes a commit there is none.
pub(super) async fn run(
    shared: &Arc<Shared>,
    call: &NativeCall,
    mut params: RunParams,
    ports: RouterPorts,
    stop: StopSignal,
    progress: Progress,
) -> TurnEnded {
    // What was said before is asked for by those who want it.
    let n_before = params.messages.len().saturating_sub(1);
    params.messages.drain(..n_before);
    let desk = Arc::new(Desk::new(&params, ports, shared.policy, stop, progress));
    let _open = OpenDesk::enter(shared, call.id(), &desk);
    let heard = hand_on(call, &desk, &params).await;
    desk.seal(heard).await
}

/// Takes the engine's frames in order, until its call is over.
async fn hand_on(call: &NativeCall, desk: &Desk, params: &RunParams) -> Heard {
    let verb = format!("{}#{}", engine::Run::NAME, desk.engine);
    let opened = encode(&verb, params).and_then(|body| call.child_stream(&verb, body, 0));
    let mut stream = match opened {
        Ok(stream) => stream,
        Err(fault) => return Heard::Broke(fault),
    };
    let frames = FramesOut::new(&desk.ports, &desk.stop, &desk.progress);
    let _wait = desk.progress.wait(desk.ports.now_ms(), WaitOn::Engine, &desk.engine, None);
    let (mut told, mut broke) = (false, None);
    loop {
        let next = tokio::select! {
            biased;
            () = desk.told_to_end(), if !told => {
                told = true;
                stream.cancel();
                continue;
            }
            next = stream.next() => next,
        };
        match next {
            // Of one that broke its contract nothing is shown any more; its call is on its way to its end.
            Ok(StreamItem::Frame(_)) if broke.is_some() => {}
            Ok(StreamItem::Frame(bytes)) => match frame_of(&bytes, &desk.engine) {
                Ok(frame) => {
                    frames.show(frame).await;
                    desk.handed_on(frames.n_shown());
                }
                Err(fault) => {
                    desk.close().await;
                    broke = Some(fault);
                }
            },
            Ok(StreamItem::End(bytes)) => return broke.map_or_else(|| Heard::answered(&bytes), Heard::Broke),
            Err(fault) => return Heard::Broke(broke.unwrap_or(fault)),
        }
    }
}

/// Errors: `broken`, it is no event, or one of a type that is shown only when it is durable.
fn frame_of(bytes: &[u8], engine: &str) -> Result<EventBody, Fault> {
    let frame: EventBody = decode(BROKEN, format_args!("a frame of engine `{engine}`"), bytes)?;
    if DURABLE_TYPES.contains(&frame.kind.as_str()) {
        let message = format!(
            "engine `{engine}` emitted `{}` as a frame, which is shown only when it is durable: it belongs in a commit",
            frame.kind
        );
        return Err(Fault::new(BROKEN, message));
    }
    Ok(frame)
}

/// Answers what an engine asks within its `engine.v1/run`.
pub(super) async fn answer(
    shared: &Arc<Shared>,
    call: &NativeCall,
    body: &SharedBytes,
) -> Result<SharedBytes, Fault> {
    let (run, desk) = desk_of(shared, call)?;
    let verb = call.verb();
    match verb {
        engine::Commit::NAME => encode(verb, &desk.commit(&run, params::<engine::Commit>(body)?).await?),
        engine::Ask::NAME => encode(verb, &desk.ask(params::<engine::Ask>(body)?).await?),
        engine::Steering::NAME => encode(verb, &desk.ports.steering().await?),
        engine::Boundary::NAME => encode(verb, &desk.boundary(params::<engine::Boundary>(body)?).await?),
        engine::History::NAME => encode(verb, &desk.history(&params::<engine::History>(body)?).await?),
        other => Err(Fault::new(UNKNOWN_VERB, format!("the kernel does not serve `{other}`"))),
    }
}

/// The call of `engine.v1/run` out of which `call` was made, and the turn that it runs.
fn desk_of(shared: &Shared, call: &NativeCall) -> Result<(NativeCall, Arc<Desk>), Fault> {
    let found = call.parent().filter(is_run).and_then(|run| {
        let of = run.parent()?.id();
        let desks = shared.engine_turns.lock().unwrap_or_else(PoisonError::into_inner);
        Some((run, Arc::clone(desks.get(&of)?)))
    });
    found.ok_or_else(|| {
        let message =
            format!("`{}` was called outside of `{}`: no turn is meant", call.verb(), engine::Run::NAME);
        Fault::new(BAD_CALL, message)
    })
}

/// Whether a call is an engine's; whoever runs turns is called out of `turn.v1/run` as well.
fn is_run(call: &NativeCall) -> bool {
    call.verb().split_once('#').is_some_and(|(verb, _)| verb == engine::Run::NAME)
}

/// The entry of a desk, taken out when its turn ends in whatever way.
struct OpenDesk {
    shared: Arc<Shared>,
    call_id: u64,
}

impl OpenDesk {
    fn enter(shared: &Arc<Shared>, call_id: u64, desk: &Arc<Desk>) -> Self {
        let mut desks = shared.engine_turns.lock().unwrap_or_else(PoisonError::into_inner);
        desks.insert(call_id, Arc::clone(desk));
        Self { shared: Arc::clone(shared), call_id }
    }
}

impl Drop for OpenDesk {
    fn drop(&mut self) {
        self.shared.engine_turns.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.call_id);
    }
}
