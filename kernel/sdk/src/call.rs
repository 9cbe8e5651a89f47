//! One call, as its handler sees it.

use crate::host::Host;
use crate::inner::Inner;
use crate::open_calls::CallState;
use dispatch_abi::{CallCtx, EMIT_FULL, EMIT_OVER, FRAME_BYTES_MAX, SharedBytes};
use dispatch_contracts::fault::{CANCELLED, TOO_LARGE};
use dispatch_contracts::{Fault, Meta};
use dispatch_wire::{encode, result_from_abi};
use serde::Serialize;
use std::sync::Arc;

/// An open call that this instance answers.
pub struct Call {
    inner: Arc<Inner>,
    ctx: CallCtx,
    target: Option<String>,
    state: Arc<CallState>,
}

impl Call {
    pub(crate) fn new(
        inner: Arc<Inner>,
        ctx: CallCtx,
        target: Option<String>,
        state: Arc<CallState>,
    ) -> Self {
        Self { inner, ctx, target, state }
    }

    /// Its number, unique in this host process.
    pub fn id(&self) -> u64 {
        self.ctx.call_id
    }

    /// Instance id of the caller, stamped by the router.
    pub fn caller(&self) -> &str {
        &self.ctx.caller
    }

    /// What stood after `#`: the tool, provider, filter or command meant; empty for single-valued contracts.
    pub fn target(&self) -> &str {
        self.target.as_deref().unwrap_or("")
    }

    /// Milliseconds that were left when the call came; 0 = no total deadline.
    pub fn budget_ms(&self) -> u64 {
        self.ctx.budget_ms
    }

    /// Whether the caller listens to frames.
    pub fn streamed(&self) -> bool {
        self.ctx.streamed
    }

    /// Who the chain of calls is for.
    pub fn meta(&self) -> Meta {
        serde_json::from_slice(&self.ctx.meta).unwrap_or_default()
    }

    /// A handle whose calls belong to this one.
    pub fn host(&self) -> Host {
        Host {
            inner: Arc::clone(&self.inner),
            parent_call_id: self.ctx.call_id,
            meta: SharedBytes::default(),
            budget_ms: 0,
        }
    }

    /// Emits one frame, waiting for credit.
    ///
    /// Errors: `cancelled` when nobody takes frames any more; `too_large` above 4 MiB.
    pub async fn emit<T: Serialize>(&self, frame: &T) -> Result<(), Fault> {
        if !self.ctx.streamed {
            return Ok(());
        }
        self.emit_raw(encode("a frame", frame)?).await
    }

    /// Emits one frame that is JSON already, waiting for credit.
    pub async fn emit_raw(&self, frame: SharedBytes) -> Result<(), Fault> {
        if frame.len() > FRAME_BYTES_MAX {
            let message =
                format!("a frame of {} bytes is larger than {FRAME_BYTES_MAX}; split it", frame.len());
            return Err(Fault::new(TOO_LARGE, message));
        }
        loop {
            match self.inner.host.emit(self.ctx.call_id, frame.clone()) {
                EMIT_FULL => {
                    result_from_abi(self.inner.host.drained(self.ctx.call_id).await)?;
                }
                EMIT_OVER => return Err(Fault::new(CANCELLED, "nobody takes frames of this call any more")),
                _ => return Ok(()),
            }
        }
    }

    /// Waits until a frame would be taken, so that nothing has to be held while nobody reads.
    ///
    /// Errors: `cancelled` when nobody takes frames any more.
    pub async fn room(&self) -> Result<(), Fault> {
        if !self.ctx.streamed {
            return Ok(());
        }
        result_from_abi(self.inner.host.drained(self.ctx.call_id).await).map(|_| ())
    }

    /// Whether the call has been cancelled: answer now with what there is.
    pub fn is_cancelled(&self) -> bool {
        self.state.is_cancelled() || self.inner.host.is_cancelled(self.ctx.call_id)
    }

    /// Waits until the call is cancelled. Then there are 500 ms to answer with what there is.
    pub async fn cancelled(&self) {
        self.state.cancelled().await;
    }
}
