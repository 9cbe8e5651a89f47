//! The routes that are always there: `/livez`, `/readyz`, `/version`, `/openapi.json`, `/metrics`.
//!
//! It must not know ops. The two probes say nothing but a status, and need no token.

use crate::openapi;
use crate::outgoing::Outgoing;
use crate::problem::Problem;
use crate::prometheus;
use crate::server::Server;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};
use serde_json::json;

/// A route of the listener's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fixed {
    Livez,
    Readyz,
    Version,
    OpenApi,
    Metrics,
}

impl Fixed {
    pub(crate) const ALL: &[Self] = &[Self::Livez, Self::Readyz, Self::Version, Self::OpenApi, Self::Metrics];

    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Livez => "/livez",
            Self::Readyz => "/readyz",
            Self::Version => "/version",
            Self::OpenApi => "/openapi.json",
            Self::Metrics => "/metrics",
        }
    }
}

/// Answers a probe: it works when the token does not.
pub(crate) async fn probe(server: &Server, head: &Parts) -> Option<Response<Outgoing>> {
    if !matches!(head.method, Method::GET | Method::HEAD) {
        return None;
    }
    let fixed = Fixed::ALL.iter().copied().find(|fixed| fixed.path() == head.uri.path())?;
    status_alone(server, fixed).await.map(|status| {
        let mut response = Response::new(Outgoing::empty());
        *response.status_mut() = status;
        response
    })
}

async fn status_alone(server: &Server, fixed: Fixed) -> Option<StatusCode> {
    match fixed {
        Fixed::Livez => Some(StatusCode::OK),
        Fixed::Readyz if server.is_ready().await => Some(StatusCode::OK),
        Fixed::Readyz => Some(StatusCode::SERVICE_UNAVAILABLE),
        Fixed::Version | Fixed::OpenApi | Fixed::Metrics => None,
    }
}

/// Answers a `GET` of a fixed route.
pub(crate) async fn answer(server: &Server, fixed: Fixed) -> Result<Response<Outgoing>, Problem> {
    let (kind, body) = match fixed {
        Fixed::Livez | Fixed::Readyz => {
            let mut response = Response::new(Outgoing::empty());
            *response.status_mut() = status_alone(server, fixed).await.unwrap_or(StatusCode::OK);
            return Ok(response);
        }
        Fixed::Version => {
            let inventory = server.inventory().await?;
            let version = json!({ "kernel": inventory.kernel, "host_id": inventory.host_id });
            ("application/json", version.to_string())
        }
        Fixed::OpenApi => {
            let inventory = server.inventory().await?;
            let document = openapi::document(&server.routing.routes(), &inventory.kernel);
            ("application/json", document.to_string())
        }
        Fixed::Metrics => ("text/plain; version=0.0.4; charset=utf-8", prometheus::text(server).await?),
    };
    let mut response = Response::new(Outgoing::whole(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    Ok(response)
}
