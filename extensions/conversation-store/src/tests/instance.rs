//! What the instance says of itself.

use super::disk::Fail;
use super::rig::{Rig, called};
use dispatch_sdk::contracts::instance::{Check, CheckResult, CheckStatus, Metrics};
use dispatch_sdk::contracts::verb::Empty;
use std::collections::BTreeMap;

async fn check(rig: &Rig) -> CheckResult {
    let mut checks = rig.store.call(Check, &Empty {}).await.unwrap().checks;
    assert_eq!(checks.len(), 1);
    checks.remove(0)
}

async fn metrics(rig: &Rig) -> BTreeMap<String, f64> {
    let metrics = rig.store.call(Metrics, &Empty {}).await.unwrap().metrics;
    let short = |name: &str| name.strip_prefix("dispatch_conversation_store_").unwrap().to_owned();
    metrics.iter().map(|metric| (short(&metric.name), metric.samples[0].value)).collect()
}

#[tokio::test]
async fn the_check_tells_a_durable_store_from_one_that_forgets_and_one_that_fails() {
    let rig = Rig::new().await;
    let found = check(&rig).await;
    assert_eq!((found.name.as_str(), found.status, found.recovery.as_str()), ("store", CheckStatus::Ok, ""));
    rig.disk.fail_reads(true);
    let found = check(&rig).await;
    assert_eq!(found.status, CheckStatus::Fail);
    assert!(found.summary.contains("cannot read") && !found.recovery.is_empty(), "{found:?}");
    let found = check(&Rig::over_memory().await).await;
    assert_eq!(found.status, CheckStatus::Warn);
    assert!(found.summary.contains("not durable") && !found.recovery.is_empty(), "{found:?}");
}

#[tokio::test]
async fn the_metrics_count_commits_watchers_and_open_turns() {
    let rig = Rig::with_manual_clock().await;
    rig.begin("t").await.unwrap();
    let mut watched = rig.watch(0);
    watched.up_to(2).await;
    rig.disk.fail_next(Fail::NoSpace);
    rig.append("t", vec![called("x")]).await.unwrap_err();
    rig.disk.fail_next(Fail::Conflict);
    rig.append("t", vec![called("x")]).await.unwrap();
    let found = metrics(&rig).await;
    let of = |name: &str| found[name];
    assert_eq!(
        (of("commits_total"), of("commit_failures_total"), of("commit_conflicts_total")),
        (2.0, 1.0, 1.0)
    );
    assert_eq!((of("watchers"), of("open_turns")), (1.0, 1.0));
    rig.end("t").await;
    drop(watched);
    for _ in 0..500 {
        let found = metrics(&rig).await;
        if (found["watchers"], found["open_turns"]) == (0.0, 0.0) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    panic!("the gauges do not go back to zero");
}
