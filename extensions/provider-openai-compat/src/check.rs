//! `instance.v1/check`: whether an endpoint is named, a key is set, and somebody listens there. It sends no request.

use crate::config::Settings;
use dispatch_sdk::contracts::instance::{CheckReply, CheckResult, CheckStatus};
use reqwest::header::AUTHORIZATION;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long a connection is waited for.
const CONNECT_WAIT: Duration = Duration::from_secs(2);

/// Looks at the configuration, and at the network no further than a connection that is closed again.
pub(crate) async fn check(settings: &Settings) -> CheckReply {
    let mut checks = vec![base_url(settings), api_key(settings)];
    checks.extend(endpoint(settings).await);
    CheckReply { checks }
}

fn result(name: &str, status: CheckStatus, summary: String, recovery: String) -> CheckResult {
    CheckResult { name: name.to_owned(), status, summary, recovery }
}

/// Only where it is: a path or a query may hold a secret.
fn base_url(settings: &Settings) -> CheckResult {
    match &settings.base_url {
        Some(url) => {
            let origin = url.origin().ascii_serialization();
            result("base_url", CheckStatus::Ok, format!("the endpoint is at `{origin}`"), String::new())
        }
        None => {
            let summary = "no endpoint is configured".to_owned();
            result("base_url", CheckStatus::Warn, summary, settings.base_url_hint())
        }
    }
}

/// Whether there is a key; never which one.
fn api_key(settings: &Settings) -> CheckResult {
    let (status, summary, recovery) = if settings.sends_secrets_in_clear_text() {
        let recovery = "use https, or an endpoint on this machine".to_owned();
        (CheckStatus::Warn, "secrets go over plain http to another machine", recovery)
    } else if settings.headers.contains_key(AUTHORIZATION) {
        (CheckStatus::Ok, "a key is set", String::new())
    } else if !settings.headers.is_empty() {
        (CheckStatus::Ok, "no key is set, but headers are", String::new())
    } else if settings.is_local() {
        (CheckStatus::Ok, "no key is set, and the endpoint is on this machine", String::new())
    } else {
        (CheckStatus::Warn, "no key is set", settings.api_key_hint())
    };
    result("api_key", status, summary.to_owned(), recovery)
}

/// Whether somebody takes a connection; nothing to tell without an endpoint.
async fn endpoint(settings: &Settings) -> Option<CheckResult> {
    let host = settings.host()?;
    let port = settings.base_url.as_ref()?.port_or_known_default()?;
    let proxy = settings.proxy();
    let (host, port, way) = match &proxy {
        Some(proxy) => (proxy.host.as_str(), proxy.port, format!(" (the proxy in front of `{host}`)")),
        None => (host, port, String::new()),
    };
    let (status, summary) = match timeout(CONNECT_WAIT, TcpStream::connect((host, port))).await {
        Ok(Ok(_)) => (CheckStatus::Ok, format!("`{host}` port {port}{way} takes connections")),
        Ok(Err(error)) => (CheckStatus::Warn, format!("cannot reach `{host}` port {port}{way}: {error}")),
        Err(_) => {
            let waited_ms = CONNECT_WAIT.as_millis();
            (CheckStatus::Warn, format!("cannot reach `{host}` port {port}{way} within {waited_ms} ms"))
        }
    };
    let recovery = match status {
        CheckStatus::Ok => String::new(),
        CheckStatus::Warn | CheckStatus::Fail if proxy.is_some() => settings.proxy_hint(),
        CheckStatus::Warn | CheckStatus::Fail => settings.reaching_hint(),
    };
    Some(result("endpoint", status, summary, recovery))
}
