//! The filter on a fake host. No text of this file has the shape of a key: they are put together when they are needed.

use super::Redact;
use dispatch_sdk::Fault;
use dispatch_sdk::contracts::filter::{Apply, ApplyParams, ApplyReply, FilterOp, OnFault, Point, Reads};
use dispatch_testkit::{FakeHost, Opened};
use serde_json::value::to_raw_value;
use serde_json::{Value, json};

async fn opened(config: Value) -> Result<Opened, Fault> {
    FakeHost::new().open::<Redact>("filter-redact", config).await
}

async fn apply(filter: &Opened, value: Option<Value>) -> Result<ApplyReply, Fault> {
    let value = value.map(|value| to_raw_value(&value).unwrap());
    let params = ApplyParams { point: Point::ToolResult, value, n_items: 0, about: None };
    filter.call_named(Apply, "redact", &params).await
}

/// What becomes of a result's content; `None` = unchanged.
async fn content(filter: &Opened, content: &str) -> Option<String> {
    let result = json!({ "tool_call_id": "a", "name": "read_file", "content": content, "is_error": false });
    let ops = apply(filter, Some(result)).await.unwrap().ops;
    match ops.as_slice() {
        [] => None,
        [FilterOp::Replace { at, value }] if at == "content" => Some(value.as_str().unwrap().to_owned()),
        other => panic!("it may replace the content alone, not {other:?}"),
    }
}

#[tokio::test]
async fn what_is_no_tool_result_is_a_fault_that_tells_nothing_of_it() {
    let filter = opened(json!({})).await.unwrap();
    for value in [None, Some(json!({ "content": 4711 })), Some(json!("4711"))] {
        let fault = apply(&filter, value.clone()).await.unwrap_err();
        assert_eq!(fault.code, "broken", "{value:?}");
        assert!(!fault.message.contains("4711"), "{}", fault.message);
    }
}

#[tokio::test]
async fn the_texts_among_parts_are_redacted_and_images_stay() {
    let filter = opened(json!({ "literals": ["the secret word"] })).await.unwrap();
    let image =
        json!({ "type": "image", "source": { "type": "blob", "hash": "0" }, "media_type": "image/png" });
    let result = |content: &str, text: &str| {
        let parts = json!([{ "type": "text", "text": text }, image]);
        Some(
            json!({ "tool_call_id": "a", "name": "t", "content": content, "is_error": false, "parts": parts }),
        )
    };
    assert_eq!(apply(&filter, result("a", "b")).await.unwrap(), ApplyReply::default());
    let ops = apply(&filter, result("a", "it is the secret word")).await.unwrap().ops;
    let value = json!([{ "type": "text", "text": "it is [redacted:config]" }, image]);
    assert_eq!(ops, [FilterOp::Replace { at: json!("parts"), value }]);
    let ops = apply(&filter, result("the secret word", "b")).await.unwrap().ops;
    assert_eq!(ops.len(), 1, "{ops:?}");
}

#[tokio::test]
async fn a_wrong_configuration_is_refused_by_name() {
    for (config, told) in [
        (json!({ "literal": [] }), "literal"),
        (json!({ "literals": ["long enough", "short"] }), "`literals[1]` has 5 bytes"),
        (json!({ "literals": vec!["a literal"; 257] }), "`literals` has 257 items"),
        (json!({ "patterns": ["a+", "("] }), "`patterns[1]`"),
        (json!({ "patterns": ["x*"] }), "matches the empty text"),
        (json!({ "patterns": [r"(?:\w{500}){500}"] }), "`patterns[0]`"),
    ] {
        let Err(fault) = opened(config.clone()).await else { panic!("{config} was taken") };
        assert!(fault.message.contains(told), "{config}: {}", fault.message);
    }
}

#[tokio::test]
async fn it_stands_late_at_results_and_output_and_hides_what_it_cannot_read() {
    let filter = opened(json!({})).await.unwrap();
    let expected = [("redact", Point::ToolResult), ("redact-output", Point::ToolOutput)];
    let specs = &filter.started().contributes.filters;
    let stands: Vec<_> = specs.iter().map(|spec| (spec.name.as_str(), spec.point)).collect();
    assert_eq!(stands, expected);
    for spec in specs {
        assert_eq!((spec.priority, spec.reads, spec.on_fault), (900, Reads::All, OnFault::Closed));
    }
}

#[tokio::test]
async fn live_output_is_redacted_too() {
    let filter = opened(json!({})).await.unwrap();
    let (key, seen) = (
        format!("ghp_{}", "a1B".repeat(12)),
        |text: &str| json!({ "tool_call_id": "a", "name": "shell", "stream": "stdout", "text": text }),
    );
    for (text, expected) in [
        (
            format!("token: {key}\nok\n"),
            json!([{ "op": "replace", "at": "text", "value": "token: [redacted:github]\nok\n" }]),
        ),
        ("all is well\n".to_owned(), json!([])),
    ] {
        let value = Some(to_raw_value(&seen(&text)).unwrap());
        let params = ApplyParams { point: Point::ToolOutput, value, n_items: 0, about: None };
        let reply = filter.call_named(Apply, "redact-output", &params).await.unwrap();
        assert_eq!(serde_json::to_value(reply.ops).unwrap(), expected, "{text}");
    }
}

