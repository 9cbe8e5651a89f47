//! A turn's ports over the router: every call belongs to the `turn.v1/run` call that the turn runs in.

use crate::router::{NativeCall, NativeStream, StreamItem};
use dispatch_contracts::event::EventBody;
use dispatch_contracts::fault::BROKEN;
use dispatch_contracts::filter::{self, ApplyParams, ApplyReply};
use dispatch_contracts::provider::{self, StreamParams};
use dispatch_contracts::retry::{self, DecideParams, DecideReply};
use dispatch_contracts::tool::{self, RunParams};
use dispatch_contracts::turn::{
    self, AskParams, AskReply, BoundaryParams, BoundaryReply, CommitParams, KeepParams, KeepReply,
    SteeringReply,
};
use dispatch_contracts::{Empty, Fault, Verb};
use dispatch_turn::{CallStream, Item, NobodyListens, ProviderStream, ToolStream, TurnPorts, TurnTools};
use dispatch_wire::{decode, encode};
use futures_util::future::BoxFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::{Duration, Instant};

/// Milliseconds a tool gets above its own timeout, so that it can say itself that it ran out of time.
const TOOL_TIMEOUT_SLACK_MS: u64 = 1_000;

/// What a turn may use from now on, if it changed since this was asked last.
pub(super) type Renewed = Box<dyn Fn() -> Option<TurnTools> + Send + Sync>;

pub(super) struct RouterPorts {
    call: NativeCall,
    turn_id: String,
    renewed: Renewed,
    /// Where the turn's clock begins.
    began: Instant,
}

/// A turn's clock: ms since it began.
pub(super) fn ms_since(began: Instant) -> u64 {
    u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX)
}

impl RouterPorts {
    pub(super) fn new(call: NativeCall, turn_id: String, renewed: Renewed, began: Instant) -> Self {
        Self { call, turn_id, renewed, began }
    }

    /// `turn_host.v1/history`.
    pub(super) async fn history(&self, params: &turn::HistoryParams) -> Result<turn::HistoryReply, Fault> {
        self.ask_for::<turn::History>(turn::History::NAME.to_owned(), params).await
    }

    async fn ask_for<V: Verb>(&self, verb: String, params: &V::Params) -> Result<V::Reply, Fault> {
        let reply = self.call.child(&verb, encode(&verb, params)?, 0).await?;
        answered(&verb, &reply)
    }

    fn open<P: Serialize>(&self, verb: String, params: &P, budget_ms: u64) -> Box<RouterStream> {
        let opened = encode(&verb, params).and_then(|body| self.call.child_stream(&verb, body, budget_ms));
        let (stream, refused) = match opened {
            Ok(stream) => (Some(stream), None),
            Err(fault) => (None, Some(fault)),
        };
        Box::new(RouterStream { verb, stream, refused })
    }
}

fn answered<T: DeserializeOwned>(verb: &str, bytes: &[u8]) -> Result<T, Fault> {
    decode(BROKEN, format_args!("what `{verb}` answered"), bytes)
}

struct RouterStream {
    verb: String,
    stream: Option<NativeStream>,
    refused: Option<Fault>,
}

impl<F: DeserializeOwned + Send, R: DeserializeOwned + Send> CallStream<F, R> for RouterStream {
    fn next(&mut self) -> BoxFuture<'_, Item<F, R>> {
        Box::pin(async move {
            let Some(stream) = &mut self.stream else {
                let over = || Fault::new(BROKEN, format!("`{}` was read past its end", self.verb));
                return Item::End(Err(self.refused.take().unwrap_or_else(over)));
            };
            match stream.next().await {
                Ok(StreamItem::Frame(bytes)) => match answered(&self.verb, &bytes) {
                    Ok(frame) => Item::Frame(frame),
                    Err(fault) => Item::End(Err(fault)),
                },
                Ok(StreamItem::End(bytes)) => Item::End(answered(&self.verb, &bytes)),
                Err(fault) => Item::End(Err(fault)),
            }
        })
    }

    fn cancel(&mut self) {
        if let Some(stream) = &self.stream {
            stream.cancel();
        }
    }
}

impl TurnPorts for RouterPorts {
    fn stream_provider(&self, provider: &str, params: StreamParams) -> ProviderStream<'_> {
        self.open(format!("{}#{provider}", provider::Stream::NAME), &params, 0)
    }

    fn run_tool(&self, name: &str, params: RunParams, timeout_ms: u64) -> ToolStream<'_> {
        let budget_ms = if timeout_ms == 0 { 0 } else { timeout_ms.saturating_add(TOOL_TIMEOUT_SLACK_MS) };
        self.open(format!("{}#{name}", tool::Run::NAME), &params, budget_ms)
    }

    fn commit<'p>(&'p self, params: &'p CommitParams) -> BoxFuture<'p, Result<(), Fault>> {
        Box::pin(async move {
            let _done: Empty = self.ask_for::<turn::Commit>(turn::Commit::NAME.to_owned(), params).await?;
            Ok(())
        })
    }

    fn ask(&self, params: AskParams) -> BoxFuture<'_, Result<AskReply, Fault>> {
        Box::pin(async move { self.ask_for::<turn::Ask>(turn::Ask::NAME.to_owned(), &params).await })
    }

    fn keep(&self, params: KeepParams) -> BoxFuture<'_, Result<KeepReply, Fault>> {
        Box::pin(async move { self.ask_for::<turn::Keep>(turn::Keep::NAME.to_owned(), &params).await })
    }

    fn renewed_tools(&self) -> Option<TurnTools> {
        (self.renewed)()
    }

    fn steering(&self) -> BoxFuture<'_, Result<SteeringReply, Fault>> {
        Box::pin(
            async move { self.ask_for::<turn::Steering>(turn::Steering::NAME.to_owned(), &Empty {}).await },
        )
    }

    fn boundary(&self, params: BoundaryParams) -> BoxFuture<'_, Result<BoundaryReply, Fault>> {
        Box::pin(
            async move { self.ask_for::<turn::Boundary>(turn::Boundary::NAME.to_owned(), &params).await },
        )
    }

    fn apply_filter(&self, name: &str, params: ApplyParams) -> BoxFuture<'_, Result<ApplyReply, Fault>> {
        let verb = format!("{}#{name}", filter::Apply::NAME);
        Box::pin(async move { self.ask_for::<filter::Apply>(verb, &params).await })
    }

    fn retry(&self, params: DecideParams) -> BoxFuture<'_, Option<DecideReply>> {
        Box::pin(async move {
            match self.ask_for::<retry::Decide>(retry::Decide::NAME.to_owned(), &params).await {
                Ok(decision) => Some(decision),
                Err(fault) => {
                    if !fault.is(dispatch_contracts::fault::NO_SERVICE) {
                        tracing::warn!(turn_id = %self.turn_id, %fault, "the retry policy did not answer");
                    }
                    None
                }
            }
        })
    }

    fn emit(&self, frame: EventBody) -> BoxFuture<'_, Result<(), NobodyListens>> {
        Box::pin(async move {
            let frame = encode("turn.v1/run", &frame).map_err(|_| NobodyListens)?;
            self.call.emit(frame).await.map_err(|_| NobodyListens)
        })
    }

    fn now_ms(&self) -> u64 {
        ms_since(self.began)
    }

    fn sleep(&self, wait_ms: u64) -> BoxFuture<'_, ()> {
        Box::pin(self.call.sleep(Duration::from_millis(wait_ms)))
    }
}
