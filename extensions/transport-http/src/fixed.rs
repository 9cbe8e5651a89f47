//! The routes that are always there: `/livez`, `/readyz`, `/version`, `/openapi.json`, `/metrics`.
//!
//! It must not know what ops do. The two probes say nothing but a status, and need no token.

use crate::numbers::Numbers;
use crate::openapi;
use crate::ops::OpAt;
use crate::outgoing::Outgoing;
use crate::problem::Problem;
use crate::prometheus;
use crate::standing::Standing;
use dispatch_sdk::contracts::kernel::{Inventory, InventoryReply};
use dispatch_sdk::contracts::verb::Empty;
use dispatch_sdk::{Fault, Host};
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

/// What the fixed routes tell of.
#[derive(Clone, Copy)]
pub(crate) struct Own<'a> {
    pub(crate) host: &'a Host,
    /// The listener's instance.
    pub(crate) instance: &'a str,
    pub(crate) numbers: &'a Numbers,
    pub(crate) standing: &'a Standing,
}

impl Own<'_> {
    /// Answers a probe: it works when the token does not.
    pub(crate) async fn probe(self, head: &Parts) -> Option<Response<Outgoing>> {
        if !matches!(head.method, Method::GET | Method::HEAD) {
            return None;
        }
        let fixed = Fixed::ALL.iter().copied().find(|fixed| fixed.path() == head.uri.path())?;
        self.status_alone(fixed).await.map(|status| {
            let mut response = Response::new(Outgoing::empty());
            *response.status_mut() = status;
            response
        })
    }

    async fn status_alone(self, fixed: Fixed) -> Option<StatusCode> {
        match fixed {
            Fixed::Livez => Some(StatusCode::OK),
            Fixed::Readyz if self.standing.is_ready(self.host).await => Some(StatusCode::OK),
            Fixed::Readyz => Some(StatusCode::SERVICE_UNAVAILABLE),
            Fixed::Version | Fixed::OpenApi | Fixed::Metrics => None,
        }
    }

    /// Answers a `GET` of a fixed route; `ops` are those of the document.
    pub(crate) async fn answer<'r>(
        self,
        fixed: Fixed,
        ops: impl Iterator<Item = OpAt<'r>>,
    ) -> Result<Response<Outgoing>, Problem> {
        let (kind, body) = match fixed {
            Fixed::Livez | Fixed::Readyz => {
                let mut response = Response::new(Outgoing::empty());
                *response.status_mut() = self.status_alone(fixed).await.unwrap_or(StatusCode::OK);
                return Ok(response);
            }
            Fixed::Version => {
                let inventory = self.inventory().await?;
                let version = json!({ "kernel": inventory.kernel, "host_id": inventory.host_id });
                ("application/json", version.to_string())
            }
            Fixed::OpenApi => {
                let inventory = self.inventory().await?;
                ("application/json", openapi::document(ops, &inventory.kernel).to_string())
            }
            Fixed::Metrics => {
                let text = prometheus::text(self.host, self.instance, self.numbers).await?;
                ("text/plain; version=0.0.4; charset=utf-8", text)
            }
        };
        let mut response = Response::new(Outgoing::whole(body));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        Ok(response)
    }

    /// What the host is made of.
    async fn inventory(self) -> Result<InventoryReply, Fault> {
        self.host.call(Inventory, &Empty {}).await
    }
}
