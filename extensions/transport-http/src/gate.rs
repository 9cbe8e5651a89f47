//! Who may come in: Host, Origin and Sec-Fetch-Site, then the token or the peer's uid.
//!
//! It must not know routes. It sees the head of a request alone, before its body is read and before any op is called.

use crate::config::Settings;
use crate::problem::Problem;
use crate::token::Tokens;
use hyper::header::{AUTHORIZATION, HOST, HeaderMap, HeaderValue, ORIGIN, WWW_AUTHENTICATE};
use hyper::http::request::Parts;
use hyper::http::uri::Authority;
use hyper::{StatusCode, Uri};
use std::net::{IpAddr, SocketAddr};

/// What the token's actor is called; there is one token.
const TOKEN_ACTOR: &str = "token:default";
/// The header by which browsers say where a request comes from.
const SEC_FETCH_SITE: &str = "sec-fetch-site";

/// Where a connection came in.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Door {
    /// Over TCP.
    Tcp {
        /// What the listener is bound to.
        bound: SocketAddr,
        /// What the client reached; says more when the listener is bound to all addresses.
        reached: IpAddr,
    },
    /// Over a unix socket.
    Unix {
        /// Of the process at the other end.
        uid: u32,
    },
}

/// Refuses a request whose name for this host is not one of ours: a page under a foreign name that resolves to here
/// must reach nothing. A unix socket has no name.
pub(crate) fn host_rule(door: &Door, settings: &Settings, head: &Parts) -> Result<(), Problem> {
    let Door::Tcp { bound, reached } = door else { return Ok(()) };
    let mut hosts = head.headers.get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return Err(Problem::invalid("a request has one `Host` header; send exactly one"));
    };
    let named = |text: &str| is_ours(text, *bound, *reached, &settings.hosts);
    let in_target = |uri: &Uri| uri.authority().is_none_or(|authority| named(authority.as_str()));
    if host.to_str().is_ok_and(named) && in_target(&head.uri) {
        return Ok(());
    }
    let message =
        "this host has no such name; use the address that it listens on, or add the name to `hosts`";
    Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, "misdirected", message))
}

fn is_ours(text: &str, bound: SocketAddr, reached: IpAddr, hosts: &[String]) -> bool {
    // No userinfo: `127.0.0.1@evil` is a name of evil.
    if text.contains('@') {
        return false;
    }
    let Ok(authority) = text.parse::<Authority>() else { return false };
    let (name, port) = (authority.host(), authority.port().map(|port| port.as_str().to_owned()));
    if port.is_none() && text.len() != name.len() {
        return false;
    }
    let port_is_ours = match &port {
        None => true,
        Some(port) => port.parse() == Ok(bound.port()),
    };
    let is = |ip: IpAddr| match ip.to_canonical() {
        IpAddr::V4(ip) => name == ip.to_string(),
        IpAddr::V6(ip) => name.eq_ignore_ascii_case(&format!("[{ip}]")),
    };
    let here =
        bound.ip().is_loopback() || (bound.ip().is_unspecified() && reached.to_canonical().is_loopback());
    let loopback =
        here && ["localhost", "127.0.0.1", "[::1]"].iter().any(|own| name.eq_ignore_ascii_case(own));
    let own = loopback || is(reached) || (!bound.ip().is_unspecified() && is(bound.ip()));
    (own && port_is_ours) || hosts.iter().any(|listed| lists(listed, name, text))
}

/// `box.example` lists the name with any port, `box.example:8443` that port alone.
fn lists(listed: &str, name: &str, with_port: &str) -> bool {
    listed.eq_ignore_ascii_case(name) || listed.eq_ignore_ascii_case(with_port)
}

/// Refuses what a page of a foreign origin sends; answers the origin if it is a listed one.
pub(crate) fn origin_rule(settings: &Settings, headers: &HeaderMap) -> Result<Option<HeaderValue>, Problem> {
    let refused = |message: String| Problem::new(StatusCode::FORBIDDEN, "foreign_origin", message);
    let mut origins = headers.get_all(ORIGIN).iter();
    match (origins.next(), origins.next()) {
        (Some(origin), None) if is_listed(settings, origin) => Ok(Some(origin.clone())),
        (Some(_), _) => {
            let message = "pages of this origin may not call; add it to `origins` if they shall";
            Err(refused(message.to_owned()))
        }
        (None, _) => {
            let own = |site: &HeaderValue| site == "none" || site == "same-origin";
            if headers.get_all(SEC_FETCH_SITE).iter().all(own) {
                return Ok(None);
            }
            Err(refused(format!("a page of another site sent this: `{SEC_FETCH_SITE}` says so")))
        }
    }
}

fn is_listed(settings: &Settings, origin: &HeaderValue) -> bool {
    let is = |listed: &String| origin.as_bytes().eq_ignore_ascii_case(listed.as_bytes());
    settings.origins.iter().any(is)
}

/// Who acts: the holder of the token, or the user at the other end of the socket.
pub(crate) fn actor_rule(
    door: &Door,
    settings: &Settings,
    tokens: &Tokens,
    headers: &HeaderMap,
) -> Result<String, Problem> {
    match door {
        Door::Unix { uid } => {
            let own = rustix::process::geteuid().as_raw();
            if *uid == own || *uid == 0 {
                return Ok(format!("uid:{uid}"));
            }
            let message = format!("user {uid} may not use the socket of user {own}");
            Err(Problem::new(StatusCode::FORBIDDEN, dispatch_sdk::fault::DENIED, message))
        }
        Door::Tcp { .. } => {
            if bearer(headers).is_some_and(|shown| tokens.admits(settings, shown)) {
                return Ok(TOKEN_ACTOR.to_owned());
            }
            let message = "send the token of this host in `Authorization: Bearer …`";
            let problem = Problem::new(StatusCode::UNAUTHORIZED, "unauthenticated", message);
            Err(problem.with_header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")))
        }
    }
}

/// The token of the one `Authorization` header; never one of the URL.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (all.next(), all.next()) else { return None };
    let (scheme, token) = value.as_bytes().split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii())
}
