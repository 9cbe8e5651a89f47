//! The policy on a fake host, whose clock and ids are the test's.

use super::Backoff;
use super::breaker::PROVIDERS_MAX;
use super::wait::RETRY_AFTER_MS_MIN;
use dispatch_sdk::contracts::Empty;
use dispatch_sdk::contracts::instance::{Check, CheckStatus, Metrics};
use dispatch_sdk::contracts::provider::FaultClass;
use dispatch_sdk::contracts::retry::{Decide, DecideParams};
use dispatch_sdk::{Fault, Meta};
use dispatch_testkit::{FakeHost, Opened};
use serde_json::{Value, json};

async fn opened(config: Value) -> Result<Opened, Fault> {
    FakeHost::with_manual_clock().open::<Backoff>("retry-backoff", config).await
}

/// A policy without jitter.
async fn exact(mut config: Value) -> Opened {
    config["jitter_percent"] = json!(0);
    opened(config).await.expect("a good configuration")
}

fn failure(attempt: u32) -> DecideParams {
    DecideParams {
        class: FaultClass::ServerError,
        provider: "p".to_owned(),
        attempt,
        retry_after_ms: None,
        elapsed_ms: 0,
    }
}

fn asks_for(retry_after_ms: u64) -> DecideParams {
    DecideParams { class: FaultClass::RateLimited, retry_after_ms: Some(retry_after_ms), ..failure(1) }
}

async fn decide(policy: &Opened, failed: &DecideParams) -> Option<u64> {
    policy.call(Decide, failed).await.expect("an answer").delay_ms
}

/// The sample with this label, or the sum of all if there is none.
async fn metric(policy: &Opened, name: &str, label: &str) -> f64 {
    let metrics = policy.call(Metrics, &Empty {}).await.expect("metrics").metrics;
    let metric = metrics.into_iter().find(|metric| metric.name == name).expect("a known name");
    let found = metric.samples.iter().find(|sample| sample.labels.values().any(|value| value == label));
    found.map_or(0.0, |sample| sample.value)
}

#[tokio::test]
async fn a_wrong_configuration_is_refused_by_name() {
    for (config, told) in [
        (json!({ "delay_ms": [1] }), "delay_ms"),
        (json!({ "breaker": { "failure": 1 } }), "failure"),
        (json!({ "delays_ms": [] }), "`delays_ms` has 0 waits; it must have from 1 to 64"),
        (json!({ "delays_ms": vec![1; 65] }), "`delays_ms` has 65 waits"),
        (json!({ "delays_ms": [1, 0] }), "`delays_ms[1]` is 0"),
        (json!({ "delays_ms": [86_400_001] }), "`delays_ms[0]` is 86400001"),
        (json!({ "jitter_percent": 101 }), "`jitter_percent` is 101; it must be from 0 to 100"),
        (json!({ "attempts_max": 0 }), "`attempts_max` is 0; it must be from 1 to 100"),
        (json!({ "attempts_max": 101 }), "`attempts_max` is 101"),
        (json!({ "elapsed_max_ms": 0 }), "`elapsed_max_ms` is 0"),
        (json!({ "retry_after_max_ms": 86_400_001 }), "`retry_after_max_ms` is 86400001"),
        (json!({ "stalled_attempts_max": 0 }), "`stalled_attempts_max` is 0; it must be from 1 to 100"),
        (json!({ "unreachable_delays_ms": vec![1; 65] }), "`unreachable_delays_ms` has 65 waits"),
        (json!({ "unreachable_delays_ms": [0] }), "`unreachable_delays_ms[0]` is 0"),
        (json!({ "unreachable_elapsed_max_ms": 0 }), "`unreachable_elapsed_max_ms` is 0"),
        (json!({ "breaker": { "failures": 1001 } }), "`breaker.failures` is 1001"),
        (json!({ "breaker": { "window_ms": 0 } }), "`breaker.window_ms` is 0"),
        (json!({ "breaker": { "open_ms": 3_600_001 } }), "`breaker.open_ms` is 3600001"),
    ] {
        let Err(fault) = opened(config.clone()).await else { panic!("{config} was taken") };
        assert_eq!(fault.code, "invalid");
        assert!(fault.message.contains(told), "{config}: {}", fault.message);
    }
}