/// A result was cut before it was filtered once, and half of a key passed at the edge.
#[tokio::test]
async fn a_key_is_found_wherever_it_stands_in_a_result_that_is_too_large_to_keep() {
    let filter = opened(json!({})).await.unwrap();
    let (filler, key) = ("x ".repeat(512 * 1024), format!("ghp_{}", "a1B".repeat(12)));
    let found = content(&filter, &format!("{filler}{key} {filler}")).await.unwrap();
    assert_eq!(found, format!("{filler}[redacted:github] {filler}"));
}

#[tokio::test]
async fn every_known_shape_is_taken_out_and_what_stands_around_it_stays() {
    let filter = opened(json!({})).await.unwrap();
    let pem = |kind: &str| {
        format!(
            "-----BEGIN {kind}PRIVATE KEY-----\nMIIE{}\n-----END {kind}PRIVATE KEY-----",
            "aB3+/".repeat(12)
        )
    };
    for (secret, mark) in [
        (format!("sk-{}", "a1B2".repeat(12)), "[redacted:openai]"),
        (format!("sk-proj-{}_{}", "a1B2".repeat(6), "x-Y9".repeat(6)), "[redacted:openai]"),
        (format!("sk-ant-api03-{}", "a1B-".repeat(12)), "[redacted:anthropic]"),
        (format!("AKIA{}", "A1B2".repeat(4)), "[redacted:aws]"),
        (format!("ASIA{}", "Z9Y8".repeat(4)), "[redacted:aws]"),
        (format!("ghp_{}", "a1B".repeat(12)), "[redacted:github]"),
        (format!("ghs_{}", "a1B".repeat(12)), "[redacted:github]"),
        (format!("github_pat_{}_{}", "a1B".repeat(7), "c2D".repeat(12)), "[redacted:github]"),
        (format!("xoxb-{}-{}", "12345".repeat(2), "aBcD".repeat(6)), "[redacted:slack]"),
        (format!("xapp-1-{}", "A1B2".repeat(6)), "[redacted:slack]"),
        (format!("AIza{}", "aB3_-".repeat(7)), "[redacted:google]"),
        (format!("eyJ{0}.eyJ{0}.{0}", "hbGciO1".repeat(3)), "[redacted:jwt]"),
        (pem(""), "[redacted:private_key]"),
        (pem("RSA "), "[redacted:private_key]"),
        (pem("OPENSSH "), "[redacted:private_key]"),
        (format!("Bearer {}", "a1B2".repeat(6)), "Bearer [redacted:bearer]"),
        (
            format!("authorization: bearer eyJ{0}.eyJ{0}.{0}", "hbGciO1".repeat(3)),
            "authorization: bearer [redacted:jwt]",
        ),
    ] {
        for (before, after) in
            [("", ""), ("1: KEY=", "\n2: next"), ("{\"key\":\"", "\", \"n\": 1}"), ("é ", " é")]
        {
            let found = content(&filter, &format!("{before}{secret}{after}")).await;
            assert_eq!(found, Some(format!("{before}{mark}{after}")), "{mark}");
        }
    }
}

#[tokio::test]
async fn ordinary_text_is_not_changed_and_a_marked_one_not_again() {
    let filter = opened(json!({ "literals": ["hunter22"] })).await.unwrap();
    for text in [
        "",
        "no secrets here",
        "sk-short",
        "class sk-estimator-doc-link-of-a-library",
        "the Bearer token is missing; bearer authentication-required",
        "AKIAlowercase00000000",
        "task-1234567890123456789012345",
        "-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----",
        "eyJhbGciOiJIUzI1NiJ9",
        "5f2b8f2e1c6f4f7f9e3d0a1b2c3d4e5f6a7b8c9d",
        "[redacted:openai] and Bearer [redacted:bearer]",
    ] {
        assert_eq!(content(&filter, text).await, None, "{text}");
    }
}

#[tokio::test]
async fn a_private_key_that_is_cut_is_taken_out_as_far_as_it_is_there() {
    let filter = opened(json!({})).await.unwrap();
    let (begin, end) = ("-----BEGIN EC PRIVATE KEY-----", "-----END EC PRIVATE KEY-----");
    let line = "aB3+".repeat(16);
    for (text, expected) in [
        (format!("before\n{begin}\n{line}\n{line}"), "before\n[redacted:private_key]"),
        (format!("7: {line}\n8: {line}\n9: {end}\n10: after"), "[redacted:private_key]\n10: after"),
        (format!("1: {begin}\n2: {line}\n3: {end}\n4: after"), "1: [redacted:private_key]\n4: after"),
    ] {
        assert_eq!(content(&filter, &text).await.as_deref(), Some(expected));
    }
}

#[tokio::test]
async fn what_the_configuration_names_is_taken_out_literally_or_by_pattern() {
    let filter =
        opened(json!({ "literals": ["a.b(c)d"], "patterns": [r"internal-\d{4}", r"(?i)passw\w+=\S+"] }));
    let filter = filter.await.unwrap();
    let text = "a.b(c)d, aXb(c)d, internal-4711, internal-x, PassWord=secret ";
    let expected = "[redacted:config], aXb(c)d, [redacted:config], internal-x, [redacted:config] ";
    assert_eq!(content(&filter, text).await.as_deref(), Some(expected));
}

dispatch_testkit::settings_test!(super::Settings);
