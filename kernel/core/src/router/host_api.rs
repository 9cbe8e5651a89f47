//! The ABI's `Host` for one endpoint: every call through it is stamped with that endpoint.

use super::drive::RoutedCall;
use super::log_record::Readable;
use super::state::{CallState, Endpoint, Peer, Router};
use crate::guard::HostFuture;
use dispatch_abi::abi_stable::sabi_trait::TD_Opaque;
use dispatch_abi::abi_stable::std_types::{RArc, RResult, RSlice, RStr, RString};
use dispatch_abi::async_ffi::{FfiFuture, FutureExt as _};
use dispatch_abi::{
    BODY_BYTES_MAX, CallOpts, EMIT_OVER, FRAME_BYTES_MAX, Host, Host_TO, HostObj, PANIC_LOG_TARGET, Reply,
    SharedBytes, TopicItem,
};
use dispatch_contracts::Fault;
use dispatch_contracts::bounds::is_topic_of;
use dispatch_contracts::fault::CANCELLED;
use dispatch_wire::{panic_text, result_to_abi};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

/// A longer sleep goes in parts of this, so that no timer sees a number that it cannot hold.
const SLEEP_PART_MS: u64 = 24 * 3600 * 1000;
/// Longest log record; a longer one is cut.
const LOG_BYTES_MAX: usize = 64 * 1024;

#[derive(Clone)]
struct HostHandle {
    router: Arc<Router>,
    endpoint: Arc<Endpoint>,
}

fn host_object(router: Arc<Router>, endpoint: Arc<Endpoint>) -> HostObj {
    Host_TO::from_ptr(RArc::new(HostHandle { router, endpoint }), TD_Opaque)
}

impl Router {
    /// The host as `endpoint` sees it.
    pub(crate) fn host_for(self: &Arc<Self>, endpoint: &Arc<Endpoint>) -> HostObj {
        host_object(Arc::clone(self), Arc::clone(endpoint))
    }

    /// An open call that `callee` answers.
    fn own_call(&self, callee: &Arc<Endpoint>, call_id: u64) -> Option<Arc<CallState>> {
        self.calls.get(call_id).filter(|call| Arc::ptr_eq(&call.callee, callee))
    }

    pub(super) fn emit(&self, callee: &Arc<Endpoint>, call_id: u64, frame: SharedBytes) -> i64 {
        let Some(call) = self.own_call(callee, call_id) else { return EMIT_OVER };
        if call.inline || frame.len() > FRAME_BYTES_MAX {
            tracing::warn!(
                instance = %callee.id,
                verb = %call.verb,
                inline = call.inline,
                frame_bytes = frame.len(),
                "a frame was refused: inline verbs emit none, and a frame has at most 4 MiB"
            );
            return EMIT_OVER;
        }
        call.sign();
        call.frames.emit(frame, || call.changed.notify_waiters())
    }

    pub(super) async fn drained(&self, callee: &Arc<Endpoint>, call_id: u64) -> Result<u64, Fault> {
        let over = || Fault::new(CANCELLED, "nobody takes frames of this call any more");
        let call = self.own_call(callee, call_id).ok_or_else(over)?;
        loop {
            let changed = call.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if call.is_cancelled() || call.frames.is_over() {
                return Err(over());
            }
            if let Ok(credit @ 1..) = u64::try_from(call.frames.credit()) {
                return Ok(credit);
            }
            changed.await;
        }
    }

