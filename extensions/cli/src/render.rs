//! A turn's events for a person: text to standard output, all else as short notes on standard error.

use crate::exit;
use crate::plain::one_line;
use crate::screen::Screen;
use dispatch_sdk::Fault;
use dispatch_sdk::contracts::event::{
    Delta, ERROR, Event, NOTICE, RETRY_SCHEDULED, RetryScheduled, TEXT_DELTA, TOOL_CALL, TOOL_OUTPUT,
    TOOL_RESULT, TURN_ENDED, ToolCalled, ToolOutput, ToolResulted, TurnEnded, TurnError, TurnStatus,
};
use dispatch_sdk::contracts::fault::BROKEN;
use dispatch_sdk::contracts::message::ToolStatus;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::HashMap;

/// Longest note, in characters.
pub(crate) const NOTE_CHARS_MAX: usize = 400;
const ARGS_CHARS_MAX: usize = 160;
const VALUE_CHARS_MAX: usize = 80;
/// Live output kept of each call, for its last lines.
const TAIL_BYTES_MAX: usize = 4096;
const TAIL_LINES_MAX: usize = 5;
/// Calls whose output is kept at a time; that of further ones is not shown.
const TAILS_MAX: usize = 64;

/// `notice`.
#[derive(Deserialize)]
struct Notice {
    message: String,
}

/// Shows one turn.
#[derive(Default)]
pub(crate) struct Render {
    /// Last output of each running call.
    tails: HashMap<String, String>,
    /// Calls announced and not done.
    n_running: usize,
}

impl Render {
    /// Shows one event; types that it does not know are passed over.
    pub(crate) async fn show(&mut self, screen: &mut Screen, event: &Event) -> Result<(), Fault> {
        match event.kind.as_str() {
            TEXT_DELTA => screen.text(&read::<Delta>(event)?.text).await,
            TOOL_CALL => {
                let call: ToolCalled = read(event)?;
                self.n_running += 1;
                screen.end_text().await?;
                screen
                    .note(&format!("· {} {}", one_line(&call.name, VALUE_CHARS_MAX), args_line(&call.args)))
                    .await
            }
            TOOL_OUTPUT => {
                self.keep(read(event)?);
                Ok(())
            }
            TOOL_RESULT => self.result(screen, read(event)?).await,
            RETRY_SCHEDULED => {
                let retry: RetryScheduled = read(event)?;
                let message = one_line(&retry.message, NOTE_CHARS_MAX);
                screen
                    .note(&format!(
                        "· trying again in {} ms: {message} ({})",
                        retry.delay_ms,
                        retry.class.code()
                    ))
                    .await
            }
            NOTICE => {
                screen.note(&format!("· {}", one_line(&read::<Notice>(event)?.message, NOTE_CHARS_MAX))).await
            }
            _ => Ok(()),
        }
    }

    fn keep(&mut self, output: ToolOutput) {
        if self.tails.len() >= TAILS_MAX && !self.tails.contains_key(&output.tool_call_id) {
            return;
        }
        let tail = self.tails.entry(output.tool_call_id).or_default();
        tail.push_str(&output.text);
        if tail.len() > TAIL_BYTES_MAX {
            let from = tail.ceil_char_boundary(tail.len() - TAIL_BYTES_MAX);
            tail.drain(..from);
        }
    }

