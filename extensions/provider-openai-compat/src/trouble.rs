//! What can go wrong at an endpoint, and which class of fault it is. It must not know how requests are made.

mod retry_after;

use crate::secrets::Secrets;
use crate::sse::{LINE_BYTES_MAX, TooLong};
use dispatch_sdk::Fault;
use dispatch_sdk::contracts::provider::{FaultClass, ProviderFault};
use serde_json::Value;

pub(crate) use retry_after::retry_after_ms;

/// The longest message of a fault without its hint, in characters.
pub(crate) const MESSAGE_CHARS_MAX: usize = 600;

/// Words of codes and messages that say that the request is larger than the model's context.
const CONTEXT_WORDS: [&str; 11] = [
    "context_length",
    "context length",
    "context window",
    "context size",
    "context_size",
    "maximum context",
    "prompt is too long",
    "input is too long",
    "reduce the length",
    "too many input tokens",
    "maximum prompt length",
];

/// Codes of an account whose money, or whose limit of a month, is used up.
const QUOTA_CODES: [&str; 6] = [
    "insufficient_quota",
    "quota_exceeded",
    "billing_hard_limit_reached",
    "billing_not_active",
    "insufficient_balance",
    "insufficient_credits",
];
/// The same in messages. "Quota exceeded" alone is none: some endpoints say so of a limit that is over in a minute.
const QUOTA_WORDS: [&str; 7] = [
    "credit balance is too low",
    "insufficient balance",
    "insufficient credit",
    "billing hard limit",
    "monthly usage limit",
    "monthly spend",
    "spending limit",
];
const QUOTA_HINT: &str =
    "add credit or raise the limit of the account at the endpoint; until then no try succeeds";

/// A fault before its secrets are masked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub(crate) class: FaultClass,
    /// What was found; may hold what the endpoint said, whole.
    pub(crate) message: String,
    /// What to do; empty if there is nothing.
    pub(crate) hint: String,
    pub(crate) retry_after_ms: Option<u64>,
    pub(crate) http_status: Option<u16>,
}

impl Trouble {
    pub(crate) fn new(class: FaultClass, message: impl Into<String>) -> Self {
        Self { class, message: message.into(), hint: String::new(), retry_after_ms: None, http_status: None }
    }

    /// An answer whose status is not 2xx; `auth_hint` says what to set when it is refused.
    pub(crate) fn http(status: u16, body: &str, retry_after_ms: Option<u64>, auth_hint: &str) -> Self {
        let parsed: Value = serde_json::from_str(body).unwrap_or(Value::Null);
        let said = Said::of(error_object(&parsed).unwrap_or(&parsed));
        let said = if said.is_empty() { Said::plain(body) } else { said };
        let class = class_of_status(status, &said);
        let mut message = format!("the endpoint answered HTTP {status}");
        if !said.is_empty() {
            message = format!("{message}: {}", said.shown());
        }
        let hint = match class {
            FaultClass::Auth => auth_hint,
            FaultClass::Quota => QUOTA_HINT,
            _ if status == 404 => "check `base_url` and `model`",
            _ => "",
        };
        let retry_after_ms = retry_after_ms.filter(|_| class.retryable());
        Self { class, message, hint: hint.to_owned(), retry_after_ms, http_status: Some(status) }
    }

    /// An error object inside an answer that began well.
    pub(crate) fn in_stream(error: &Value) -> Self {
        let said = Said::of(error);
        let code = &error["code"];
        let status =
            code.as_u64().or_else(|| code.as_str()?.parse().ok()).or_else(|| error["status"].as_u64());
        let class = match status.and_then(|status| u16::try_from(status).ok()) {
            Some(status) if (400..600).contains(&status) => class_of_status(status, &said),
            Some(_) | None => class_of_words(&said),
        };
        let hint = if class == FaultClass::Quota { QUOTA_HINT } else { "" };
        let message = format!("the endpoint reported an error in its answer: {}", said.shown());
        Self { hint: hint.to_owned(), ..Self::new(class, message) }
    }

    /// An answer that is larger than is taken here: asking again would be paid for again, and end the same.
    pub(crate) fn beyond_our_limit(why: String) -> Self {
        let hint = "ask for less at once; the same request would bring the same again".to_owned();
        Self { hint, ..Self::new(FaultClass::BadRequest, why) }
    }

