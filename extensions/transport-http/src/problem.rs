//! What a refused or failed request is answered: RFC 9457 problem documents, from faults and from our own rules.
//!
//! It must not know how requests are routed, nor how responses are sent.

use dispatch_sdk::Fault;
use dispatch_sdk::contracts::op::ERROR_TABLE;
use hyper::StatusCode;
use hyper::header::{HeaderName, HeaderValue, RETRY_AFTER};
use serde_json::{Value, json};

/// Longest wait that is asked of a client, in seconds.
const RETRY_AFTER_S_MAX: u64 = 24 * 60 * 60;

/// A request that was not done.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    code: String,
    detail: String,
    fault_detail: Value,
    /// Of the response, beside those of the document.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    /// A problem of our own rules.
    pub(crate) fn new(status: StatusCode, code: &str, detail: impl Into<String>) -> Self {
        Self {
            status,
            code: code.to_owned(),
            detail: detail.into(),
            fault_detail: Value::Null,
            headers: Vec::new(),
        }
    }

    /// A request that does not have its form.
    pub(crate) fn invalid(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, dispatch_sdk::fault::INVALID, detail)
    }

    /// The same problem with one more header.
    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The same problem, saying when to come back.
    pub(crate) fn retry_after_ms(self, ms: u64) -> Self {
        let seconds = ms.div_ceil(1_000).clamp(1, RETRY_AFTER_S_MAX);
        self.with_header(RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// The document.
    pub(crate) fn to_json(&self) -> Value {
        let mut json = json!({
            "type": "about:blank",
            "title": title(self.status),
            "status": self.status.as_u16(),
            "detail": self.detail,
            "code": self.code,
        });
        if !self.fault_detail.is_null() {
            json["fault_detail"] = self.fault_detail.clone();
        }
        json
    }
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        let retry_after_ms = fault.detail.get("retry_after_ms").and_then(Value::as_u64);
        let problem = Self {
            status: status_of(&fault.code),
            code: fault.code,
            detail: fault.message,
            fault_detail: fault.detail,
            headers: Vec::new(),
        };
        match (problem.status.as_u16(), retry_after_ms) {
            (429 | 503 | 507, Some(ms)) => problem.retry_after_ms(ms),
            _ => problem,
        }
    }
}

/// The status of a fault's code; 500 for a code that the table does not have.
pub(crate) fn status_of(code: &str) -> StatusCode {
    ERROR_TABLE
        .iter()
        .find(|(known, ..)| *known == code)
        .and_then(|(_, status, ..)| StatusCode::from_u16(*status).ok())
        .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// The phrase of a status; the table has one that no RFC names.
pub(crate) fn title(status: StatusCode) -> &'static str {
    status.canonical_reason().unwrap_or("Client Closed Request")
}
