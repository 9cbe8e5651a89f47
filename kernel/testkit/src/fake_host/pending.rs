//! The caller's end of a call.

use super::open_call::{Cause, OpenCall};
use super::shared::Shared;
use dispatch_abi::SharedBytes;
use dispatch_contracts::Fault;
use dispatch_contracts::fault::UNAVAILABLE;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::oneshot;

/// The caller's end of a call; dropping it before the reply cancels the call.
pub(super) struct PendingReply {
    shared: Arc<Shared>,
    call: Option<Arc<OpenCall>>,
    reply: oneshot::Receiver<Result<SharedBytes, Fault>>,
}

impl PendingReply {
    pub(super) fn of(
        shared: &Arc<Shared>,
        call: Arc<OpenCall>,
        reply: oneshot::Receiver<Result<SharedBytes, Fault>>,
    ) -> Self {
        Self { shared: Arc::clone(shared), call: Some(call), reply }
    }

    pub(super) fn refused(shared: &Arc<Shared>, fault: Fault) -> Self {
        let (sender, reply) = oneshot::channel();
        // The receiver stands beside it, so this cannot fail.
        let _ = sender.send(Err(fault));
        Self { shared: Arc::clone(shared), call: None, reply }
    }

    pub(super) fn cancel(&self) {
        if let Some(call) = &self.call {
            self.shared.cancel(call, Cause::Cancelled);
        }
    }

    pub(super) fn grant(&self, bytes: u64) {
        if let Some(call) = &self.call {
            call.grant(bytes);
        }
    }
}

impl Future for PendingReply {
    type Output = Result<SharedBytes, Fault>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Poll::Ready(received) = Pin::new(&mut self.reply).poll(cx) else { return Poll::Pending };
        self.call = None;
        Poll::Ready(
            received.unwrap_or_else(|_| Err(Fault::new(UNAVAILABLE, "the host was closed before the reply"))),
        )
    }
}

impl Drop for PendingReply {
    fn drop(&mut self) {
        if let Some(call) = self.call.take() {
            call.lock().caller_gone = true;
            self.shared.cancel(&call, Cause::Cancelled);
            call.changed.notify_waiters();
        }
    }
}
