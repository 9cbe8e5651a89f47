//! The two streams of one command, written in order; all text passes through `plain` here or comes from it.

use dispatch_sdk::contracts::command::{OutFrame, Tty};
use dispatch_sdk::contracts::plain::{Plain, json_line, plain};
use dispatch_sdk::contracts::tool::OutputStream;
use dispatch_sdk::{Call, Fault};
use std::sync::Arc;

/// Back to the line's beginning, and nothing left of it.
const ERASE: &str = "\r\u{1b}[K";
const DIM: &str = "\u{1b}[2m";
const RED: &str = "\u{1b}[31m";
const UNCOLORED: &str = "\u{1b}[0m";

/// Where a command writes. Whoever holds it has the terminal for itself.
pub(crate) struct Screen {
    call: Arc<Call>,
    tty: Tty,
    plain: Plain,
    /// Text was written to standard output and its line is not ended.
    in_line: bool,
    /// The last line of the terminal is a status, which the next line takes the place of.
    status_shown: bool,
    n_frames: u64,
}

impl Screen {
    pub(crate) fn new(call: Arc<Call>, tty: Tty) -> Self {
        Self { call, tty, plain: Plain::default(), in_line: false, status_shown: false, n_frames: 0 }
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
        self.line(line, DIM).await
    }

    /// The same of what went wrong.
    pub(crate) async fn trouble(&mut self, line: &str) -> Result<(), Fault> {
        self.line(line, RED).await
    }

    /// The same of what a person has to read before they answer.
    pub(crate) async fn asked(&mut self, line: &str) -> Result<(), Fault> {
        self.line(line, "").await
    }

    async fn line(&mut self, line: &str, color: &str) -> Result<(), Fault> {
        let apart = if self.in_line && self.tty.stdout && self.tty.stderr { "\n" } else { "" };
        let text = match color {
            "" => format!("{apart}{line}\n"),
            color if self.tty.color => format!("{apart}{color}{line}{UNCOLORED}\n"),
            _ => format!("{apart}{line}\n"),
        };
        self.write(OutputStream::Stderr, text).await
    }

    /// How many frames were written, for a question to stand below all of them.
    pub(crate) fn n_frames(&self) -> u64 {
        self.n_frames
    }

    /// What is going on, on a line that is written over again; nothing where no line can be, or text is open there.
    pub(crate) async fn status(&mut self, line: &str) -> Result<(), Fault> {
        if !self.shows_status() {
            return Ok(());
        }
        let text = if self.tty.color {
            format!("\r{DIM}{line}{UNCOLORED}\u{1b}[K")
        } else {
            format!("\r{line}\u{1b}[K")
        };
        self.emit(OutputStream::Stderr, text).await?;
        self.status_shown = true;
        Ok(())
    }

    /// Whether a status would be seen now.
    pub(crate) fn shows_status(&self) -> bool {
        self.tty.rewrites && !(self.in_line && self.tty.stdout)
    }

    /// Whether a person sees lines as they come.
    pub(crate) fn is_watched(&self) -> bool {
        self.tty.stderr
    }

    /// One event of `--json`.
    pub(crate) async fn json(&mut self, event: &str) -> Result<(), Fault> {
        self.write(OutputStream::Stdout, json_line(event)).await
    }

    /// Several lines that are no model's, such as help; made plain here.
    pub(crate) async fn page(&mut self, stream: OutputStream, text: &str) -> Result<(), Fault> {
        self.write(stream, format!("{}\n", plain(text).trim_end())).await
    }

    async fn out(&mut self, text: String) -> Result<(), Fault> {
        if text.is_empty() {
            return Ok(());
        }
        let in_line = !text.ends_with('\n');
        self.write(OutputStream::Stdout, text).await?;
        self.in_line = in_line;
        Ok(())
    }

    async fn write(&mut self, stream: OutputStream, text: String) -> Result<(), Fault> {
        if std::mem::take(&mut self.status_shown) {
            self.emit(OutputStream::Stderr, ERASE.to_owned()).await?;
        }
        self.emit(stream, text).await
    }

    async fn emit(&mut self, stream: OutputStream, text: String) -> Result<(), Fault> {
        self.call.emit(&OutFrame { stream, text }).await?;
        self.n_frames += 1;
        Ok(())
    }
}
