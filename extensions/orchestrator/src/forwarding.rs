//! Frames of a run on their way to the log, in order. It must not know how the turn ends.

use crate::events::event;
use crate::outcome::Outcome;
use crate::turn_table::Turn;
use dispatch_sdk::contracts::conversations::{Live, LiveParams};
use dispatch_sdk::contracts::event::{EventBody, NOTICE};
use dispatch_sdk::contracts::fault::{OVERLOADED, UNAVAILABLE};
use dispatch_sdk::contracts::turn::Run;
use dispatch_sdk::{Backoff, CallStream, Fault, Host, Item};
use serde_json::json;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

/// Most frames forwarded in one call.
const BATCH_FRAMES_MAX: usize = 256;
/// Most bytes of frames after which a batch takes no further one.
const BATCH_BYTES_MAX: usize = 256 * 1024;
/// How often a batch is offered while the store says that it is busy.
const LIVE_ATTEMPTS_MAX: u32 = 10;
/// Before the second offer; doubled for each further one.
const LIVE_WAIT: Duration = Duration::from_millis(50);
/// Longest wait between two offers.
const LIVE_WAIT_MAX: Duration = Duration::from_secs(15);

/// Hands every frame on before it is counted, so that a commit finds all that came before it.
pub(crate) async fn forward(host: &Host, turn: &Turn, mut stream: CallStream<Run>) -> Outcome {
    loop {
        let (batch, end) = next_batch(&mut stream).await;
        if !batch.is_empty() {
            let n_frames = batch.len() as u64;
            if let Err(fault) = show(host, turn, batch).await {
                // A hole in the log must not pass in silence: dropping the stream cancels the run.
                return Outcome::Broke(fault);
            }
            turn.n_forwarded.send_modify(|n| *n += n_frames);
        }
        if let Some(outcome) = end {
            return outcome;
        }
    }
}

/// Waits for one item, then takes what is there already.
async fn next_batch(stream: &mut CallStream<Run>) -> (Vec<EventBody>, Option<Outcome>) {
    let (mut batch, mut n_bytes) = (Vec::new(), 0);
    let mut item = Some(stream.next().await);
    loop {
        match item {
            Some(Ok(Item::Frame(frame))) => {
                n_bytes += frame.data.get().len();
                batch.push(frame);
            }
            Some(Ok(Item::End(ended))) => return (batch, Some(Outcome::Ran(ended))),
            Some(Err(fault)) => return (batch, Some(Outcome::Broke(fault))),
            None => return (batch, None),
        }
        if batch.len() >= BATCH_FRAMES_MAX || n_bytes >= BATCH_BYTES_MAX {
            return (batch, None);
        }
        item = std::future::poll_fn(|cx| {
            Poll::Ready(match pin!(stream.next()).poll(cx) {
                Poll::Ready(item) => Some(item),
                Poll::Pending => None,
            })
        })
        .await;
    }
}

async fn show(host: &Host, turn: &Turn, events: Vec<EventBody>) -> Result<(), Fault> {
    let params =
        LiveParams { conversation_id: turn.conversation_id.clone(), turn_id: turn.turn_id.clone(), events };
    let mut backoff = Backoff::new(LIVE_WAIT, LIVE_WAIT_MAX);
    for _ in 1..LIVE_ATTEMPTS_MAX {
        match host.call(Live, &params).await {
            Err(fault) if fault.is(OVERLOADED) || fault.is(UNAVAILABLE) => backoff.wait(host).await,
            shown => return shown.map(drop),
        }
    }
    host.call(Live, &params).await.map(drop)
}

/// Shows a notice of the turn, before its run or within it.
pub(crate) async fn notice(host: &Host, turn: &Turn, code: &str, message: &str) -> Result<(), Fault> {
    show(host, turn, vec![event(NOTICE, &json!({ "code": code, "message": message }))]).await
}
