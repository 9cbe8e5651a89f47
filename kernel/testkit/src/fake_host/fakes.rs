//! Verbs that the test answers itself.

use super::guard::BoxFuture;
use super::open_call::{Fake, OpenCall};
use super::record::Records;
use dispatch_abi::{EMIT_FULL, EMIT_OVER, SharedBytes};
use dispatch_contracts::fault::{BROKEN, CANCELLED, INVALID};
use dispatch_contracts::{Fault, Mode};
use dispatch_sdk::Meta;
use dispatch_wire::{decode, shared};
use serde_json::Value;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// Answers at once.
pub(super) fn answered(answer: impl Fn(Value) -> Result<Value, Fault> + Send + Sync + 'static) -> Fake {
    let begin = move |_: &Arc<OpenCall>, body: &[u8]| -> BoxFuture<_> {
        let reply = read(body).and_then(|params| answer(params).map(|reply| write(&reply)));
        Box::pin(std::future::ready(reply))
    };
    Fake { mode: Mode::Inline, begin: Arc::new(begin) }
}

/// Answers with a future that runs on `runtime`; what is refused of its frames is told to `records`.
pub(super) fn streamed<F, Fut>(runtime: Handle, records: Arc<Records>, answer: F) -> Fake
where
    F: Fn(Value, FakeOut) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Value, Fault>> + Send + 'static,
{
    let begin = move |call: &Arc<OpenCall>, body: &[u8]| -> BoxFuture<_> {
        let params = match read(body) {
            Ok(params) => params,
            Err(fault) => return Box::pin(std::future::ready(Err(fault))),
        };
        let out = FakeOut { records: Arc::clone(&records), call: Arc::clone(call) };
        let task = runtime.spawn(answer(params, out));
        Box::pin(async move { Task(task).await.map(|reply| write(&reply)) })
    };
    Fake { mode: Mode::Spawned, begin: Arc::new(begin) }
}

fn read(body: &[u8]) -> Result<Value, Fault> {
    decode(INVALID, "the parameters", body)
}

fn write(value: &Value) -> SharedBytes {
    shared(value.to_string().into_bytes())
}

/// A task of the host's runtime; dropping it aborts it.
struct Task(JoinHandle<Result<Value, Fault>>);

impl Future for Task {
    type Output = Result<Value, Fault>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Poll::Ready(joined) = Pin::new(&mut self.0).poll(cx) else { return Poll::Pending };
        Poll::Ready(
            joined.unwrap_or_else(|e| Err(Fault::new(BROKEN, format!("the fake did not answer: {e}")))),
        )
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The call that a fake of [`super::FakeHost::on_stream`] answers.
#[derive(Clone)]
pub struct FakeOut {
    records: Arc<Records>,
    call: Arc<OpenCall>,
}

impl FakeOut {
    /// Emits one frame, waiting for credit; dropped when the caller wants no frames.
    ///
    /// Errors: `cancelled` when nobody takes frames any more.
    pub async fn emit(&self, frame: Value) -> Result<(), Fault> {
        let frame = write(&frame);
        loop {
            let (answer, refusal) = self.call.emit(frame.clone());
            if let Some(reason) = refusal {
                self.records.log_host(1, &reason);
            }
            match answer {
                EMIT_FULL => self.call.drained().await?,
                EMIT_OVER => {
                    return Err(Fault::new(CANCELLED, "nobody takes frames of this call any more"));
                }
                _ => return Ok(()),
            };
        }
    }

    /// Waits until the call is cancelled; then the grace time is left to answer.
    pub async fn cancelled(&self) {
        self.call.cancelled().await;
    }

    /// Its number, unique in this host.
    pub fn call_id(&self) -> u64 {
        self.call.id
    }

    /// The verb as it was called, with its `#target`.
    pub fn verb(&self) -> &str {
        &self.call.verb
    }

    /// What stands after `#`, or nothing.
    pub fn target(&self) -> &str {
        self.call.verb.split_once('#').map_or("", |(_, target)| target)
    }

    /// Instance id of the caller.
    pub fn caller(&self) -> &str {
        self.call.caller.name()
    }

    /// Who the chain of calls is for.
    pub fn meta(&self) -> Meta {
        serde_json::from_slice(&self.call.meta).unwrap_or_default()
    }

    /// Milliseconds left; 0 = no total deadline.
    pub fn budget_ms(&self) -> u64 {
        self.call.budget_ms()
    }
}
