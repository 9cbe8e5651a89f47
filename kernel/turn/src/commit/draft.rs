//! What one provider stream has said so far: the parts of the message, and the deltas on their way out.
//!
//! Deltas are coalesced: the first of a block is shown at once, the others when the last showing is [`TEXT_FLUSH_MS`]
//! old or [`TEXT_FLUSH_BYTES`] wait. It must not know what becomes of the tool calls.

use crate::bound::first_chars;
use crate::ctx::Ctx;
use crate::limits::{NAME_CHARS_MAX, TEXT_FLUSH_BYTES, TEXT_FLUSH_MS};
use dispatch_contracts::Fault;
use dispatch_contracts::event::{Delta, REASONING_DELTA, TEXT_DELTA};
use dispatch_contracts::fault::TOO_LARGE;
use dispatch_contracts::provider::StreamFrame;
use serde_json::Value;

/// A tool call as the model wrote it.
#[derive(Debug)]
pub(crate) struct RawCall {
    pub(crate) tool_call_id: String,
    pub(crate) name: String,
    pub(crate) args_text: String,
    pub(crate) opaque: Value,
}

/// One part of the message in the making; consecutive deltas of one kind are one part.
#[derive(Debug)]
pub(crate) enum DraftPart {
    Text(String),
    Reasoning { text: String, opaque: Value },
    Call(RawCall),
}

/// The message of one provider stream in the making.
pub(crate) struct Draft<'a> {
    ctx: &'a Ctx<'a>,
    step_id: &'a str,
    pub(crate) parts: Vec<DraftPart>,
    /// Whether a delta went out; such a request is not tried again.
    pub(crate) shown: bool,
    /// Calls beyond the bound.
    pub(crate) n_calls_left_out: usize,
    n_calls: usize,
    n_text_bytes: usize,
    n_other_bytes: usize,
    /// Event type of the open block.
    block: Option<&'static str>,
    pending: String,
    shown_at: u64,
}

impl<'a> Draft<'a> {
    pub(crate) fn new(ctx: &'a Ctx<'a>, step_id: &'a str) -> Self {
        Self {
            ctx,
            step_id,
            parts: Vec::new(),
            shown: false,
            n_calls_left_out: 0,
            n_calls: 0,
            n_text_bytes: 0,
            n_other_bytes: 0,
            block: None,
            pending: String::new(),
            shown_at: 0,
        }
    }

    /// Takes one frame. Errors: `too_large` the step says more than a step may.
    pub(crate) async fn push(&mut self, frame: StreamFrame) -> Result<(), Fault> {
        match frame {
            StreamFrame::TextDelta { text } => {
                self.count_text(&text)?;
                if let Some(DraftPart::Text(last)) = self.parts.last_mut() {
                    last.push_str(&text);
                } else if !text.is_empty() {
                    self.parts.push(DraftPart::Text(text.clone()));
                }
                self.delta(TEXT_DELTA, &text).await;
            }
            StreamFrame::ReasoningDelta { text } => {
                self.count_text(&text)?;
                if let Some(DraftPart::Reasoning { text: last, opaque: Value::Null }) = self.parts.last_mut()
                {
                    last.push_str(&text);
                } else if !text.is_empty() {
                    self.parts.push(DraftPart::Reasoning { text: text.clone(), opaque: Value::Null });
                }
                self.delta(REASONING_DELTA, &text).await;
            }
            StreamFrame::ReasoningOpaque { opaque } => {
                self.close_block().await;
                self.count_other(opaque.to_string().len())?;
                self.seal_reasoning(opaque);
            }
            StreamFrame::ToolCall { tool_call_id, name, args_text, opaque } => {
                self.close_block().await;
                if self.n_calls == self.ctx.tools.limits.tool_calls_per_step_max {
                    self.n_calls_left_out += 1;
                    return Ok(());
                }
                let n_opaque = if opaque.is_null() { 0 } else { opaque.to_string().len() };
                self.count_other(tool_call_id.len() + name.len() + args_text.len() + n_opaque)?;
                self.n_calls += 1;
                let name = first_chars(&name, NAME_CHARS_MAX).to_owned();
                self.parts.push(DraftPart::Call(RawCall { tool_call_id, name, args_text, opaque }));
            }
            StreamFrame::Unknown => {}
        }
        Ok(())
    }

    /// Shows what waits and ends the block.
    pub(crate) async fn close_block(&mut self) {
        self.flush().await;
        self.block = None;
    }

    /// Shows what waits.
    pub(crate) async fn flush(&mut self) {
        let Some(kind) = self.block else { return };
        if self.pending.is_empty() {
            return;
        }
        let text = std::mem::take(&mut self.pending);
        self.ctx.frames.emit(kind, &Delta { step_id: self.step_id.to_owned(), text }).await;
        self.shown_at = self.ctx.now_ms();
    }

    /// Ms until a waiting delta must go out; `None` when none waits.
    pub(crate) fn due_ms(&self) -> Option<u64> {
        (!self.pending.is_empty()).then(|| TEXT_FLUSH_MS.saturating_sub(self.ctx.since(self.shown_at)))
    }

    async fn delta(&mut self, kind: &'static str, text: &str) {
        if text.is_empty() {
            return;
        }
        let first = self.block != Some(kind);
        if first {
            self.close_block().await;
            self.block = Some(kind);
        }
        self.shown = true;
        self.pending.push_str(text);
        let due = self.pending.len() >= TEXT_FLUSH_BYTES || self.ctx.since(self.shown_at) >= TEXT_FLUSH_MS;
        if first || due {
            self.flush().await;
        }
    }

    /// Puts `opaque` to the first reasoning without one; some wires send them all at the end of the message, in order.
    fn seal_reasoning(&mut self, opaque: Value) {
        let unsealed = self.parts.iter_mut().find_map(|part| match part {
            DraftPart::Reasoning { opaque: slot @ Value::Null, .. } => Some(slot),
            DraftPart::Text(_) | DraftPart::Reasoning { .. } | DraftPart::Call(_) => None,
        });
        match unsealed {
            Some(slot) => *slot = opaque,
            None => self.parts.push(DraftPart::Reasoning { text: String::new(), opaque }),
        }
    }

    fn count_text(&mut self, text: &str) -> Result<(), Fault> {
        let bytes_max = self.ctx.tools.limits.step_text_bytes_max;
        if self.n_text_bytes + text.len() > bytes_max {
            return Err(Fault::new(
                TOO_LARGE,
                format!("step `{}` says more than {bytes_max} bytes; ask for less at once", self.step_id),
            ));
        }
        self.n_text_bytes += text.len();
        Ok(())
    }

    fn count_other(&mut self, n_bytes: usize) -> Result<(), Fault> {
        self.n_other_bytes += n_bytes;
        if self.n_text_bytes + self.n_other_bytes > self.ctx.tools.limits.message_bytes_max {
            return Err(message_too_large(self.ctx, self.step_id));
        }
        Ok(())
    }
}

/// The fault of a step whose message cannot be kept.
pub(crate) fn message_too_large(ctx: &Ctx<'_>, step_id: &str) -> Fault {
    let bytes_max = ctx.tools.limits.message_bytes_max;
    Fault::new(
        TOO_LARGE,
        format!("the message of step `{step_id}` is larger than {bytes_max} bytes; ask for less at once"),
    )
}
