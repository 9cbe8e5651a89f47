//! What the listener counts of itself, as metrics. It must not know how they are shown.

use crate::gauge::Gauge;
use dispatch_sdk::contracts::instance::{Metric, MetricKind, Sample};
use hyper::{Method, StatusCode};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Most combinations of route, method and status that are counted apart.
const REQUEST_SERIES_MAX: usize = 2_048;
/// The route of requests that no route takes, or that the rules before routing refuse.
pub(crate) const NO_ROUTE: &str = "none";

/// The listener's counters.
#[derive(Default)]
pub(crate) struct Numbers {
    pub(crate) bytes_received: AtomicU64,
    pub(crate) bytes_sent: AtomicU64,
    pub(crate) connections_accepted: AtomicU64,
    pub(crate) connections_refused: AtomicU64,
    pub(crate) slow_clients_cut: AtomicU64,
    pub(crate) connections: Arc<Gauge>,
    pub(crate) in_flight: Arc<Gauge>,
    pub(crate) sse_clients: Arc<Gauge>,
    requests: Mutex<BTreeMap<Series, u64>>,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Series {
    route: Arc<str>,
    method: &'static str,
    status: u16,
}

impl Numbers {
    /// Counts an answered request by the template of its route.
    pub(crate) fn request(&self, route: &Arc<str>, method: &Method, status: StatusCode) {
        let series = Series { route: Arc::clone(route), method: label_of(method), status: status.as_u16() };
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(n) = requests.get_mut(&series) {
            *n += 1;
        } else if requests.len() < REQUEST_SERIES_MAX {
            requests.insert(series, 1);
        }
    }

    /// All of them.
    pub(crate) fn metrics(&self) -> Vec<Metric> {
        let counter = |name: &str, help: &str, n: &AtomicU64| {
            single(name, help, MetricKind::Counter, n.load(Ordering::Relaxed) as f64)
        };
        let gauge =
            |name: &str, help: &str, of: &Gauge| single(name, help, MetricKind::Gauge, of.count() as f64);
        vec![
            self.requests_metric(),
            gauge("dispatch_http_requests_in_flight", "Requests without streams of events.", &self.in_flight),
            gauge("dispatch_http_sse_clients", "Open streams of events.", &self.sse_clients),
            gauge("dispatch_http_connections", "Open connections.", &self.connections),
            counter(
                "dispatch_http_connections_accepted_total",
                "Connections taken.",
                &self.connections_accepted,
            ),
            counter(
                "dispatch_http_connections_refused_total",
                "Connections beyond connections_max.",
                &self.connections_refused,
            ),
            counter(
                "dispatch_http_slow_clients_cut_total",
                "Connections cut at the write deadline.",
                &self.slow_clients_cut,
            ),
            counter("dispatch_http_received_bytes_total", "Bytes received.", &self.bytes_received),
            counter("dispatch_http_sent_bytes_total", "Bytes sent.", &self.bytes_sent),
        ]
    }

    fn requests_metric(&self) -> Metric {
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        let sample = |(series, n): (&Series, &u64)| Sample {
            labels: BTreeMap::from([
                ("route".to_owned(), series.route.to_string()),
                ("method".to_owned(), series.method.to_owned()),
                ("status".to_owned(), series.status.to_string()),
            ]),
            value: *n as f64,
        };
        Metric {
            name: "dispatch_http_requests_total".to_owned(),
            help: "Answered requests.".to_owned(),
            kind: MetricKind::Counter,
            samples: requests.iter().map(sample).collect(),
        }
    }
}

fn single(name: &str, help: &str, kind: MetricKind, value: f64) -> Metric {
    let samples = vec![Sample { labels: BTreeMap::new(), value }];
    Metric { name: name.to_owned(), help: help.to_owned(), kind, samples }
}

/// The method as a label: clients can invent methods, and labels are few.
fn label_of(method: &Method) -> &'static str {
    const KNOWN: &[&str] = &["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    KNOWN.iter().find(|known| **known == method.as_str()).copied().unwrap_or("other")
}
