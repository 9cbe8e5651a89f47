//! Heads, error bodies and the model list: everything answered without running a script's actions.

use std::fmt::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::connection::{Connection, Ended};
use super::log::Clock;
use super::script::{Action, HttpError, RetryAfter};
use super::sink::{Framing, Sink};

pub(super) const JSON: &str = "application/json";
pub(super) const SSE: &str = "text/event-stream; charset=utf-8";

/// The status line and headers of a response.
pub(super) struct Head {
    text: String,
}

impl Head {
    pub(super) fn new(status: u16, content_type: &str, keep_alive: bool) -> Self {
        let reason = reason(status);
        let mut text = format!("HTTP/1.1 {status} {reason}\r\ncontent-type: {content_type}\r\n");
        if !keep_alive {
            text.push_str("connection: close\r\n");
        }
        Self { text }
    }

    pub(super) fn header(mut self, name: &str, value: &str) -> Self {
        write!(self.text, "{name}: {value}\r\n").expect("a string takes all text");
        self
    }

    pub(super) fn chunked(self) -> String {
        self.header("transfer-encoding", "chunked").text + "\r\n"
    }

    fn length(self, body_bytes: usize) -> String {
        let length = body_bytes.to_string();
        self.header("content-length", &length).text + "\r\n"
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        413 => "Content Too Large",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        529 => "Overloaded",
        _ => "Scripted",
    }
}

/// Answers a JSON body with its length.
pub(super) async fn json(
    connection: &mut Connection,
    status: u16,
    body: &Value,
    keep_alive: bool,
) -> Result<(), Ended> {
    let body = body.to_string();
    let head = Head::new(status, JSON, keep_alive).length(body.len());
    let mut sink = Sink::new(connection, head, Framing::Length);
    sink.event(body.as_bytes()).await?;
    sink.finish().await
}

/// An error body as providers write it.
pub(super) fn error_body(kind: &str, code: Option<&str>, param: &str, message: &str) -> Value {
    let param = Some(param).filter(|param| !param.is_empty());
    json!({"error": {"message": message, "type": kind, "param": param, "code": code}})
}

/// Answers a scripted error, with the waits and cuts that stand before it.
pub(super) async fn http_error(
    connection: &mut Connection,
    error: &HttpError,
    before: &[Action],
    clock: Clock,
    keep_alive: bool,
) -> Result<(), Ended> {
    let (content_type, body) = match &error.body {
        Some(Value::String(text)) => ("text/html; charset=utf-8", text.clone()),
        Some(body) => (JSON, body.to_string()),
        None => (JSON, usual_body(error).to_string()),
    };
    let mut head = Head::new(error.status, content_type, keep_alive);
    for (name, value) in &error.headers {
        head = head.header(name, value);
    }
    if let Some(retry_after) = &error.retry_after {
        head = head.header("retry-after", &retry_after_text(retry_after, clock));
    }
    let mut sink = Sink::new(connection, head.length(body.len()), Framing::Length);
    for action in before {
        match action {
            Action::WaitMs(wait_ms) => sink.wait(*wait_ms).await?,
            Action::Pace(pace) => sink.set_pace(*pace).await?,
            Action::CutAfterBytes(bytes) => sink.cut_after(*bytes),
            other => unreachable!("a checked script has no {other:?} before an HTTP error"),
        }
    }
    sink.event(body.as_bytes()).await?;
    sink.finish().await
}

fn usual_body(error: &HttpError) -> Value {
    let (kind, code, message) = match error.status {
        401 => ("invalid_request_error", Some("invalid_api_key"), "the key is not valid"),
        404 => ("invalid_request_error", Some("model_not_found"), "there is no such model"),
        429 => ("requests", Some("rate_limit_exceeded"), "the rate limit is reached"),
        500.. => ("server_error", None, "the server had a fault"),
        _ => ("invalid_request_error", None, "the request was refused"),
    };
    let code = error.code.as_deref().or(code);
    let message = match (&error.message, code) {
        (Some(message), _) => message,
        (None, Some("context_length_exceeded")) => {
            "This model's maximum context length is 8192 tokens. However, your messages resulted in 9001 tokens."
        }
        (None, _) => message,
    };
    error_body(kind, code, "", message)
}

fn retry_after_text(retry_after: &RetryAfter, clock: Clock) -> String {
    match retry_after {
        RetryAfter::Seconds(seconds) => seconds.to_string(),
        RetryAfter::Text(text) => text.clone(),
        RetryAfter::DateInSeconds(seconds) => {
            let now_s = clock.now_ns() / 1_000_000_000;
            let at_s = now_s.saturating_add_signed(*seconds);
            // An HTTP date has a year of four digits.
            let at_s = at_s.min(253_402_300_799);
            let at: SystemTime = UNIX_EPOCH + Duration::from_secs(at_s);
            httpdate::fmt_http_date(at)
        }
    }
}
