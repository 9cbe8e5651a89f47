//! Parties without a library: how the host binary calls into the kernel and is called back.

use super::shared::Shared;
use crate::router::{Endpoint, NativeCall, NativeService, NativeStream, NativeWishes, Router, StreamItem};
use dispatch_abi::SharedBytes;
use dispatch_contracts::fault::{BROKEN, INVALID, UNKNOWN_VERB};
use dispatch_contracts::kernel::VerbInfo;
use dispatch_contracts::{Fault, Verb};
use dispatch_wire::{decode, encode};
use futures_util::future::BoxFuture;
use serde::de::DeserializeOwned;
use std::marker::PhantomData;
use std::sync::Arc;

/// Answers calls of one verb for an attached party.
pub trait HostedService<V: Verb>: Send + Sync + 'static {
    /// Answers one call. Runs on the host's runtime; dropped when the call is cancelled.
    fn answer(&self, params: V::Params) -> BoxFuture<'static, Result<V::Reply, Fault>>;
}

struct Adapter<V, S> {
    service: S,
    verb: PhantomData<fn(V)>,
}

impl<V: Verb, S: HostedService<V>> NativeService for Adapter<V, S> {
    fn verbs(&self) -> Vec<VerbInfo> {
        vec![VerbInfo { name: V::NAME.to_owned(), mode: V::MODE, limits: V::LIMITS }]
    }

    fn call(&self, call: NativeCall, body: SharedBytes) -> BoxFuture<'static, Result<SharedBytes, Fault>> {
        if call.verb() != V::NAME {
            let message = format!("the host binary does not serve `{}`", call.verb());
            return Box::pin(std::future::ready(Err(Fault::new(UNKNOWN_VERB, message))));
        }
        match decode(INVALID, format_args!("the parameters of `{}`", V::NAME), &body) {
            Ok(params) => {
                let answer = self.service.answer(params);
                Box::pin(async move { encode(V::NAME, &answer.await?) })
            }
            Err(fault) => Box::pin(std::future::ready(Err(fault))),
        }
    }
}

/// An attached party's own handle for calls.
#[derive(Clone)]
pub struct Attached {
    router: Arc<Router>,
    endpoint: Arc<Endpoint>,
}

pub(super) fn attach<V: Verb, S: HostedService<V>>(shared: &Arc<Shared>, id: &str, service: S) -> Attached {
    let service: Adapter<V, S> = Adapter { service, verb: PhantomData };
    let endpoint = Endpoint::native(id, Arc::new(service), true);
    Attached { router: Arc::clone(&shared.router), endpoint }
}

/// What comes out of a call's stream.
#[derive(Debug)]
pub enum Frame<F, R> {
    /// One frame; more may follow.
    Frame(F),
    /// The reply; nothing follows.
    End(R),
}

/// A call of an attached party. Dropping it cancels it in two phases.
pub struct AttachedCall<V> {
    stream: NativeStream,
    verb: PhantomData<fn(V)>,
}

impl Attached {
    /// Makes a root call of a many-valued verb and listens to its frames; `name` is what stands after `#`.
    pub fn stream_named<V: Verb>(
        &self,
        _verb: V,
        name: &str,
        params: &V::Params,
    ) -> Result<AttachedCall<V>, Fault> {
        self.begin(&format!("{}#{name}", V::NAME), params)
    }

    /// Makes a root call of a single-valued verb and listens to its frames.
    pub fn stream<V: Verb>(&self, _verb: V, params: &V::Params) -> Result<AttachedCall<V>, Fault> {
        self.begin(V::NAME, params)
    }

    /// Makes a root call of a many-valued verb and waits for its reply; frames are passed over.
    pub async fn call_named<V: Verb>(
        &self,
        _verb: V,
        name: &str,
        params: &V::Params,
    ) -> Result<V::Reply, Fault> {
        self.begin::<V>(&format!("{}#{name}", V::NAME), params)?.reply().await
    }

    /// The same for a single-valued verb.
    pub async fn call<V: Verb>(&self, _verb: V, params: &V::Params) -> Result<V::Reply, Fault> {
        self.begin::<V>(V::NAME, params)?.reply().await
    }

    fn begin<V: Verb>(&self, verb: &str, params: &V::Params) -> Result<AttachedCall<V>, Fault> {
        let body = encode(verb, params)?;
        let stream = self.router.native_stream(&self.endpoint, None, verb, body, NativeWishes::default())?;
        Ok(AttachedCall { stream, verb: PhantomData })
    }
}

impl<V: Verb> AttachedCall<V> {
    /// The next frame, or the reply. An `Err` is the end as well. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Result<Frame<V::Frame, V::Reply>, Fault> {
        match self.stream.next().await? {
            StreamItem::Frame(bytes) => read::<V, _>(&bytes).map(Frame::Frame),
            StreamItem::End(bytes) => read::<V, _>(&bytes).map(Frame::End),
        }
    }

    /// The reply, frames passed over.
    async fn reply(mut self) -> Result<V::Reply, Fault> {
        loop {
            if let Frame::End(reply) = self.next().await? {
                return Ok(reply);
            }
        }
    }

    /// First phase of cancelling: the callee has 500 ms to answer with what there is.
    pub fn cancel(&self) {
        self.stream.cancel();
    }
}

fn read<V: Verb, T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Fault> {
    decode(BROKEN, format_args!("what `{}` answered", V::NAME), bytes)
}
