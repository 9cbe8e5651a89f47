//! What `doctor` is told of an endpoint.

use super::open;
use dispatch_sdk::contracts::Empty;
use dispatch_sdk::contracts::instance::{Check, CheckStatus};
use dispatch_testkit::fake_llm::{FakeLlm, Script};
use serde_json::{Value, json};
use std::net::TcpListener;

/// The checks as `name: status`, and all they say.
async fn checked(config: Value) -> (Vec<String>, String) {
    let opened = open(config).await;
    let checks = opened.call(Check, &Empty {}).await.expect("checks").checks;
    let told = serde_json::to_string(&checks).expect("JSON");
    (checks.iter().map(|check| format!("{}: {:?}", check.name, check.status)).collect(), told)
}

#[tokio::test]
async fn an_endpoint_that_listens_is_well_and_hears_no_request() {
    let fake = FakeLlm::start(Script::default());
    let (checks, told) =
        checked(json!({ "base_url": fake.base_url(), "api_key": "hush-hush", "headers": { "x": "hush" } }))
            .await;
    assert_eq!(checks, ["base_url: Ok", "api_key: Ok", "endpoint: Ok"]);
    assert!(!told.contains("hush"), "{told}");
    assert_eq!(fake.n_requests(), 0);
    let (checks, _) = checked(json!({ "base_url": fake.base_url() })).await;
    assert_eq!(checks[1], "api_key: Ok", "a server on this machine may want none");
}

#[tokio::test]
async fn an_endpoint_where_nobody_listens_is_warned_of() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let port = listener.local_addr().expect("it is bound").port();
    drop(listener);
    let base_url = format!("http://127.0.0.1:{port}/v1?key=hush");
    let (checks, told) = checked(json!({ "base_url": base_url })).await;
    assert_eq!(checks, ["base_url: Ok", "api_key: Ok", "endpoint: Warn"]);
    assert!(
        told.contains(&format!("cannot reach `127.0.0.1` port {port}: ")) && !told.contains("hush"),
        "{told}"
    );
}

#[tokio::test]
async fn what_is_missing_is_warned_of_with_what_to_do() {
    let opened = open(json!({})).await;
    let checks = opened.call(Check, &Empty {}).await.expect("checks").checks;
    let names: Vec<_> = checks.iter().map(|check| (check.name.as_str(), check.status)).collect();
    assert_eq!(names, [("base_url", CheckStatus::Warn), ("api_key", CheckStatus::Warn)]);
    assert!(checks[0].recovery.contains("OPENAI_API_KEY"), "{}", checks[0].recovery);
    assert!(checks[1].recovery.contains("none is sent; set `api_key`"), "{}", checks[1].recovery);
}
