//! Providers that are busy for a while, and a build with the extension that tries again.

use crate::host::{Host, Ran, conversation_of, only};
use dispatch_testkit::fake_llm::{Action, HttpError, RetryAfter, Rule, Script};
use serde_json::{Value, json};
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How much later than planned a request may come on a busy machine.
const LATE_MS_MAX: u64 = 10_000;

/// The default build and the policy, with this configuration.
fn build_with_policy(host: &Host, config: &str) -> PathBuf {
    let default = house::workspace_dir().join("manifests").join("default.toml");
    let text = format!(
        "include = [\"{}\"]\n\n[[extension]]\nid = \"retry-backoff\"\nconfig = {config}\n",
        default.display()
    );
    host.write("build.toml", &text)
}

/// Fails twice in this way, then answers.
fn busy_twice(error: HttpError) -> Script {
    let busy = Rule { times: Some(2), ..Rule::always(vec![Action::HttpError(error)]) };
    Script::rules(vec![busy, Rule::always(vec![Action::text("here I am")])])
}

/// Milliseconds between the requests, as the endpoint saw them.
fn gaps_ms(host: &Host) -> Vec<u64> {
    let requests = host.llm.requests();
    requests.windows(2).map(|pair| (pair[1].at_ns - pair[0].at_ns) / 1_000_000).collect()
}

/// The delays that a turn announced, and what `explain` tells of it afterwards.
fn delays(host: &Host, events: &[Value]) -> (Vec<u64>, Value) {
    let announced = events.iter().filter(|event| event["type"] == "retry_scheduled");
    let delays = announced.map(|event| event["data"]["delay_ms"].as_u64().expect("a number")).collect();
    let conversation = conversation_of(events);
    let ran = Ran::of(host.bare(&["explain", &conversation, "--json"]).output().expect("started"));
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    (delays, serde_json::from_str(&ran.stdout).expect("one document"))
}

#[test]
fn a_turn_waits_as_long_as_a_busy_endpoint_asks_and_explain_tells_it() {
    let error = HttpError { status: 429, retry_after: Some(RetryAfter::Seconds(1)), ..HttpError::default() };
    let host = Host::new(busy_twice(error));
    let build = build_with_policy(&host, "{}");
    let (ran, events) = host.events(&["--build", build.to_str().expect("UTF-8"), "hi"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(only(&events, "text_delta")["text"], "here I am");

    let (delays, told) = delays(&host, &events);
    assert_eq!(delays.len(), 2);
    let retries: Vec<_> = (1..)
        .zip(&delays)
        .map(|(attempt, delay_ms)| {
            json!({ "attempt": attempt, "delay_ms": delay_ms, "class": "rate_limited",
            "message": told["steps"][0]["retries"][0]["message"] })
        })
        .collect();
    assert_eq!(told["steps"][0]["retries"], json!(retries));
    // The endpoint counts from its answer, the turn from when it read it.
    for (delay_ms, gap_ms) in delays.iter().zip(gaps_ms(&host)) {
        assert!((1_000..=1_100).contains(delay_ms), "asked for 1 s, planned {delay_ms} ms");
        assert!((*delay_ms..delay_ms + LATE_MS_MAX).contains(&gap_ms), "planned {delay_ms}, waited {gap_ms}");
    }
}

#[test]
fn an_endpoint_that_names_no_time_is_tried_again_by_the_schedule() {
    let host = Host::new(busy_twice(HttpError { status: 503, ..HttpError::default() }));
    let build = build_with_policy(&host, "{ delays_ms = [300, 700], jitter_percent = 0 }");
    let (ran, events) = host.events(&["--build", build.to_str().expect("UTF-8"), "hi"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let (delays, told) = delays(&host, &events);
    assert_eq!(delays, [300, 700]);
    assert_eq!(told["steps"][0]["retries"][1]["class"], "provider_overloaded");
    let gaps = gaps_ms(&host);
    assert!(
        (300..300 + LATE_MS_MAX).contains(&gaps[0]) && (700..700 + LATE_MS_MAX).contains(&gaps[1]),
        "{gaps:?}"
    );
}

#[test]
fn an_endpoint_that_asks_for_hours_ends_the_turn_and_the_person_reads_the_time() {
    let error =
        HttpError { status: 429, retry_after: Some(RetryAfter::Seconds(7_200)), ..HttpError::default() };
    let host = Host::new(busy_twice(error));
    let build = build_with_policy(&host, "{}");
    let ran = host.run(&["--build", build.to_str().expect("UTF-8"), "hi"]);
    assert_eq!(ran.code, Some(75), "{}", ran.stderr);
    assert!(ran.stderr.contains("retry after 2 hours 0 min"), "{}", ran.stderr);
    assert_eq!(host.llm.requests().len(), 1);
}

#[test]
fn a_turn_that_waits_for_its_next_try_stops_at_once() {
    let error = HttpError { status: 429, retry_after: Some(RetryAfter::Seconds(60)), ..HttpError::default() };
    let host = Host::new(busy_twice(error));
    let build = build_with_policy(&host, "{}");
    let mut running = host.start(&["--build", build.to_str().expect("UTF-8"), "hi"]);
    let retry = running.until("retry_scheduled");
    assert!(retry["data"]["delay_ms"].as_u64() >= Some(60_000), "{retry}");
    let stopped_at = Instant::now();
    running.signal("INT");
    let (code, rest) = running.end();
    assert_eq!(code, Some(130), "{rest:?}");
    assert_eq!(only(&rest, "turn_ended")["status"], "cancelled");
    assert!(stopped_at.elapsed() < Duration::from_millis(LATE_MS_MAX), "{:?}", stopped_at.elapsed());
    assert_eq!(host.llm.requests().len(), 1);
}

#[test]
fn an_endpoint_that_was_never_reached_ends_the_turn_soon_and_says_what_to_look_at() {
    let host = Host::new(Script::default());
    let closed =
        TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("loopback");
    let at = format!("provider-openai-compat.base_url=http://{closed}/v1");
    let (ran, events) =
        host.events(&["--set", &at, "--set", "retry-backoff.unreachable_delays_ms=[10,20]", "hi"]);
    assert_eq!(ran.code, Some(75), "{}", ran.stderr);
    assert_eq!(events.iter().filter(|event| event["type"] == "retry_scheduled").count(), 2);
    let error = only(&events, "error");
    assert_eq!(error["class"], "unreachable");
    let told = error["message"].as_str().expect("a text");
    assert!(told.contains("check `base_url` of `provider-openai-compat`"), "{told}");
}

#[test]
fn an_account_without_money_is_not_tried_again() {
    let error = HttpError { status: 429, code: Some("insufficient_quota".into()), ..HttpError::default() };
    let host = Host::new(busy_twice(error));
    let ran = host.run(&["hi"]);
    assert_eq!(ran.code, Some(77), "{}", ran.stderr);
    assert_eq!(host.llm.requests().len(), 1);
}
