//! The ABI's `Instance` over an author's `Extension`.

use crate::call::Call;
use crate::config::Config;
use crate::extension::{Extension, Verbs};
use crate::guard::{Guarded, entry};
use crate::host::Host;
use crate::inner::Inner;
use crate::runtime::Spawned;
use crate::topics::TopicQueue;
use dispatch_abi::abi_stable::sabi_trait::TD_Opaque;
use dispatch_abi::abi_stable::std_types::{RResult, RSlice, RStr};
use dispatch_abi::async_ffi::FutureExt as _;
use dispatch_abi::{
    Bytes, CallCtx, HostObj, Instance, Instance_TO, InstanceObj, Reply, SharedBytes, TopicItem,
};
use dispatch_contracts::fault::{INVALID, UNKNOWN_VERB};
use dispatch_contracts::kernel::{OpenParams, Started};
use dispatch_contracts::{Fault, Mode};
use dispatch_wire::{decode, encode, result_to_abi};
use std::future::Future;
use std::sync::Arc;

/// Opens one instance of `E`: what `Module::open` of its library does, and what the testkit does without a library.
pub extern "C" fn open<E: Extension>(
    host: HostObj,
    config: Bytes,
) -> RResult<InstanceObj, dispatch_abi::Fault> {
    result_to_abi(open_instance::<E>(host, &config))
}

fn open_instance<E: Extension>(host: HostObj, config: &[u8]) -> Result<InstanceObj, Fault> {
    let params: OpenParams = decode(INVALID, "the parameters of `open`", config)?;
    crate::logging::install(&host);
    let inner = Arc::new(Inner::new(&params.instance, params.workers, host));
    let topics = Arc::new(TopicQueue::new(params.topic_queue_max));
    let (extension, verbs) = entry(&inner, "open", || {
        let extension = E::open(Host::root(Arc::clone(&inner)), Config { params })?;
        Ok((Arc::new(extension), Verbs::<E>::of()))
    })?;
    let adapter = Adapter { extension, verbs, inner, topics };
    Ok(Instance_TO::from_value(adapter, TD_Opaque))
}

struct Adapter<E: Extension> {
    extension: Arc<E>,
    verbs: Verbs<E>,
    inner: Arc<Inner>,
    topics: Arc<TopicQueue>,
}

impl<E: Extension> Adapter<E> {
    fn drive<T, F>(&self, mode: Mode, what: String, future: F) -> Reply<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Fault>> + Send + 'static,
    {
        let guarded = Guarded::new(Arc::clone(&self.inner), what, future);
        match mode {
            Mode::Inline => async move { result_to_abi(guarded.await) }.into_ffi(),
            Mode::Spawned => match self.inner.runtime.handle() {
                Ok(handle) => {
                    let spawned = Spawned { task: handle.spawn(guarded) };
                    async move { result_to_abi(spawned.await) }.into_ffi()
                }
                Err(fault) => std::future::ready(result_to_abi(Err(fault))).into_ffi(),
            },
        }
    }

    fn call_or_fault(
        &self,
        verb: &str,
        ctx: CallCtx,
        body: SharedBytes,
    ) -> Result<Reply<SharedBytes>, Fault> {
        let (name, target) = match verb.split_once('#') {
            Some((name, target)) => (name, Some(target.to_owned())),
            None => (verb, None),
        };
        let Some(served) = self.verbs.table.get(name) else {
            return Err(Fault::new(
                UNKNOWN_VERB,
                format!("`{}` does not serve `{name}`", self.inner.instance),
            ));
        };
        let open = self.inner.calls.open(ctx.call_id);
        let call = Call::new(Arc::clone(&self.inner), ctx, target, open.state());
        let handler =
            entry(&self.inner, verb, || Ok((served.handler)(Arc::clone(&self.extension), call, body)))?;
        let future = async move {
            let _open = open;
            handler.await
        };
        Ok(self.drive(served.info.mode, verb.to_owned(), future))
    }
}

impl<E: Extension> Instance for Adapter<E> {
    fn start(&self) -> Reply<SharedBytes> {
        let verbs = self.verbs.table.values().map(|served| served.info.clone()).collect();
        let extension = Arc::clone(&self.extension);
        let started = async move {
            let contributes = extension.start().await?;
            encode("start", &Started { verbs, contributes })
        };
        self.drive(E::START, "start".to_owned(), started)
    }

    fn stop(&self) -> Reply<()> {
        let extension = Arc::clone(&self.extension);
        let stopped = self.drive(E::START, "stop".to_owned(), async move { extension.stop().await });
        let ends = EndsRuntime { inner: Arc::clone(&self.inner) };
        async move {
            let answer = stopped.await;
            drop(ends);
            answer
        }
        .into_ffi()
    }

    fn call(&self, verb: RStr<'_>, ctx: CallCtx, body: SharedBytes) -> Reply<SharedBytes> {
        match self.call_or_fault(verb.as_str(), ctx, body) {
            Ok(reply) => reply,
            Err(fault) => std::future::ready(result_to_abi(Err(fault))).into_ffi(),
        }
    }

    fn cancel(&self, call_id: u64) {
        self.inner.calls.cancel(call_id);
    }

    fn on_stream(&self, stream_id: u64, frames: RSlice<'_, SharedBytes>) {
        self.inner.streams.deliver(stream_id, frames);
    }

    fn on_topic(&self, items: RSlice<'_, TopicItem>) {
        self.topics.take(items.as_slice(), &self.inner, &self.extension);
    }
}

impl<E: Extension> Drop for Adapter<E> {
    fn drop(&mut self) {
        self.inner.runtime.shut_down();
    }
}

/// The host keeps the instance for good, so its threads and background tasks end with `stop`: when it has answered,
/// and as well when the host waits for it no longer.
struct EndsRuntime {
    inner: Arc<Inner>,
}

impl Drop for EndsRuntime {
    fn drop(&mut self) {
        self.inner.runtime.shut_down();
    }
}
