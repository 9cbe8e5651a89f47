//! Ops as routes: runs one and answers its reply, or its frames as a stream.
//!
//! It must not know what any op does.

use crate::body::Fields;
use crate::gauge::Inside;
use crate::input::{Sources, put_together};
use crate::outgoing::Outgoing;
use crate::problem::Problem;
use crate::schema::{Kinds, Shape};
use crate::sse::{self, Streams};
use dispatch_sdk::contracts::op::{Intent, ListedOp, OpSpec, RUN};
use dispatch_sdk::fault::BROKEN;
use dispatch_sdk::{Fault, Host, Meta, SharedBytes};
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Response, StatusCode};
use std::collections::BTreeMap;
use std::sync::Arc;

/// An op that has a path.
pub(crate) struct OpRoute {
    pub(crate) spec: OpSpec,
    verb: String,
    shape: Shape,
    pub(crate) status: StatusCode,
}

/// An op, with the template and the method of its route.
pub(crate) type OpAt<'a> = (&'a str, &'a str, &'a OpRoute);

/// A request of an op.
pub(crate) struct Asked<'a> {
    pub(crate) actor: String,
    pub(crate) head: &'a Parts,
    pub(crate) places: BTreeMap<String, String>,
    pub(crate) fields: Fields,
}

impl OpRoute {
    /// The route of a listed op; `None` for an op without one.
    pub(crate) fn of(listed: ListedOp) -> Option<Self> {
        let spec = listed.spec;
        if spec.surface.http_method.is_empty() || spec.surface.http_path.is_empty() {
            return None;
        }
        let status = StatusCode::from_u16(spec.surface.http_status).ok().filter(StatusCode::is_success);
        Some(Self {
            verb: format!("{RUN}#{}", spec.id),
            shape: Shape::of(&spec.input_schema),
            status: status.unwrap_or(StatusCode::OK),
            spec,
        })
    }

    /// Names of the input's fields, sorted.
    pub(crate) fn fields(&self) -> impl Iterator<Item = &String> {
        self.shape.fields.keys()
    }

    /// Which JSON a field can be.
    pub(crate) fn kinds(&self, field: &str) -> Option<&Kinds> {
        self.shape.fields.get(field)
    }
}

/// Runs an op.
pub(crate) async fn run(
    host: &Host,
    streams: Streams<'_>,
    op: &OpRoute,
    asked: Asked<'_>,
    in_flight: Arc<Inside>,
) -> Result<Response<Outgoing>, Problem> {
    let Asked { actor, head, places, fields } = asked;
    let last_event_id = match head.headers.get("last-event-id") {
        Some(id) => Some(id.to_str().map_err(|_| Problem::invalid("`Last-Event-ID` is no text"))?),
        None => None,
    };
    let query = head.uri.query().unwrap_or("");
    let sources = Sources { places, query, fields, last_event_id, stream: op.spec.stream };
    let input = put_together(&op.shape, sources)?;
    let meta = Meta { actor, trace: trace(&head.headers), ..Meta::default() };
    let host = host.with_meta(&meta);
    if op.spec.stream {
        return sse::open(streams, &host, &op.verb, input).await;
    }
    let verb = op.verb.clone();
    let call = async move {
        let _in_flight = in_flight;
        host.call_raw(&verb, input).await
    };
    let reply = match op.spec.intent {
        Intent::Read => call.await,
        // What has begun to change something goes on to its end, and its deadline, when the client has left.
        Intent::Write | Intent::Destroy => tokio::spawn(call)
            .await
            .unwrap_or_else(|e| Err(Fault::new(BROKEN, format!("the call was lost: {e}")))),
    };
    Ok(response(op.status, reply?))
}

fn response(status: StatusCode, reply: SharedBytes) -> Response<Outgoing> {
    let body = match status {
        StatusCode::NO_CONTENT => Outgoing::empty(),
        _ if reply.is_empty() => Outgoing::whole("{}"),
        _ => Outgoing::whole(Bytes::from_owner(Shared(reply))),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    if status != StatusCode::NO_CONTENT {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    response
}

/// A reply's bytes, sent without being copied.
struct Shared(SharedBytes);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        self.0.as_slice()
    }
}

/// The W3C trace that the request belongs to. One that does not have its form is none.
///
/// Source: W3C Trace Context, `version-traceid-parentid-flags`.
fn trace(headers: &HeaderMap) -> Option<String> {
    let text = headers.get("traceparent")?.to_str().ok()?;
    let parts: Vec<_> = text.split('-').collect();
    let [version, trace, parent, flags] = parts.as_slice() else { return None };
    let hex = |text: &str, n: usize| {
        text.len() == n && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    let zero = |text: &str| text.bytes().all(|b| b == b'0');
    let holds = hex(version, 2) && hex(trace, 32) && hex(parent, 16) && hex(flags, 2);
    (holds && *version != "ff" && !zero(trace) && !zero(parent)).then(|| text.to_owned())
}