    /// The fault as the contract has it, without any secret.
    pub(crate) fn into_fault(self, secrets: &Secrets) -> Fault {
        let Self { class, message, hint, retry_after_ms, http_status } = self;
        let detail = ProviderFault { class, retryable: None, retry_after_ms, http_status };
        let detail = serde_json::to_value(detail).expect("a struct of plain fields always encodes");
        // Masked before it is cut: half a secret would not be recognised.
        let mut message = secrets.mask(&message);
        if let Some((end, _)) = message.char_indices().nth(MESSAGE_CHARS_MAX) {
            message.truncate(end);
            message.push('…');
        }
        if !hint.is_empty() {
            message = format!("{message}; {hint}");
        }
        Fault::new(class.code(), message).with_detail(detail)
    }
}

impl From<TooLong> for Trouble {
    fn from(_: TooLong) -> Self {
        let why = format!("the stream holds a line or an event of more than {LINE_BYTES_MAX} bytes");
        Self::beyond_our_limit(why)
    }
}

/// The error that a JSON answer holds, in any of the places servers put it.
pub(crate) fn error_object(answer: &Value) -> Option<&Value> {
    if let Value::Array(items) = answer {
        return items.first().and_then(error_object);
    }
    if answer["object"] == "error" {
        return Some(answer);
    }
    match &answer["error"] {
        Value::Null | Value::Bool(false) => None,
        Value::String(text) if text.is_empty() => None,
        Value::Object(fields) if fields.is_empty() => None,
        error => Some(error),
    }
}

/// What an endpoint says of an error.
struct Said {
    message: String,
    /// Code and type, for the classification.
    code: String,
}

impl Said {
    fn of(error: &Value) -> Self {
        let words = [&error["code"], &error["type"]].into_iter().filter_map(Value::as_str);
        let texts = [error, &error["message"], &error["detail"], &error["detail"][0]["msg"], &error["msg"]];
        let message = texts.into_iter().find_map(Value::as_str).unwrap_or("");
        Self { message: message.to_owned(), code: words.collect::<Vec<_>>().join(" ") }
    }

    /// A body that is no JSON object of a known shape.
    fn plain(body: &str) -> Self {
        Self { message: body.to_owned(), code: String::new() }
    }

    fn is_empty(&self) -> bool {
        self.message.trim().is_empty() && self.code.is_empty()
    }

    fn shown(&self) -> String {
        let text = if self.message.trim().is_empty() { &self.code } else { &self.message };
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    fn is_out_of_money(&self) -> bool {
        let code = self.code.to_ascii_lowercase();
        QUOTA_CODES.iter().any(|word| code.contains(word)) || self.has(&QUOTA_WORDS)
    }

    fn has(&self, words: &[&str]) -> bool {
        let said = format!("{} {}", self.code, self.message).to_ascii_lowercase();
        words.iter().any(|word| said.contains(word))
    }
}

fn class_of_status(status: u16, said: &Said) -> FaultClass {
    match status {
        402 => FaultClass::Quota,
        400..500 if said.is_out_of_money() => FaultClass::Quota,
        429 => FaultClass::RateLimited,
        503 | 529 => FaultClass::ProviderOverloaded,
        500.. if said.has(&["overloaded"]) => FaultClass::ProviderOverloaded,
        500.. => FaultClass::ServerError,
        401 | 403 | 407 => FaultClass::Auth,
        408 => FaultClass::Stalled,
        400 | 413 | 422 if said.has(&CONTEXT_WORDS) => FaultClass::ContextOverflow,
        _ => FaultClass::BadRequest,
    }
}

/// An error that names no status is taken for one that may pass.
fn class_of_words(said: &Said) -> FaultClass {
    if said.has(&CONTEXT_WORDS) {
        FaultClass::ContextOverflow
    } else if said.is_out_of_money() {
        FaultClass::Quota
    } else if said.has(&["rate_limit", "rate limit", "too many requests"]) {
        FaultClass::RateLimited
    } else if said.has(&["overloaded"]) {
        FaultClass::ProviderOverloaded
    } else if said.has(&["invalid_api_key", "authentication_error", "permission_error", "unauthorized"]) {
        FaultClass::Auth
    } else if said.has(&["invalid_request_error"]) {
        FaultClass::BadRequest
    } else {
        FaultClass::ServerError
    }
}

#[cfg(test)]
mod tests;
