//! Reads a request's body within its bounds of size and time. It must not know whose it is.

use crate::config::Settings;
use crate::problem::Problem;
use crate::unescape::unescaped;
use dispatch_sdk::fault::TOO_LARGE;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::time::Duration;

/// Fields of an op's input; values stay the bytes they came as, so that no number loses a digit.
pub(crate) type Fields = BTreeMap<String, Box<RawValue>>;

/// The fields of a JSON object; none for a request without a body.
pub(crate) async fn fields(settings: &Settings, head: &Parts, body: Incoming) -> Result<Fields, Problem> {
    if body.is_end_stream() {
        return Ok(Fields::new());
    }
    if matches!(head.method, Method::GET | Method::HEAD) {
        return Err(Problem::invalid(format!("a `{}` takes no body; use the query", head.method)));
    }
    // An empty body needs no type, and whether it is one shows only when it has been read.
    let is_json = refuse_other_types(&head.headers);
    if let Err(problem) = is_json
        && body.size_hint().lower() > 0
    {
        return Err(problem);
    }
    let bytes = unescaped(bytes(settings, body).await?);
    if bytes.is_empty() {
        return Ok(Fields::new());
    }
    refuse_other_types(&head.headers)?;
    serde_json::from_slice(&bytes).map_err(|e| Problem::invalid(format!("the body is no JSON object: {e}")))
}

fn refuse_other_types(headers: &HeaderMap) -> Result<(), Problem> {
    let refused =
        |message: &str| Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message);
    if headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
        return Err(refused("the body is compressed; send it as it is"));
    }
    let given = headers.get(CONTENT_TYPE).and_then(|given| given.to_str().ok()).unwrap_or("");
    let given = given.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    let is_json =
        given == "application/json" || (given.starts_with("application/") && given.ends_with("+json"));
    if is_json { Ok(()) } else { Err(refused("the body is not `application/json`; send JSON and say so")) }
}

/// All bytes. One that says it is too large is refused unread.
pub(crate) async fn bytes(settings: &Settings, body: Incoming) -> Result<Vec<u8>, Problem> {
    let bytes_max = settings.body_bytes_max;
    if body.size_hint().lower() > bytes_max as u64 {
        return Err(too_large(bytes_max));
    }
    let read = tokio::time::timeout(Duration::from_millis(settings.body_read_ms), collect(body, bytes_max));
    read.await.unwrap_or_else(|_| {
        let message = format!("the body did not come whole within {} ms", settings.body_read_ms);
        Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "body_timeout", message))
    })
}

async fn collect(mut body: Incoming, bytes_max: usize) -> Result<Vec<u8>, Problem> {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|e| Problem::invalid(format!("the body broke off: {e}")))?;
        // Trailers say nothing that is asked here.
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > bytes_max {
            return Err(too_large(bytes_max));
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

fn too_large(bytes_max: usize) -> Problem {
    let message = format!(
        "the body has more than {bytes_max} bytes, the most that `body_bytes_max` lets through; send less"
    );
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, TOO_LARGE, message)
}
