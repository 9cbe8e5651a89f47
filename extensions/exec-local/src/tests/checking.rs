//! What `instance.v1/check` finds.

use super::{open, shim};
use crate::ExecLocal;
use dispatch_sdk::contracts::Empty;
use dispatch_sdk::contracts::instance::{Check, CheckStatus};
use dispatch_testkit::{FakeHost, Opened};
use serde_json::json;
use std::fs;
use std::path::Path;

async fn found(exec: &Opened) -> Vec<(String, CheckStatus, String)> {
    let checks = exec.call_named(Check, "exec-local", &Empty {}).await.expect("it answers").checks;
    let wants_help = |status| status != CheckStatus::Ok;
    assert!(checks.iter().all(|check| wants_help(check.status) != check.recovery.is_empty()), "{checks:?}");
    checks.into_iter().map(|check| (check.name, check.status, check.summary)).collect()
}

fn as_expected(name: &str, status: CheckStatus, summary: impl Into<String>) -> (String, CheckStatus, String) {
    (name.to_owned(), status, summary.into())
}

#[tokio::test]
async fn a_sound_instance_is_said_to_be_sound_and_nothing_is_left() {
    let exec = open(json!({ "shim": shim(), "roots": ["/", "{cwd}"] })).await;
    let output_dir = Path::new(&exec.host().dirs().cache).join("exec-local/output");
    let output = format!("output that is cut is kept in `{}`", output_dir.display());
    let expected = [
        as_expected("programs", CheckStatus::Ok, "a shell starts under its guard"),
        as_expected("roots", CheckStatus::Ok, "files are reached beneath /, {cwd}"),
        as_expected("output", CheckStatus::Ok, output),
    ];
    assert_eq!(found(&exec).await, expected);
    assert_eq!(fs::read_dir(output_dir).expect("it was made").count(), 0);
}

#[tokio::test]
async fn what_is_missing_is_said() {
    let host = FakeHost::new();
    fs::write(Path::new(&host.dirs().cache).join("exec-local"), "in the way").expect("the directory is ours");
    let config = json!({ "shim": ["/no/such/shim"], "roots": ["/no/such/root", "/"] });
    let exec = host.open::<ExecLocal>("exec-local", config).await.expect("it opens");
    let found = found(&exec).await;
    let failed: Vec<_> = found.iter().map(|(name, status, _)| (name.as_str(), *status)).collect();
    assert_eq!(
        failed,
        [("programs", CheckStatus::Fail), ("roots", CheckStatus::Fail), ("output", CheckStatus::Warn)]
    );
    assert!(found[0].2.starts_with("cannot start `/no/such/shim`, which guards programs: "), "{found:?}");
    assert_eq!(found[1].2, "no directory: `/no/such/root`");
    assert!(found[2].2.starts_with("output that is cut is lost: cannot write in `"), "{found:?}");
}

#[tokio::test]
async fn a_guard_that_fails_and_no_guard_at_all_are_told_apart() {
    let programs = async |shim| {
        let (_, status, summary) = found(&open(json!({ "shim": shim })).await).await.swap_remove(0);
        (status, summary)
    };
    let ended = "a shell that does nothing ended with exit code 1".to_owned();
    assert_eq!(programs(json!(["false"])).await, (CheckStatus::Fail, ended));
    assert_eq!(programs(json!([])).await.0, CheckStatus::Warn);
}
