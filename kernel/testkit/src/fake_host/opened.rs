//! An opened instance as the test calls it.

use super::flow::TestQueue;
use super::host::FakeHost;
use super::open_call::Caller;
use super::pending::PendingReply;
use super::route::Wishes;
use super::slot::Slot;
use dispatch_abi::{SharedBytes, TopicItem};
use dispatch_contracts::fault::BROKEN;
use dispatch_contracts::kernel::Started;
use dispatch_contracts::{Fault, Verb};
use dispatch_sdk::{Item, Meta};
use dispatch_wire::{decode, result_from_abi, shared};
use serde_json::Value;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

/// The caller's name when the test itself calls.
pub const TEST_CALLER: &str = "test";

/// An opened and started instance. Cheap to clone; the host lives as long as one of them.
#[derive(Clone)]
pub struct Opened {
    host: FakeHost,
    pub(super) slot: Arc<Slot>,
    caller: String,
    meta: Meta,
    budget_ms: u64,
}

impl Opened {
    pub(super) fn new(host: FakeHost, slot: Arc<Slot>) -> Self {
        let meta = Meta { actor: "user:test".to_owned(), ..Meta::default() };
        Self { host, slot, caller: TEST_CALLER.to_owned(), meta, budget_ms: 0 }
    }

    /// The host that it was opened in.
    pub fn host(&self) -> &FakeHost {
        &self.host
    }

    /// Its instance id.
    pub fn id(&self) -> &str {
        &self.slot.id
    }

    /// What `start` answered.
    pub fn started(&self) -> &Started {
        self.slot.started.get().expect("an `Opened` is made after the start")
    }

    /// The same instance, called in the name of another one.
    #[must_use]
    pub fn as_caller(&self, caller: &str) -> Self {
        Self { caller: caller.to_owned(), ..self.clone() }
    }

    /// The same instance, called with this meta.
    #[must_use]
    pub fn with_meta(&self, meta: Meta) -> Self {
        Self { meta, ..self.clone() }
    }

    /// The same instance, called with this budget in ms; 0 = only the verb's own limit.
    #[must_use]
    pub fn with_budget_ms(&self, budget_ms: u64) -> Self {
        Self { budget_ms, ..self.clone() }
    }

    /// Calls a verb and awaits its reply; the callee's frames are dropped.
    pub async fn call<V: Verb>(&self, _verb: V, params: &V::Params) -> Result<V::Reply, Fault> {
        read(V::NAME, &self.begin(V::NAME, encode(params), false).0.await?)
    }

    /// Calls a verb of a many-valued contract: `name` is what stands after `#`.
    pub async fn call_named<V: Verb>(
        &self,
        _verb: V,
        name: &str,
        params: &V::Params,
    ) -> Result<V::Reply, Fault> {
        let verb = format!("{}#{name}", V::NAME);
        read(&verb, &self.begin(&verb, encode(params), false).0.await?)
    }

    /// Calls a verb by its wire name with any parameters.
    pub async fn call_raw(&self, verb: &str, params: &Value) -> Result<Value, Fault> {
        read(verb, &self.begin(verb, encode(params), false).0.await?)
    }

    /// Calls a verb and listens to its frames.
    pub fn stream<V: Verb>(&self, _verb: V, params: &V::Params) -> OpenedStream<V> {
        self.open_stream(V::NAME, encode(params))
    }

    /// Calls a verb of a many-valued contract and listens to its frames.
    pub fn stream_named<V: Verb>(&self, _verb: V, name: &str, params: &V::Params) -> OpenedStream<V> {
        self.open_stream(&format!("{}#{name}", V::NAME), encode(params))
    }

    /// Delivers one notification, as if it subscribed to `topic`.
    pub fn notify(&self, topic: &str, data: &Value) {
        let item = TopicItem { topic: topic.into(), data: encode(data), missed: 0 };
        self.slot.object.on_topic([item].as_slice().into());
    }

    /// Stops the instance and takes it out of the host; its id can then be opened again.
    pub async fn stop(&self) -> Result<(), Fault> {
        let slot = Arc::clone(&self.slot);
        let stopped = self.host.shared().on_executor("`stop`", move || slot.object.stop()).await;
        self.host.shared().remove(&self.slot.id);
        result_from_abi(stopped?)
    }

