//! Samples of `http.v1` and `http_host.v1`.
//!
//! They must not know a listener.

use std::collections::BTreeMap;

use dispatch_contracts::Empty;
use dispatch_contracts::http::*;

use super::sample::{Golden, golden};

pub(super) fn samples() -> Vec<Golden> {
    let headers = vec![("content-type".to_owned(), "text/plain".to_owned())];
    let plain = RequestParams {
        route_idx: 0,
        method: "GET".to_owned(),
        path: "/web/".to_owned(),
        params: BTreeMap::new(),
        query: String::new(),
        headers: vec![],
        body: String::new(),
    };
    let full = RequestParams {
        method: "POST".to_owned(),
        path: "/web/a".to_owned(),
        params: BTreeMap::from([("page".to_owned(), "a".to_owned())]),
        query: "x=1".to_owned(),
        headers: headers.clone(),
        body: "aGk=".to_owned(),
        ..plain.clone()
    };
    vec![
        golden::<Mount>(
            vec![MountParams {
                routes: vec![Route { method: "GET".to_owned(), path: "/web/{page}".to_owned() }],
            }],
            vec![Empty {}],
            vec![MountFrame::Mounted {}],
        ),
        golden::<Request>(
            vec![plain, full],
            vec![Empty {}],
            vec![
                ResponseFrame::Head { status: 200, headers },
                ResponseFrame::Text { text: "hi".to_owned() },
                ResponseFrame::Data { data: "aGk=".to_owned() },
            ],
        ),
    ]
}