    async fn result(&mut self, screen: &mut Screen, result: ToolResulted) -> Result<(), Fault> {
        let several = self.n_running > 1;
        self.n_running = self.n_running.saturating_sub(1);
        screen.end_text().await?;
        if let Some(tail) = self.tails.remove(&result.tool_call_id) {
            let lines: Vec<&str> = tail.lines().collect();
            for line in &lines[lines.len().saturating_sub(TAIL_LINES_MAX)..] {
                screen.note(&format!("  │ {}", one_line(line, NOTE_CHARS_MAX))).await?;
            }
        }
        let who =
            if several { format!("{}: ", one_line(&result.name, VALUE_CHARS_MAX)) } else { String::new() };
        let why = || one_line(result.content.lines().next().unwrap_or_default(), NOTE_CHARS_MAX);
        let what = match result.status {
            ToolStatus::Ok => format!("ok {} ms", result.duration_ms),
            ToolStatus::Error => format!("error {} ms: {}", result.duration_ms, why()),
            ToolStatus::Denied => format!("denied: {}", why()),
            ToolStatus::Cancelled => "cancelled".to_owned(),
            ToolStatus::OutcomeUnknown => "outcome unknown: the host died while it ran".to_owned(),
        };
        screen.note(&format!("  {who}{what}")).await
    }
}

/// How the turn ended, in one line; nothing when it simply completed.
pub(crate) fn ending_line(ended: &TurnEnded, error: Option<&TurnError>) -> Option<String> {
    match (ended.status, error) {
        (TurnStatus::Failed, Some(error)) => {
            Some(error_line(&error.message, exit::class_of(error), error.retry_after_ms))
        }
        (TurnStatus::Failed, None) => Some(error_line("the turn failed", &ended.reason, None)),
        (TurnStatus::Cancelled, _) => Some("· stopped".to_owned()),
        (TurnStatus::Interrupted, _) => Some("· interrupted: the host that ran the turn ended".to_owned()),
        (TurnStatus::Completed, _) => match ended.reason.as_str() {
            "length" => Some("· the answer is cut: the model reached its limit of output".to_owned()),
            "content_filter" => Some("· the answer is cut: the provider filtered it".to_owned()),
            _ => None,
        },
    }
}

/// `error: <message> (<class>[, retry after N ms])`.
pub(crate) fn error_line(message: &str, class: &str, retry_after_ms: Option<u64>) -> String {
    let message = one_line(message, NOTE_CHARS_MAX);
    let class = one_line(class, VALUE_CHARS_MAX);
    match retry_after_ms {
        Some(ms) => format!("error: {message} ({class}, retry after {ms} ms)"),
        None => format!("error: {message} ({class})"),
    }
}

/// The same for a call that failed.
pub(crate) fn fault_line(fault: &Fault) -> String {
    let retry_after_ms = fault.detail.get("retry_after_ms").and_then(Value::as_u64);
    error_line(&fault.message, &fault.code, retry_after_ms)
}

/// The data of a `turn_ended` or `error` event, if it is one.
pub(crate) fn end_of(event: &Event) -> Result<(Option<TurnEnded>, Option<TurnError>), Fault> {
    match event.kind.as_str() {
        TURN_ENDED => Ok((Some(read(event)?), None)),
        ERROR => Ok((None, Some(error_of(event)))),
        _ => Ok((None, None)),
    }
}

/// The error, or at least that there was one if it has a shape of a later version.
fn error_of(event: &Event) -> TurnError {
    read(event).unwrap_or_else(|fault| TurnError {
        code: fault.code,
        class: None,
        message: fault.message,
        retry_after_ms: None,
        http_status: None,
    })
}

fn read<T: DeserializeOwned>(event: &Event) -> Result<T, Fault> {
    serde_json::from_str(event.data.get())
        .map_err(|e| Fault::new(BROKEN, format!("cannot read event {} (`{}`): {e}", event.seq, event.kind)))
}

fn args_line(args: &Value) -> String {
    let value = |value: &Value| match value {
        Value::String(text) => one_line(text, VALUE_CHARS_MAX),
        other => one_line(&other.to_string(), VALUE_CHARS_MAX),
    };
    let line = match args {
        Value::Object(fields) => {
            let fields = fields
                .iter()
                .map(|(key, field)| format!("{}={}", one_line(key, VALUE_CHARS_MAX), value(field)));
            fields.collect::<Vec<_>>().join(" ")
        }
        other => value(other),
    };
    one_line(&line, ARGS_CHARS_MAX)
}

#[cfg(test)]
mod tests;
