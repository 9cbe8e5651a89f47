//! The host as an extension sees it.

use crate::inner::Inner;
use crate::stream::{CallStream, RawStream};
use dispatch_abi::{CallOpts, SharedBytes};
use dispatch_contracts::fault::BROKEN;
use dispatch_contracts::{Fault, Meta, Verb};
use dispatch_wire::{decode, encode, result_from_abi, shared};
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;

/// A handle for calls. The one given to `open` makes root calls; the one of a [`crate::Call`] makes calls that belong
/// to it: they inherit its meta and budget, and end with it. Cheap to clone.
#[derive(Clone)]
pub struct Host {
    pub(crate) inner: Arc<Inner>,
    pub(crate) parent_call_id: u64,
    pub(crate) meta: SharedBytes,
    pub(crate) budget_ms: u64,
}

impl Host {
    pub(crate) fn root(inner: Arc<Inner>) -> Self {
        Self { inner, parent_call_id: 0, meta: shared(Vec::new()), budget_ms: 0 }
    }

    /// The same handle, making root calls with these wishes for their meta; who and where (`actor` to
    /// `computer`) count only with the capability `identity`.
    #[must_use]
    pub fn with_meta(&self, meta: &Meta) -> Self {
        let meta = serde_json::to_vec(meta).expect("a struct of strings always encodes");
        Self {
            inner: Arc::clone(&self.inner),
            parent_call_id: 0,
            meta: shared(meta),
            budget_ms: self.budget_ms,
        }
    }

    /// The same handle with a budget for each call, in ms; the verb's own limit and the parent's rest still bound it.
    #[must_use]
    pub fn with_budget_ms(&self, budget_ms: u64) -> Self {
        Self { budget_ms, ..self.clone() }
    }

    /// The same handle making root calls: for work that outlives the call it came from.
    #[must_use]
    pub fn detached(&self) -> Self {
        Self::root(Arc::clone(&self.inner))
    }

    /// Calls a verb of a single-valued contract and awaits its reply; frames are dropped.
    ///
    /// Errors: the contract's own codes, and the router's (`dispatch_contracts::fault`).
    pub async fn call<V: Verb>(&self, _verb: V, params: &V::Params) -> Result<V::Reply, Fault> {
        let reply = self.call_encoded(V::NAME, encode(V::NAME, params)?).await?;
        decode(BROKEN, format_args!("the reply of `{}`", V::NAME), &reply)
    }

    /// Calls a verb of a many-valued contract: `name` is what stands after `#`.
    pub async fn call_named<V: Verb>(
        &self,
        _verb: V,
        name: &str,
        params: &V::Params,
    ) -> Result<V::Reply, Fault> {
        let verb = format!("{}#{name}", V::NAME);
        let reply = self.call_encoded(&verb, encode(&verb, params)?).await?;
        decode(BROKEN, format_args!("the reply of `{verb}`"), &reply)
    }

    /// Calls a verb by its wire name with JSON that somebody else made.
    pub async fn call_raw(&self, verb: &str, body: Vec<u8>) -> Result<SharedBytes, Fault> {
        self.call_encoded(verb, shared(body)).await
    }

    /// Calls a verb and listens to its frames.
    pub fn stream<V: Verb>(&self, _verb: V, params: &V::Params) -> CallStream<V> {
        CallStream::new(self.stream_encoded(V::NAME, encode(V::NAME, params)))
    }

    /// Calls a verb of a many-valued contract and listens to its frames.
    pub fn stream_named<V: Verb>(&self, _verb: V, name: &str, params: &V::Params) -> CallStream<V> {
        let verb = format!("{}#{name}", V::NAME);
        CallStream::new(self.stream_encoded(&verb, encode(&verb, params)))
    }

    /// Calls a verb by its wire name and listens to its frames, all raw.
    pub fn stream_raw(&self, verb: &str, body: Vec<u8>) -> RawStream {
        self.stream_encoded(verb, Ok(shared(body)))
    }

    /// Publishes a notification: lossy, bounded per subscriber. The topic is `<instance>.<word>`, named after this
    /// instance; the host refuses any other, with a line in its log.
    pub fn publish<T: Serialize>(&self, topic: &str, data: &T) -> Result<(), Fault> {
        self.inner.host.publish(topic.into(), encode(topic, data)?);
        Ok(())
    }

    /// Sleeps on the host's clock; needs no runtime of the instance.
    ///
    /// Within a verb with a limit of silence it counts as silence: who sleeps longer emits a frame meanwhile.
    pub async fn sleep(&self, duration: Duration) {
        self.inner.host.sleep(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)).await;
    }

    /// Unix milliseconds on the host's clock.
    pub fn now_ms(&self) -> u64 {
        self.inner.host.now_ms()
    }

    /// A new UUIDv7.
    pub fn new_id(&self) -> String {
        self.inner.host.new_id().into()
    }

    /// The instance's own runtime, for tasks that outlive a call. Builds it if need be.
    ///
    /// Errors: `unavailable` when the instance has been stopped or no thread can be made.
    pub fn runtime(&self) -> Result<tokio::runtime::Handle, Fault> {
        self.inner.runtime.handle()
    }

    async fn call_encoded(&self, verb: &str, body: SharedBytes) -> Result<SharedBytes, Fault> {
        result_from_abi(self.inner.host.call(verb.into(), self.opts(0), body).await)
    }

    fn stream_encoded(&self, verb: &str, body: Result<SharedBytes, Fault>) -> RawStream {
        let (stream_id, queue) = self.inner.streams.open();
        let reply = body.map(|body| self.inner.host.call(verb.into(), self.opts(stream_id), body));
        RawStream::new(Arc::clone(&self.inner), stream_id, queue, reply)
    }

    fn opts(&self, stream_id: u64) -> CallOpts {
        CallOpts {
            parent_call_id: self.parent_call_id,
            stream_id,
            budget_ms: self.budget_ms,
            meta: self.meta.clone(),
        }
    }
}
