//! The ABI's `Host` as one instance sees it.

use super::open_call::{Caller, OpenCall};
use super::record::{LogRecord, Published};
use super::route::Wishes;
use super::shared::Shared;
use super::slot::Life;
use dispatch_abi::abi_stable::sabi_trait::TD_Opaque;
use dispatch_abi::abi_stable::std_types::{RArc, RStr, RString};
use dispatch_abi::async_ffi::{FfiFuture, FutureExt as _};
use dispatch_abi::{CallOpts, EMIT_OVER, Host, Host_TO, HostObj, Reply, SharedBytes};
use dispatch_contracts::Fault;
use dispatch_contracts::bounds::is_topic_of;
use dispatch_contracts::fault::{CANCELLED, UNAVAILABLE};
use dispatch_wire::result_to_abi;
use serde_json::Value;
use std::sync::Arc;

/// The most verbose level that a fake host keeps: debug.
const LOG_LEVEL_MAX: u8 = 4;

#[derive(Clone)]
struct Handle {
    shared: Arc<Shared>,
    instance: String,
    life: Arc<Life>,
}

/// The host object of the instance `instance`. A killed instance gets no answer from it, as a killed process gets none.
pub(super) fn host_object(shared: &Arc<Shared>, instance: &str, life: &Arc<Life>) -> HostObj {
    let handle = Handle { shared: Arc::clone(shared), instance: instance.to_owned(), life: Arc::clone(life) };
    Host_TO::from_ptr(RArc::new(handle), TD_Opaque)
}

impl Handle {
    /// A call that this instance answers now.
    fn own_call(&self, call_id: u64) -> Option<Arc<OpenCall>> {
        let _alive = self.life.hold()?;
        self.shared.calls().get(&call_id).filter(|call| call.is_answered_by(&self.instance)).cloned()
    }
}

impl Host for Handle {
    fn call(&self, verb: RStr<'_>, opts: CallOpts, body: SharedBytes) -> Reply<SharedBytes> {
        let Some(_alive) = self.life.hold() else { return std::future::pending().into_ffi() };
        let Some(slot) = self.shared.slot(&self.instance) else {
            let message =
                format!("`{}` is not open any more, or calls before it has been opened", self.instance);
            return std::future::ready(result_to_abi(Err(Fault::new(UNAVAILABLE, message)))).into_ffi();
        };
        let wishes = Wishes {
            parent_call_id: opts.parent_call_id,
            stream_id: opts.stream_id,
            budget_ms: opts.budget_ms,
            meta: opts.meta,
        };
        let reply = self.shared.call(Caller::Instance(slot), None, verb.as_str(), &wishes, body);
        async move { result_to_abi(reply.await) }.into_ffi()
    }

    fn emit(&self, call_id: u64, frame: SharedBytes) -> i64 {
        let Some(call) = self.own_call(call_id) else { return EMIT_OVER };
        let (answer, refusal) = call.emit(frame);
        if let Some(reason) = refusal {
            self.shared.records.log_host(1, &reason);
        }
        answer
    }

    fn drained(&self, call_id: u64) -> Reply<u64> {
        let call = self.own_call(call_id);
        async move {
            match call {
                Some(call) => result_to_abi(call.drained().await),
                None => result_to_abi(Err(Fault::new(CANCELLED, format!("call {call_id} is over")))),
            }
        }
        .into_ffi()
    }

    fn credit(&self, stream_id: u64, bytes: u64) {
        if stream_id == 0 {
            return;
        }
        let call = self
            .shared
            .calls()
            .values()
            .find(|call| {
                call.stream_id == stream_id
                    && matches!(&call.caller, Caller::Instance(slot) if slot.id == self.instance)
            })
            .cloned();
        if let Some(call) = call {
            call.grant(bytes);
        }
    }

    fn publish(&self, topic: RStr<'_>, data: SharedBytes) {
        let Some(_alive) = self.life.hold() else { return };
        let topic = topic.as_str().to_owned();
        if !is_topic_of(&topic, &self.instance) {
            let reason = format!(
                "`{}` published `{topic}`: refused, a topic is `<instance>.<word>`, named after the instance that \
                 publishes it",
                self.instance
            );
            self.shared.records.log_host(2, &reason);
            return;
        }
        let data = serde_json::from_slice(&data).unwrap_or(Value::Null);
        self.shared.records.add_published(Published { instance: self.instance.clone(), topic, data });
    }

    fn is_cancelled(&self, call_id: u64) -> bool {
        self.own_call(call_id).is_none_or(|call| call.is_cancelled())
    }

    fn sleep(&self, ms: u64) -> FfiFuture<()> {
        let Some(_alive) = self.life.hold() else { return std::future::pending().into_ffi() };
        self.shared.clock.sleep(&self.shared.timers, ms).into_ffi()
    }

    fn now_ms(&self) -> u64 {
        self.shared.clock.now_ms()
    }

    fn new_id(&self) -> RString {
        self.shared.clock.new_id().into()
    }

    fn log(&self, level: u8, target: RStr<'_>, record: RStr<'_>) {
        let Some(_alive) = self.life.hold() else { return };
        let record = serde_json::from_str(&record).unwrap_or_else(|_| record.as_str().into());
        let (instance, target) = (self.instance.clone(), target.as_str().to_owned());
        self.shared.records.log(LogRecord { instance, level, target, record });
    }

    fn log_level_max(&self) -> u8 {
        LOG_LEVEL_MAX
    }
}