    pub(crate) fn publish(&self, publisher: &str, topic: &str, data: &SharedBytes) {
        if !is_topic_of(topic, publisher) {
            tracing::warn!(
                instance = publisher,
                topic,
                "a notification was refused: a topic is `<instance>.<word>`, named after the instance that publishes it"
            );
            return;
        }
        if data.len() > BODY_BYTES_MAX {
            tracing::warn!(topic, bytes = data.len(), "a notification above 16 MiB was dropped");
            return;
        }
        self.listening.tell_topic(topic, data);
        let table = self.table.load();
        let Some(subscribers) = table.topics.get(topic) else { return };
        for subscriber in subscribers {
            let Some(Peer::Extension(instance)) = subscriber.peer.get() else { continue };
            let items = [TopicItem { topic: topic.into(), data: data.clone(), missed: 0 }];
            let handed = catch_unwind(AssertUnwindSafe(|| instance.on_topic(RSlice::from_slice(&items))));
            if let Err(panic) = handed {
                let text = panic_text(panic);
                subscriber.note_panic(&format!("`{}` panicked in `on_topic`: {text}", subscriber.id));
                tracing::error!(instance = %subscriber.id, topic, text, "on_topic panicked");
            }
        }
    }
}

impl Host for HostHandle {
    fn call(&self, verb: RStr<'_>, opts: CallOpts, body: SharedBytes) -> Reply<SharedBytes> {
        match self.router.start_call(&self.endpoint, verb.as_str(), opts, body, None) {
            Ok(call) => reply(call).into_ffi(),
            Err(fault) => std::future::ready(result_to_abi(Err(fault))).into_ffi(),
        }
    }

    fn emit(&self, call_id: u64, frame: SharedBytes) -> i64 {
        self.router.emit(&self.endpoint, call_id, frame)
    }

    fn drained(&self, call_id: u64) -> Reply<u64> {
        let (router, endpoint) = (Arc::clone(&self.router), Arc::clone(&self.endpoint));
        async move { result_to_abi(router.drained(&endpoint, call_id).await) }.into_ffi()
    }

    fn credit(&self, stream_id: u64, bytes: u64) {
        let call = {
            let streams = self.endpoint.streams.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            streams.get(&stream_id).cloned()
        };
        if let Some(call) = call {
            call.frames.grant(bytes);
            call.changed.notify_waiters();
        }
    }

    fn publish(&self, topic: RStr<'_>, data: SharedBytes) {
        self.router.publish(&self.endpoint.id, topic.as_str(), &data);
    }

    fn is_cancelled(&self, call_id: u64) -> bool {
        self.router.own_call(&self.endpoint, call_id).is_none_or(|call| call.is_cancelled())
    }

    fn sleep(&self, ms: u64) -> FfiFuture<()> {
        let clock = Arc::clone(&self.router.clock);
        let sleep = async move {
            let mut left = ms;
            while left > 0 {
                let part = left.min(SLEEP_PART_MS);
                clock.sleep(Duration::from_millis(part)).await;
                left -= part;
            }
        };
        HostFuture::new(self.router.runtime.clone(), sleep).into_ffi()
    }

    fn now_ms(&self) -> u64 {
        self.router.clock.now_ms()
    }

    fn new_id(&self) -> RString {
        self.router.clock.new_id().into()
    }

    fn log(&self, level: u8, target: RStr<'_>, record: RStr<'_>) {
        let instance = self.endpoint.id.as_str();
        let record = record.as_str();
        let record = &record[..record.floor_char_boundary(LOG_BYTES_MAX)];
        let target = target.as_str();
        if target == PANIC_LOG_TARGET {
            self.endpoint.note_panic(&Readable(record).to_string());
        }
        match level {
            0 | 1 => tracing::error!(target: "extension", instance, source = target, "{}", Readable(record)),
            2 => tracing::warn!(target: "extension", instance, source = target, "{}", Readable(record)),
            3 => tracing::info!(target: "extension", instance, source = target, "{}", Readable(record)),
            4 => tracing::debug!(target: "extension", instance, source = target, "{}", Readable(record)),
            _ => tracing::trace!(target: "extension", instance, source = target, "{}", Readable(record)),
        }
    }

    fn log_level_max(&self) -> u8 {
        self.router.log_level_max
    }
}

/// `RoutedCall` enters the host's runtime itself wherever it needs one, so that an inline call pays nothing for it.
async fn reply(call: RoutedCall) -> RResult<SharedBytes, dispatch_abi::Fault> {
    result_to_abi(call.await)
}