/// The waits of one step whose every request fails in this way, and how long it took to give up.
async fn waits_ms(policy: &Opened, class: FaultClass) -> (Vec<u64>, u64) {
    let mut waits_ms = Vec::new();
    let mut failed = DecideParams { class, ..failure(1) };
    while let Some(delay_ms) = decide(policy, &failed).await {
        waits_ms.push(delay_ms);
        failed.elapsed_ms += delay_ms;
        failed.attempt += 1;
        policy.host().advance_ms(delay_ms);
    }
    (waits_ms, failed.elapsed_ms)
}

#[tokio::test]
async fn without_a_word_of_the_endpoint_the_schedule_holds_and_its_last_wait_repeats() {
    let policy = exact(json!({})).await;
    let (waits_ms, elapsed_ms) = waits_ms(&policy, FaultClass::ServerError).await;
    assert_eq!(waits_ms, [5, 10, 30, 60, 120, 180, 180, 180].map(|s| s * 1_000));
    assert!(elapsed_ms <= 15 * 60_000, "the bound of 15 minutes ends it: {elapsed_ms}");
    assert_eq!(metric(&policy, "dispatch_retries_total", "server_error").await, 8.0);
    assert_eq!(metric(&policy, "dispatch_retry_give_ups_total", "elapsed").await, 1.0);
}

#[tokio::test]
async fn an_endpoint_that_was_never_reached_is_given_up_within_seconds() {
    let policy = exact(json!({})).await;
    assert_eq!(waits_ms(&policy, FaultClass::Unreachable).await, (vec![1_000, 2_000, 4_000], 7_000));
    assert_eq!(metric(&policy, "dispatch_retry_give_ups_total", "unreachable").await, 1.0);
    // Each request may have waited for its connection.
    let slow = DecideParams { class: FaultClass::Unreachable, elapsed_ms: 8_000, ..failure(2) };
    assert_eq!(decide(&policy, &slow).await, Some(2_000));
    let slow = DecideParams { class: FaultClass::Unreachable, elapsed_ms: 8_500, ..failure(2) };
    assert_eq!(decide(&policy, &slow).await, None);
    let never = exact(json!({ "unreachable_delays_ms": [] })).await;
    assert_eq!(waits_ms(&never, FaultClass::Unreachable).await, (vec![], 0));
    let long =
        exact(json!({ "unreachable_delays_ms": [50_000], "unreachable_elapsed_max_ms": 60_000 })).await;
    assert_eq!(waits_ms(&long, FaultClass::Unreachable).await.0, [50_000]);
}

#[tokio::test]
async fn a_stall_is_repeated_once_because_the_endpoint_begins_anew_each_time() {
    let policy = exact(json!({})).await;
    assert_eq!(waits_ms(&policy, FaultClass::Stalled).await.0, [5_000]);
    assert_eq!(metric(&policy, "dispatch_retry_give_ups_total", "stalled").await, 1.0);
    let patient = exact(json!({ "stalled_attempts_max": 3 })).await;
    assert_eq!(waits_ms(&patient, FaultClass::Stalled).await.0, [5_000, 10_000]);
}

#[tokio::test]
async fn what_the_endpoint_asks_for_is_kept_and_never_undercut() {
    let policy = exact(json!({ "delays_ms": [9_000] })).await;
    for (asked_ms, waited_ms) in
        [(1_000, 1_000), (60_000, 60_000), (RETRY_AFTER_MS_MIN, 250), (1, 250), (0, 250)]
    {
        assert_eq!(decide(&policy, &asks_for(asked_ms)).await, Some(waited_ms));
    }
    let policy = opened(json!({})).await.expect("a good configuration");
    for n in 0..200 {
        let turn = policy.with_meta(Meta { turn_id: Some(format!("turn-{n}")), ..Meta::default() });
        let waited_ms = decide(&turn, &asks_for(2_000)).await.expect("a wait");
        assert!((2_000..=2_200).contains(&waited_ms), "{waited_ms}");
    }
}

