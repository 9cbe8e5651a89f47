//! A turn's events for a person: text to standard output, all else as short notes on standard error.

use crate::exit;
use crate::output::Outputs;
use crate::screen::Screen;
use crate::words::{clock_time, duration};
use dispatch_sdk::Fault;
use dispatch_sdk::contracts::event::{
    APPROVAL_RESOLVED, AllowScope, ApprovalDecision, ApprovalResolved, Delta, ERROR, Event, NOTICE,
    RETRY_SCHEDULED, RetryScheduled, TEXT_DELTA, TOOL_CALL, TOOL_OUTPUT, TOOL_RESULT, TURN_ENDED, ToolCalled,
    ToolOutput, ToolResulted, TurnEnded, TurnError, TurnStatus,
};
use dispatch_sdk::contracts::fault::BROKEN;
use dispatch_sdk::contracts::message::ToolStatus;
use dispatch_sdk::contracts::plain::one_line;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::HashMap;

/// Longest note, in characters.
pub(crate) const NOTE_CHARS_MAX: usize = 600;
const ARGS_CHARS_MAX: usize = 160;
const VALUE_CHARS_MAX: usize = 80;
/// `notice`.
#[derive(Deserialize)]
struct Notice {
    message: String,
}

/// Shows one turn.
#[derive(Default)]
pub(crate) struct Render {
    outputs: Outputs,
    /// Names of the calls announced and not done.
    running: HashMap<String, String>,
}

impl Render {
    /// Shows one event; types that it does not know are passed over.
    pub(crate) async fn show(&mut self, screen: &mut Screen, event: &Event) -> Result<(), Fault> {
        match event.kind.as_str() {
            TEXT_DELTA => screen.text(&read::<Delta>(event)?.text).await,
            TOOL_CALL => {
                let call: ToolCalled = read(event)?;
                let name = one_line(&call.name, VALUE_CHARS_MAX);
                screen.end_text().await?;
                screen.note(&format!("· {name} {}", args_line(&call.args))).await?;
                self.running.insert(call.tool_call_id, name);
                Ok(())
            }
            APPROVAL_RESOLVED => match allowed_line(&read(event)?) {
                Some(line) => {
                    screen.end_text().await?;
                    screen.note(&line).await
                }
                None => Ok(()),
            },
            TOOL_OUTPUT => {
                let output: ToolOutput = read(event)?;
                let name = self.name_of(&output.tool_call_id);
                self.outputs.push(screen, &output, name.as_deref()).await
            }
            TOOL_RESULT => self.result(screen, read(event)?).await,
            RETRY_SCHEDULED => {
                let retry: RetryScheduled = read(event)?;
                screen.end_text().await?;
                screen.note(&retry_line(&retry, event.at)).await
            }
            NOTICE => {
                screen.note(&format!("· {}", one_line(&read::<Notice>(event)?.message, NOTE_CHARS_MAX))).await
            }
            _ => Ok(()),
        }
    }

    /// The call's name, if another one runs beside it.
    fn name_of(&self, tool_call_id: &str) -> Option<String> {
        let several = self.running.len() > 1;
        self.running.get(tool_call_id).filter(|_| several).cloned()
    }

    async fn result(&mut self, screen: &mut Screen, result: ToolResulted) -> Result<(), Fault> {
        let name = self.name_of(&result.tool_call_id);
        self.running.remove(&result.tool_call_id);
        screen.end_text().await?;
        self.outputs.end(screen, &result.tool_call_id, name.as_deref()).await?;
        let who = name.map(|name| format!("{name}: ")).unwrap_or_default();
        let why = || one_line(result.content.lines().next().unwrap_or_default(), NOTE_CHARS_MAX);
        let took = duration(result.duration_ms);
        let what = match result.status {
            ToolStatus::Ok => format!("ok {took}"),
            ToolStatus::Error => format!("error {took}: {}", why()),
            ToolStatus::Denied => format!("denied: {}", why()),
            ToolStatus::Cancelled => "cancelled".to_owned(),
            ToolStatus::OutcomeUnknown => "outcome unknown: the host died while it ran".to_owned(),
        };
        screen.note(&format!("  {who}{what}")).await
    }
}

/// Who allowed a call, and what was changed; what was not allowed is told with its result.
fn allowed_line(resolved: &ApprovalResolved) -> Option<String> {
    if resolved.decision != ApprovalDecision::Allow {
        return None;
    }
    let by = match one_line(&resolved.by, VALUE_CHARS_MAX) {
        by if by.is_empty() => String::new(),
        by => format!(" by {by}"),
    };
    let scope = match resolved.scope {
        Some(AllowScope::Conversation) => " in this conversation",
        Some(AllowScope::Once) | None => "",
    };
    let args = resolved
        .args
        .clone()
        .map_or(String::new(), |args| format!(", with {}", args_line(&Value::Object(args))));
    Some(format!("  {} allowed{by}{scope}{args}", one_line(&resolved.tool, VALUE_CHARS_MAX)))
}

/// What went wrong, and when the next try is: `at` is when it was announced, unix ms.
fn retry_line(retry: &RetryScheduled, at: u64) -> String {
    let until = clock_time(at.saturating_add(retry.delay_ms), at);
    let message = one_line(&retry.message, NOTE_CHARS_MAX);
    let (n_failed, wait) = (retry.attempt, duration(retry.delay_ms));
    format!("· try {n_failed} failed ({}): {message}; the next is at {until}, in {wait}", retry.class.code())
}

/// What the turn cost; nothing where the provider told no tokens.
pub(crate) fn cost_line(ended: &TurnEnded) -> Option<String> {
    let usage = ended.usage;
    if usage.input_tokens + usage.output_tokens == 0 {
        return None;
    }
    let cached = match usage.cache_read_tokens {
        Some(n) if n > 0 => format!(" ({n} from a cache)"),
        _ => String::new(),
    };
    let took = duration(ended.duration_ms);
    Some(format!("· {} tokens in{cached}, {} out, in {took}", usage.input_tokens, usage.output_tokens))
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

/// `error: <message> (<class>[, retry after 5 s])`.
pub(crate) fn error_line(message: &str, class: &str, retry_after_ms: Option<u64>) -> String {
    let message = one_line(message, NOTE_CHARS_MAX);
    let class = one_line(class, VALUE_CHARS_MAX);
    match retry_after_ms {
        Some(ms) => format!("error: {message} ({class}, retry after {})", duration(ms)),
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
