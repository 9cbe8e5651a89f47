//! `http.v1` (routes of other extensions on the host's one HTTP listener) and `http_host.v1` (called back on whoever
//! mounted them). Single-valued.
//!
//! A mount lives as long as its call. A mounted route stands behind the same token, Host, Origin and size rules as
//! every other; it sees no credentials. Codes: `conflict` (detail `{method, path}`), a route is taken; `invalid`.

use crate::verb::{Empty, Limits, Mode, Verb};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Most routes of one mount.
pub const ROUTES_MAX: usize = 64;
/// Most bytes of one body frame's text or data.
pub const BODY_FRAME_BYTES_MAX: usize = 1024 * 1024;

/// `http.v1/mount`: its frame says that the routes answer from now on; dropping the call takes them away.
pub struct Mount;

impl Verb for Mount {
    type Params = MountParams;
    type Reply = Empty;
    type Frame = MountFrame;
    const NAME: &'static str = "http.v1/mount";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = Limits::long(0);
}

/// The routes of a mount; all or none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountParams {
    /// At most [`ROUTES_MAX`].
    pub routes: Vec<Route>,
}

/// One route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// `GET`, `POST`, …; a `GET` answers `HEAD` too.
    pub method: String,
    /// `/web/{page}`; `{name}` is one segment, `{*name}` at the end is the rest. `/v1/…` is the ops'.
    pub path: String,
}

/// What a mount shows. Readers skip a `type` that they do not know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum MountFrame {
    /// The routes answer from now on.
    Mounted {},
    /// A frame of a later version.
    #[serde(other)]
    Unknown,
}

/// `http_host.v1/request`: one request of a mounted route. The first frame is the head, then the body in order; a
/// request whose client went away is cancelled.
pub struct Request;

impl Verb for Request {
    type Params = RequestParams;
    type Reply = Empty;
    type Frame = ResponseFrame;
    const NAME: &'static str = "http_host.v1/request";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = Limits::long(0);
}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestParams {
    /// Which of the mount's routes, from 0.
    pub route_idx: usize,
    /// `GET`.
    pub method: String,
    /// As sent, without the query.
    pub path: String,
    /// Values of the route's places, percent-decoded.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<String, String>,
    /// After `?`, as sent.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub query: String,
    /// Lower-case names, in order, without `authorization`, `cookie` and `proxy-authorization`; values that are not
    /// UTF-8 are left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    /// Base64.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub body: String,
}

/// A piece of a response. Readers skip a `type` that they do not know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ResponseFrame {
    /// First, and once.
    Head {
        /// 200 to 599.
        status: u16,
        /// Those of the connection are the listener's.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        headers: Vec<(String, String)>,
    },
    /// Text of the body.
    Text {
        /// At most [`BODY_FRAME_BYTES_MAX`].
        text: String,
    },
    /// Bytes of the body.
    Data {
        /// Base64 of at most [`BODY_FRAME_BYTES_MAX`].
        data: String,
    },
    /// A frame of a later version.
    #[serde(other)]
    Unknown,
}