    /// Ends the instance as the death of its process does: without `stop`, in the middle of whatever it does.
    ///
    /// It gets no answer from the host any more. Its open calls end `unavailable`; what it had asked of others is cancelled,
    /// and has been done whole or not at all when this returns. Its id can then be opened again.
    pub async fn kill(self) {
        self.slot.life.end();
        let shared = Arc::clone(self.host.shared());
        shared.remove(&self.slot.id);
        shared.end_calls_of_killed(&self.slot).await;
    }

    fn open_stream<V>(&self, verb: &str, body: SharedBytes) -> OpenedStream<V> {
        let (reply, frames) = self.begin(verb, body, true);
        OpenedStream {
            verb: verb.to_owned(),
            frames,
            reply: Some(reply),
            result: None,
            contract: PhantomData,
        }
    }

    fn begin(&self, verb: &str, body: SharedBytes, streamed: bool) -> (PendingReply, Arc<TestQueue>) {
        let frames = Arc::new(TestQueue::default());
        let caller = Caller::Test { name: self.caller.clone(), frames: Arc::clone(&frames) };
        let meta = encode(&self.meta);
        let wishes =
            Wishes { parent_call_id: 0, stream_id: u64::from(streamed), budget_ms: self.budget_ms, meta };
        (self.host.shared().call(caller, Some(&self.slot), verb, &wishes, body), frames)
    }
}

fn encode<T: serde::Serialize>(value: &T) -> SharedBytes {
    shared(serde_json::to_vec(value).expect("parameters of a contract always encode"))
}

fn read<T: serde::de::DeserializeOwned>(verb: &str, bytes: &[u8]) -> Result<T, Fault> {
    decode(BROKEN, format_args!("what `{verb}` answered"), bytes)
}

/// A call whose frames the test reads; each one read grants its bytes again. Dropping it cancels the call.
pub struct OpenedStream<V> {
    verb: String,
    frames: Arc<TestQueue>,
    reply: Option<PendingReply>,
    result: Option<Result<SharedBytes, Fault>>,
    contract: PhantomData<fn(V)>,
}

impl<V: Verb> OpenedStream<V> {
    /// The next frame, or the reply. An `Err` is the end as well.
    pub async fn next(&mut self) -> Result<Item<V::Frame, V::Reply>, Fault> {
        match self.next_raw().await? {
            Item::Frame(bytes) => Ok(Item::Frame(read(&self.verb, &bytes)?)),
            Item::End(bytes) => Ok(Item::End(read(&self.verb, &bytes)?)),
        }
    }

    /// Reads to the end: all frames, and the reply.
    pub async fn finish(mut self) -> (Vec<V::Frame>, Result<V::Reply, Fault>) {
        let mut frames = Vec::new();
        loop {
            match self.next().await {
                Ok(Item::Frame(frame)) => frames.push(frame),
                Ok(Item::End(reply)) => return (frames, Ok(reply)),
                Err(fault) => return (frames, Err(fault)),
            }
        }
    }

    /// Cancels the call and goes on listening: it may still answer within the grace time.
    pub fn cancel(&self) {
        if let Some(reply) = &self.reply {
            reply.cancel();
        }
    }

    /// Awaits the reply without reading a frame, hence without granting credit.
    pub async fn reply_unread(mut self) -> Result<V::Reply, Fault> {
        let Some(reply) = self.reply.take() else { return Err(past_end(&self.verb)) };
        read(&self.verb, &reply.await?)
    }

    async fn next_raw(&mut self) -> Result<Item<SharedBytes, SharedBytes>, Fault> {
        loop {
            let mut came = pin!(self.frames.came.notified());
            if let Some(frame) = self.frames.pop() {
                if let Some(reply) = &self.reply {
                    reply.grant(frame.len() as u64);
                }
                return Ok(Item::Frame(frame));
            }
            if let Some(result) = self.result.take() {
                return result.map(Item::End);
            }
            let Some(reply) = self.reply.as_mut() else { return Err(past_end(&self.verb)) };
            let done = std::future::poll_fn(|cx| match std::pin::Pin::new(&mut *reply).poll(cx) {
                Poll::Ready(result) => Poll::Ready(Some(result)),
                Poll::Pending => came.as_mut().poll(cx).map(|()| None),
            })
            .await;
            if let Some(result) = done {
                // The reply comes after the last frame was delivered, so look once more for frames.
                self.reply = None;
                self.result = Some(result);
            }
        }
    }
}

fn past_end(verb: &str) -> Fault {
    Fault::new(BROKEN, format!("the stream of `{verb}` was read past its end"))
}
