//! The host's one HTTP listener: every op that has a path is a route, ops that emit are streams of server-sent events,
//! and other extensions mount routes of their own (`http.v1`).
//!
//! It must not know any service contract other than `http.v1`: a route is a projection of an op, whoever contributes
//! it. It opens a port when it is asked to serve, and never before.
#![forbid(unsafe_code)]

mod answering;
mod body;
mod config;
mod connection;
mod fixed;
mod frames;
mod gate;
mod gauge;
mod health;
mod input;
mod listen;
mod mounted;
mod mounting;
mod numbers;
mod openapi;
mod ops;
mod outgoing;
mod problem;
mod prometheus;
mod routes;
mod routing;
mod schema;
mod server;
mod serving;
mod sse;
mod standing;
#[cfg(test)]
mod tests;
mod token;
mod unescape;
mod watch;
mod wire;

use dispatch_sdk::contracts::http::{Mount, MountParams};
use dispatch_sdk::contracts::instance::{
    Check, CheckReply, Drain, DrainParams, DrainReply, Metrics, MetricsReply, Reload, ReloadParams,
    ReloadReply, Serve, ServeParams, ServeReply,
};
use dispatch_sdk::contracts::verb::Empty;
use dispatch_sdk::{Call, Config, Extension, Fault, Host, Verbs};
use server::Server;
use std::sync::Arc;

dispatch_sdk::export!(TransportHttp, settings);

struct TransportHttp {
    server: Arc<Server>,
}

impl Extension for TransportHttp {
    fn open(host: Host, config: Config) -> Result<Self, Fault> {
        Ok(Self { server: Arc::new(Server::new(host, &config)?) })
    }

    fn verbs(verbs: &mut Verbs<Self>) {
        verbs.on(Serve, Self::serve);
        verbs.on(Drain, Self::drain);
        verbs.on(Reload, Self::reload);
        verbs.on(Check, Self::check);
        verbs.on(Metrics, Self::metrics);
        verbs.on(Mount, Self::mount);
    }

    async fn stop(self: Arc<Self>) -> Result<(), Fault> {
        serving::stop(&self.server).await;
        Ok(())
    }
}

impl TransportHttp {
    async fn serve(self: Arc<Self>, _call: Call, params: ServeParams) -> Result<ServeReply, Fault> {
        serving::serve(&self.server, params).await
    }

    async fn drain(self: Arc<Self>, _call: Call, params: DrainParams) -> Result<DrainReply, Fault> {
        Ok(serving::drain(&self.server, params).await)
    }

    async fn reload(self: Arc<Self>, _call: Call, params: ReloadParams) -> Result<ReloadReply, Fault> {
        serving::reload(&self.server, params)
    }

    async fn check(self: Arc<Self>, _call: Call, _params: Empty) -> Result<CheckReply, Fault> {
        Ok(serving::check(&self.server))
    }

    async fn metrics(self: Arc<Self>, _call: Call, _params: Empty) -> Result<MetricsReply, Fault> {
        Ok(MetricsReply { metrics: self.server.numbers.metrics() })
    }

    async fn mount(self: Arc<Self>, call: Call, params: MountParams) -> Result<Empty, Fault> {
        mounting::mount(&self.server.routing, &self.server.standing.stop, &call, params).await
    }
}
