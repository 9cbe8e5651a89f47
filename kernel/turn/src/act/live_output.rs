//! The live output of one call: bounded, and filtered by whole lines where somebody filters it.
//!
//! A line that is longer than a frame goes on at its last space. Pieces are cut anywhere, so a filter that saw them one by one would not know half a key for one. It must not know
//! how the tool runs.

use crate::act::calls::ToolCall;
use crate::ctx::{Ctx, with_grace};
use crate::filter::filter_ops::OutputFields;
use crate::filter::filters::{self, Subject};
use crate::limits::EMIT_GRACE_MS;
use dispatch_contracts::event::{TOOL_OUTPUT, ToolOutput};
use dispatch_contracts::filter::Point;
use dispatch_contracts::tool::{OutputStream, ToolFrame};

/// What a call has shown so far, up to its bound.
pub(crate) struct LiveOutput<'a> {
    ctx: &'a Ctx<'a>,
    call: &'a ToolCall<'a>,
    n_bytes_left: usize,
    /// Lines without their ends yet, of each stream; empty where nobody filters.
    stdout: String,
    stderr: String,
}

impl<'a> LiveOutput<'a> {
    pub(crate) fn new(ctx: &'a Ctx<'a>, call: &'a ToolCall<'a>) -> Self {
        let n_bytes_left = ctx.tools.limits.tool_output_bytes_max;
        Self { ctx, call, n_bytes_left, stdout: String::new(), stderr: String::new() }
    }

    /// Shows what the tool wrote; with a filter only as far as its last whole line.
    pub(crate) async fn show(&mut self, frame: ToolFrame) {
        if self.n_bytes_left == 0 || frame.text.is_empty() {
            return;
        }
        let ToolFrame { stream, text } = frame;
        match self.n_bytes_left.checked_sub(text.len()) {
            Some(left) if left > 0 => self.n_bytes_left = left,
            _ => return self.end_here("it writes too much").await,
        }
        if !self.ctx.tools.filtered(Point::ToolOutput) {
            return self.emit(stream, &text).await;
        }
        let line_bytes_max = self.ctx.tools.limits.tool_output_frame_bytes_max;
        let held = self.held(stream);
        held.push_str(&text);
        let end = match held.rfind('\n') {
            Some(at) => at + 1,
            None if held.len() >= line_bytes_max => held.rfind([' ', '\t']).map_or(held.len(), |at| at + 1),
            None => return,
        };
        let rest = held.split_off(end);
        let lines = std::mem::replace(held, rest);
        self.filter(stream, lines).await;
    }

    /// Shows the last lines; the tool writes no more.
    pub(crate) async fn finish(&mut self) {
        for stream in [OutputStream::Stdout, OutputStream::Stderr] {
            let line = std::mem::take(self.held(stream));
            if !line.is_empty() && self.n_bytes_left > 0 {
                self.filter(stream, line).await;
            }
        }
    }

    fn held(&mut self, stream: OutputStream) -> &mut String {
        match stream {
            OutputStream::Stdout => &mut self.stdout,
            OutputStream::Stderr => &mut self.stderr,
        }
    }

    async fn filter(&mut self, stream: OutputStream, text: String) {
        let (tool_call_id, name) = (self.call.id.clone(), self.call.name.clone());
        let fields = Subject::object(&OutputFields { tool_call_id, name, stream, text });
        // Frames are no log rows, and neither is what was changed of them.
        let mut changed = Vec::new();
        let filtering =
            filters::apply(self.ctx, Point::ToolOutput, Some(&self.call.id), fields, &mut changed);
        match with_grace(self.ctx.ports, self.ctx.stop, EMIT_GRACE_MS, filtering).await {
            Some(Ok(value)) => {
                let OutputFields { text, .. } = value.parse_object();
                self.emit(stream, &text).await;
            }
            Some(Err(fault)) => self.end_here(&fault.message).await,
            None => self.n_bytes_left = 0,
        }
    }

    async fn end_here(&mut self, why: &str) {
        self.n_bytes_left = 0;
        let message = format!("the live output of `{}` ends here: {why}", self.call.id);
        self.ctx.frames.notice("output_left_out", &message).await;
    }

    async fn emit(&self, stream: OutputStream, text: &str) {
        let mut rest = text;
        while !rest.is_empty() {
            let (piece, after) =
                rest.split_at(rest.floor_char_boundary(self.ctx.tools.limits.tool_output_frame_bytes_max));
            let (tool_call_id, text) = (self.call.id.clone(), piece.to_owned());
            self.ctx.frames.emit(TOOL_OUTPUT, &ToolOutput { tool_call_id, stream, text }).await;
            rest = after;
        }
    }
}
