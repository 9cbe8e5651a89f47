//! One request, from its head to its response: the rules at the gate, then its route, then what is counted.
//!
//! It must not know what an op or a mount does.

use crate::body;
use crate::config::Settings;
use crate::fixed::Own;
use crate::gate::{self, Door};
use crate::gauge::Inside;
use crate::mounted;
use crate::numbers::NO_ROUTE;
use crate::ops::{self, Asked};
use crate::outgoing::Outgoing;
use crate::problem::Problem;
use crate::routes::Found;
use crate::routing::{self, Target};
use crate::server::Server;
use crate::sse::Streams;
use crate::watch::Answering;
use dispatch_sdk::fault::{NOT_FOUND, UNAVAILABLE};
use hyper::body::Incoming;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ALLOW,
    CACHE_CONTROL, CONTENT_TYPE, HeaderValue, VARY, X_CONTENT_TYPE_OPTIONS,
};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode};
use std::sync::Arc;
use tracing::debug;

/// When a client shall come back while the host drains: another one may serve by then.
const DRAIN_RETRY_AFTER_MS: u64 = 5_000;
/// Headers that pages of listed origins may send, and read.
const CORS_SENT: HeaderValue =
    HeaderValue::from_static("authorization, content-type, last-event-id, traceparent");
const CORS_READ: HeaderValue = HeaderValue::from_static("retry-after");
const CORS_METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE");
/// How long a browser may keep the answer to its preflight.
const CORS_MAX_AGE_S: u64 = 600;

/// What was found out about a request on the way to its answer.
struct Told {
    route: Arc<str>,
    /// The listed origin that it came from.
    origin: Option<HeaderValue>,
}

/// Answers one request.
pub(crate) async fn answer(
    server: Arc<Server>,
    door: Door,
    request: Request<Incoming>,
    answering: Answering,
) -> Response<Outgoing> {
    let in_flight = Arc::new(server.numbers.in_flight.enter());
    let (head, body) = request.into_parts();
    let mut told = Told { route: Arc::from(NO_ROUTE), origin: None };
    let answered = asked(&server, &door, &head, body, &in_flight, &mut told).await;
    let mut response = answered.unwrap_or_else(refused);
    finish(&mut response, told.origin);
    let status = response.status();
    server.numbers.request(&told.route, &head.method, status);
    debug!(method = %head.method, route = &*told.route, status = status.as_u16(), "answered a request");
    response.map(|body| body.holding(in_flight, answering))
}

async fn asked(
    server: &Arc<Server>,
    door: &Door,
    head: &Parts,
    body: Incoming,
    in_flight: &Arc<Inside>,
    told: &mut Told,
) -> Result<Response<Outgoing>, Problem> {
    let settings = server.settings();
    gate::host_rule(door, &settings, head)?;
    told.origin = gate::origin_rule(&settings, &head.headers)?;
    if told.origin.is_some() && is_preflight(head) {
        return Ok(preflight());
    }
    let own = own(server);
    if let Some(response) = own.probe(head).await {
        told.route = Arc::from(head.uri.path());
        return Ok(response);
    }
    let actor = gate::actor_rule(door, &settings, &server.tokens, &head.headers)?;
    server.routing.refresh_if_old().await;
    let routes = server.routing.routes();
    let (leaf, places) = match routes.find(&head.method, head.uri.path()) {
        Found::Leaf(leaf, places) => (leaf, places),
        Found::OtherMethods(allow) => return Err(other_method(&head.method, &allow)),
        Found::BadPath(why) => return Err(Problem::invalid(why)),
        Found::Nothing => {
            let message = format!("nothing answers `{}`; `/openapi.json` lists what does", head.uri.path());
            return Err(Problem::new(StatusCode::NOT_FOUND, NOT_FOUND, message));
        }
    };
    told.route = Arc::clone(&leaf.template);
    match &leaf.target {
        Target::Fixed(fixed) => own.answer(*fixed, routing::ops(&routes)).await,
        Target::Op(op) => {
            refuse_if_draining(server, op.spec.admits_work)?;
            let fields = body::fields(&settings, head, body).await?;
            let asked = Asked { actor, head, places, fields };
            ops::run(&server.host, streams(server, &settings), op, asked, Arc::clone(in_flight)).await
        }
        Target::Mounted(mounted, route_idx) => {
            refuse_if_draining(server, !matches!(head.method, Method::GET | Method::HEAD))?;
            let body = body::bytes(&settings, body).await?;
            mounted::ask(&server.standing.stop, mounted, *route_idx, head, places, &body).await
        }
    }
}

fn own(server: &Server) -> Own<'_> {
    Own {
        host: &server.host,
        instance: &server.instance,
        numbers: &server.numbers,
        standing: &server.standing,
    }
}

fn streams<'a>(server: &'a Server, settings: &'a Settings) -> Streams<'a> {
    Streams { clients: &server.numbers.sse_clients, settings, standing: &server.standing }
}

/// The response that says so.
fn refused(problem: Problem) -> Response<Outgoing> {
    let mut response = Response::new(Outgoing::whole(problem.to_json().to_string()));
    *response.status_mut() = problem.status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    for (name, value) in problem.headers {
        headers.append(name, value);
    }
    response
}

fn refuse_if_draining(server: &Server, is_work: bool) -> Result<(), Problem> {
    if !(is_work && server.standing.is_draining()) {
        return Ok(());
    }
    let message = "this host is about to end and takes no new work; try again when the next one serves";
    let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, UNAVAILABLE, message);
    Err(problem.retry_after_ms(DRAIN_RETRY_AFTER_MS))
}

fn other_method(method: &Method, allow: &str) -> Problem {
    let message = format!("nothing answers `{method}` here; what does is {allow}");
    let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message);
    match HeaderValue::from_str(allow) {
        Ok(allow) => problem.with_header(ALLOW, allow),
        Err(_) => problem,
    }
}

fn is_preflight(head: &Parts) -> bool {
    head.method == Method::OPTIONS && head.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// What a browser asks before it sends a page's request; the request itself needs the token like any other.
fn preflight() -> Response<Outgoing> {
    let mut response = Response::new(Outgoing::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, CORS_METHODS);
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, CORS_SENT);
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from(CORS_MAX_AGE_S));
    response
}

fn finish(response: &mut Response<Outgoing>, origin: Option<HeaderValue>) {
    let headers = response.headers_mut();
    if let Some(origin) = origin {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, CORS_READ);
        headers.append(VARY, HeaderValue::from_static("origin"));
    }
    // A mount may say otherwise: its pages and scripts can be kept.
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.entry(X_CONTENT_TYPE_OPTIONS).or_insert(HeaderValue::from_static("nosniff"));
}
