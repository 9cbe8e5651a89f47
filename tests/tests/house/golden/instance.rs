//! Samples of `instance.v1`.
//!
//! They must not know an instance.

use std::collections::BTreeMap;

use dispatch_contracts::Empty;
use dispatch_contracts::instance::*;
use serde_json::json;

use super::sample::{Golden, golden};

fn check(status: CheckStatus, recovery: &str) -> CheckResult {
    CheckResult {
        name: "disk".to_owned(),
        status,
        summary: "12 GiB are free".to_owned(),
        recovery: recovery.to_owned(),
    }
}

fn metric(kind: MetricKind, labels: BTreeMap<String, String>) -> Metric {
    Metric {
        name: "dispatch_turns_ended_total".to_owned(),
        help: "Turns that ended.".to_owned(),
        kind,
        samples: vec![Sample { labels, value: 42.0 }],
    }
}

pub(super) fn samples() -> Vec<Golden> {
    let labels = BTreeMap::from([("status".to_owned(), "completed".to_owned())]);
    vec![
        golden::<Serve>(
            vec![ServeParams { listen: vec!["127.0.0.1:0".to_owned()] }, ServeParams::default()],
            vec![ServeReply { addresses: vec!["127.0.0.1:8080".to_owned()] }, ServeReply::default()],
            vec![],
        ),
        golden::<Drain>(
            vec![DrainParams { deadline_ms: 10_000 }],
            vec![DrainReply { unfinished: 2 }],
            vec![],
        ),
        golden::<Reload>(
            vec![ReloadParams { config: json!({ "key": 1 }) }],
            vec![
                ReloadReply { applied: vec!["key".to_owned()], needs_restart: vec!["listen".to_owned()] },
                ReloadReply::default(),
            ],
            vec![],
        ),
        golden::<Backup>(
            vec![
                BackupParams { path: "/backup/1.db".to_owned(), replace: true },
                BackupParams { path: "/backup/1.db".to_owned(), replace: false },
            ],
            vec![BackupReply { bytes: 4096 }],
            vec![],
        ),
        golden::<Restore>(
            vec![RestoreParams { path: "/backup/1.db".to_owned() }],
            vec![RestoreReply { kept: "/data/dispatch.db.before-restore".to_owned() }],
            vec![],
        ),
        golden::<Check>(
            vec![Empty {}],
            vec![CheckReply {
                checks: vec![
                    check(CheckStatus::Ok, ""),
                    check(CheckStatus::Warn, "make room"),
                    check(CheckStatus::Fail, "make room"),
                ],
            }],
            vec![],
        ),
        golden::<Metrics>(
            vec![Empty {}],
            vec![MetricsReply {
                metrics: vec![
                    metric(MetricKind::Counter, labels),
                    metric(MetricKind::Gauge, BTreeMap::new()),
                ],
            }],
            vec![],
        ),
    ]
}
