//! The two streams of one `run`, written in order; all text passes through `plain` here or comes from it.

use crate::plain::{Plain, json_line};
use dispatch_sdk::contracts::command::{OutFrame, Tty};
use dispatch_sdk::contracts::tool::OutputStream;
use dispatch_sdk::{Call, Fault};
use std::sync::Arc;

/// Where a `run` writes. Whoever holds it has the terminal for itself.
pub(crate) struct Screen {
    call: Arc<Call>,
    tty: Tty,
    plain: Plain,
    /// Text was written to standard output and its line is not ended.
    in_line: bool,
}

impl Screen {
    pub(crate) fn new(call: Arc<Call>, tty: Tty) -> Self {
        Self { call, tty, plain: Plain::default(), in_line: false }
    }

    /// Text of the model, as it comes.
    pub(crate) async fn text(&mut self, text: &str) -> Result<(), Fault> {
        let text = self.plain.push(text);
        self.out(text).await
    }

    /// Ends the line of text that is open, if any.
    pub(crate) async fn end_text(&mut self) -> Result<(), Fault> {
        let held = self.plain.finish();
        self.out(held.to_owned()).await?;
        if self.in_line { self.out("\n".to_owned()).await } else { Ok(()) }
    }

    /// One line on standard error; `line` is plain already. Text that is open goes on after it.
    pub(crate) async fn note(&mut self, line: &str) -> Result<(), Fault> {
        let apart = if self.in_line && self.tty.stdout && self.tty.stderr { "\n" } else { "" };
        self.write(OutputStream::Stderr, format!("{apart}{line}\n")).await
    }

    /// Text on standard error without a line's end: a question. It is plain already.
    pub(crate) async fn prompt(&mut self, text: &str) -> Result<(), Fault> {
        self.write(OutputStream::Stderr, text.to_owned()).await
    }

    /// One event of `--json`.
    pub(crate) async fn json(&mut self, event: &str) -> Result<(), Fault> {
        self.write(OutputStream::Stdout, json_line(event)).await
    }

    /// Several lines that are no model's, such as help; made plain here.
    pub(crate) async fn page(&mut self, stream: OutputStream, text: &str) -> Result<(), Fault> {
        let mut plain = Plain::default();
        let text = plain.push(text) + plain.finish();
        self.write(stream, format!("{}\n", text.trim_end())).await
    }

    async fn out(&mut self, text: String) -> Result<(), Fault> {
        if text.is_empty() {
            return Ok(());
        }
        self.in_line = !text.ends_with('\n');
        self.write(OutputStream::Stdout, text).await
    }

    async fn write(&self, stream: OutputStream, text: String) -> Result<(), Fault> {
        self.call.emit(&OutFrame { stream, text }).await
    }
}