#[tokio::test]
async fn an_endpoint_that_asks_for_too_much_is_given_up_at_once() {
    let policy = exact(json!({ "retry_after_max_ms": 60_000 })).await;
    for asked_ms in [60_001, 7 * 24 * 3_600_000, u64::MAX] {
        assert_eq!(decide(&policy, &asks_for(asked_ms)).await, None, "{asked_ms}");
    }
    assert_eq!(metric(&policy, "dispatch_retry_give_ups_total", "retry_after").await, 3.0);
    let never = exact(json!({ "retry_after_max_ms": 0 })).await;
    assert_eq!(decide(&never, &asks_for(1)).await, None);
}

#[tokio::test]
async fn turns_that_failed_together_come_back_apart_and_each_always_as_before() {
    let policy = opened(json!({ "delays_ms": [10_000], "jitter_percent": 50 })).await.expect("good");
    let mut waits = Vec::new();
    for n in 0..50 {
        let turn = policy.with_meta(Meta { turn_id: Some(format!("turn-{n}")), ..Meta::default() });
        let failed = DecideParams { class: FaultClass::RateLimited, ..failure(1) };
        let waited_ms = decide(&turn, &failed).await.expect("a wait");
        assert!((10_000..=15_000).contains(&waited_ms), "{waited_ms}");
        assert_eq!(decide(&turn, &failed).await, Some(waited_ms), "the same turn again");
        waits.push(waited_ms);
    }
    waits.sort_unstable();
    waits.dedup();
    assert!(waits.len() > 40, "only {} different waits", waits.len());
    assert!(waits.last().expect("some") - waits[0] > 4_000, "{waits:?}");
}

#[tokio::test]
async fn attempts_time_and_class_have_bounds() {
    let policy = exact(json!({ "delays_ms": [10], "attempts_max": 3, "elapsed_max_ms": 1_000 })).await;
    assert_eq!(decide(&policy, &failure(2)).await, Some(10));
    assert_eq!(decide(&policy, &failure(3)).await, None);
    assert_eq!(decide(&policy, &failure(u32::MAX)).await, None);
    assert_eq!(decide(&policy, &DecideParams { elapsed_ms: 990, ..failure(1) }).await, Some(10));
    assert_eq!(decide(&policy, &DecideParams { elapsed_ms: 991, ..failure(1) }).await, None);
    assert_eq!(decide(&policy, &DecideParams { elapsed_ms: u64::MAX, ..failure(1) }).await, None);
    for class in [
        FaultClass::Auth,
        FaultClass::Quota,
        FaultClass::WrongEndpoint,
        FaultClass::BadRequest,
        FaultClass::ContextOverflow,
    ] {
        assert_eq!(decide(&policy, &DecideParams { class, ..failure(1) }).await, None);
    }
    for class in [
        FaultClass::Connect,
        FaultClass::Truncated,
        FaultClass::Stalled,
        FaultClass::Garbled,
        FaultClass::Unknown,
    ] {
        assert_eq!(decide(&policy, &DecideParams { class, ..failure(1) }).await, Some(10));
    }
    let once = exact(json!({ "attempts_max": 1 })).await;
    assert_eq!(decide(&once, &failure(1)).await, None);
}

/// Three failures within a second open it for ten.
fn breaker() -> Value {
    json!({ "delays_ms": [10], "breaker": { "failures": 3, "window_ms": 1_000, "open_ms": 10_000 } })
}

async fn is_open(policy: &Opened) -> bool {
    metric(policy, "dispatch_retry_breaker_open", "p").await == 1.0
}

#[tokio::test]
async fn a_provider_that_fails_for_everybody_is_given_up_and_one_turn_probes_it_now_and_then() {
    let policy = exact(breaker()).await;
    assert_eq!(decide(&policy, &failure(1)).await, Some(10));
    assert_eq!(decide(&policy, &failure(1)).await, Some(10));
    assert!(!is_open(&policy).await);
    assert_eq!(decide(&policy, &failure(1)).await, None, "the third failure opens it");
    assert!(is_open(&policy).await);
    assert_eq!(decide(&policy, &asks_for(500)).await, Some(500), "an endpoint that names a time works");
    let elsewhere = DecideParams { provider: "q".to_owned(), ..failure(1) };
    assert_eq!(decide(&policy, &elsewhere).await, Some(10), "the others are tried again");
    let check = policy.call(Check, &Empty {}).await.expect("checks").checks.pop().expect("breakers");
    assert_eq!(
        (check.status, check.summary.as_str()),
        (CheckStatus::Warn, "not tried again: `p` for 10000 ms more")
    );

    for _ in 0..3 {
        policy.host().advance_ms(9_999);
        assert_eq!(decide(&policy, &failure(1)).await, None);
        policy.host().advance_ms(1);
        assert!(!is_open(&policy).await);
        assert_eq!(decide(&policy, &failure(1)).await, Some(10), "half-open lets one through");
        assert_eq!(decide(&policy, &failure(1)).await, None);
        assert!(is_open(&policy).await);
    }
    assert_eq!(metric(&policy, "dispatch_retry_give_ups_total", "breaker").await, 7.0);

    policy.host().advance_ms(10_000 + 1_000);
    for _ in 0..2 {
        assert_eq!(decide(&policy, &failure(1)).await, Some(10), "a quiet window has closed it");
    }
    assert_eq!(decide(&policy, &failure(1)).await, None);
}

#[tokio::test]
async fn failures_that_are_far_apart_open_nothing_and_a_breaker_can_be_left_out() {
    let policy = exact(breaker()).await;
    for _ in 0..20 {
        assert_eq!(decide(&policy, &failure(1)).await, Some(10));
        policy.host().advance_ms(501);
    }
    let never = exact(json!({ "delays_ms": [10], "breaker": { "failures": 0 } })).await;
    for _ in 0..100 {
        assert_eq!(decide(&never, &failure(1)).await, Some(10));
    }
}

#[tokio::test]
async fn only_so_many_providers_are_remembered() {
    let policy = exact(breaker()).await;
    for n in 0..PROVIDERS_MAX + 10 {
        let failed = DecideParams { provider: format!("p{n}"), ..failure(1) };
        assert_eq!(decide(&policy, &failed).await, Some(10));
        policy.host().advance_ms(1);
    }
    let metrics = policy.call(Metrics, &Empty {}).await.expect("metrics").metrics;
    let open =
        metrics.iter().find(|metric| metric.name == "dispatch_retry_breaker_open").expect("it is there");
    assert_eq!(open.samples.len(), PROVIDERS_MAX);
    let names: Vec<_> = open.samples.iter().flat_map(|sample| sample.labels.values()).collect();
    assert!(!names.contains(&&"p0".to_owned()) && names.contains(&&"p73".to_owned()), "{names:?}");
}

#[tokio::test]
async fn it_says_what_it_does() {
    let policy = exact(json!({ "delays_ms": [1, 2] })).await;
    let checks = policy.call(Check, &Empty {}).await.expect("checks").checks;
    let told: Vec<_> =
        checks.iter().map(|check| (check.name.as_str(), check.status, check.summary.as_str())).collect();
    let schedule =
        "waits 1, 2 ms, or what the endpoint asks for up to 60000 ms; at most 30 requests within 900000 ms";
    let expected = [
        ("schedule", CheckStatus::Ok, schedule),
        ("breakers", CheckStatus::Ok, "every provider is tried again"),
    ];
    assert_eq!(told, expected);
}

dispatch_testkit::settings_test!(super::Settings);
