//! Answers of an endpoint to classes of faults.

use super::retry_after::RETRY_AFTER_MS_MAX;
use super::{MESSAGE_CHARS_MAX, Trouble, retry_after_ms};
use crate::secrets::Secrets;
use dispatch_sdk::Fault;
use dispatch_sdk::contracts::provider::FaultClass;
use serde_json::json;

#[test]
fn every_status_has_a_class() {
    let overflow = r#"{"error":{"message":"This model's maximum context length is 10","code":"x"}}"#;
    let cases = [
        (429, "", FaultClass::RateLimited),
        (503, "", FaultClass::ProviderOverloaded),
        (529, "", FaultClass::ProviderOverloaded),
        (500, r#"{"error":{"type":"overloaded_error"}}"#, FaultClass::ProviderOverloaded),
        (500, overflow, FaultClass::ServerError),
        (502, "<html>bad gateway</html>", FaultClass::ServerError),
        (401, "", FaultClass::Auth),
        (403, "", FaultClass::Auth),
        (408, "", FaultClass::Stalled),
        (400, overflow, FaultClass::ContextOverflow),
        (413, r#"{"error":"prompt is too long: 9 > 8"}"#, FaultClass::ContextOverflow),
        (400, r#"{"error":{"message":"m","code":"context_length_exceeded"}}"#, FaultClass::ContextOverflow),
        (400, "", FaultClass::BadRequest),
        (404, "", FaultClass::BadRequest),
        (422, "", FaultClass::BadRequest),
    ];
    for (status, body, class) in cases {
        assert_eq!(Trouble::http(status, body, None, "").class, class, "{status} {body}");
    }
}

#[test]
fn no_money_left_is_no_rate_limit() {
    let error = |fields: &str| format!("{{\"error\":{{{fields}}}}}");
    let spent = [
        (429, error(r#""message":"You exceeded your current quota","type":"insufficient_quota""#)),
        (429, error(r#""message":"m","code":"billing_hard_limit_reached""#)),
        (429, error(r#""message":"m","code":"quota_exceeded""#)),
        (429, error(r#""message":"You have reached your Monthly Usage Limit""#)),
        (
            400,
            error(
                r#""message":"Your credit balance is too low to access the API","type":"invalid_request_error""#,
            ),
        ),
        (403, error(r#""message":"m","code":"insufficient_quota""#)),
        (402, error(r#""message":"Insufficient Balance""#)),
        (402, String::new()),
    ];
    for (status, body) in spent {
        let trouble = Trouble::http(status, &body, Some(1_000), "");
        assert_eq!((trouble.class, trouble.retry_after_ms), (FaultClass::Quota, None), "{status} {body}");
        assert!(trouble.hint.contains("account"), "{}", trouble.hint);
    }
    let in_stream = Trouble::in_stream(&json!({ "message": "m", "code": "insufficient_quota" }));
    assert_eq!(in_stream.class, FaultClass::Quota);
    // A limit of a minute in the words of money: it names no code of them, and time heals it.
    let busy = error(
        r#""message":"You exceeded your current quota. Quota exceeded for metric: requests_per_minute","code":429"#,
    );
    assert_eq!(Trouble::http(429, &busy, None, "").class, FaultClass::RateLimited);
}

#[test]
fn the_message_of_the_endpoint_is_told_from_any_shape() {
    let cases = [
        (r#"{"error":{"message":"why  not"}}"#, ": why not"),
        (r#"{"error":"why not"}"#, ": why not"),
        (r#"[{"error":{"message":"why not"}}]"#, ": why not"),
        (r#"{"message":"why not"}"#, ": why not"),
        (r#"{"detail":[{"msg":"why not"}]}"#, ": why not"),
        (r#"{"error":{"code":"why_not"}}"#, ": why_not"),
        ("why\nnot", ": why not"),
        (" ", ""),
    ];
    for (body, said) in cases {
        let expected = format!("the endpoint answered HTTP 400{said}");
        assert_eq!(Trouble::http(400, body, None, "").message, expected, "{body}");
    }
}

#[test]
fn a_fault_holds_code_class_wait_and_what_to_do() {
    let fault = Trouble::http(429, "slow down", Some(1500), "").into_fault(&Secrets::default());
    let detail = json!({ "class": "rate_limited", "retry_after_ms": 1500, "http_status": 429 });
    let expected =
        Fault::new("rate_limited", "the endpoint answered HTTP 429: slow down").with_detail(detail);
    assert_eq!(fault, expected);
    let fault = Trouble::http(401, "no", Some(1500), "set `api_key`").into_fault(&Secrets::default());
    let detail = json!({ "class": "auth", "http_status": 401 });
    let expected =
        Fault::new("auth", "the endpoint answered HTTP 401: no; set `api_key`").with_detail(detail);
    assert_eq!(fault, expected);
}

#[test]
fn a_secret_is_masked_even_where_the_message_is_cut() {
    let secrets = Secrets::new(["sk-very-secret"]);
    for n_before in MESSAGE_CHARS_MAX - 60..MESSAGE_CHARS_MAX {
        let body = format!("{} sk-very-secret and sk-very-secret", "é".repeat(n_before));
        let fault = Trouble::http(400, &body, None, "hint").into_fault(&secrets);
        assert!(!fault.message.contains("sk-"), "{}", fault.message);
        assert!(fault.message.chars().count() <= MESSAGE_CHARS_MAX + "…; hint".chars().count());
    }
}

#[test]
fn the_wait_is_read_in_seconds_in_ms_and_as_a_date_and_is_bounded() {
    let now_ms = 1_700_000_000_000;
    let wait = |headers: &[(&str, &str)]| {
        retry_after_ms(|name| headers.iter().find(|header| header.0 == name).map(|header| header.1), now_ms)
    };
    let after = |text| wait(&[("retry-after", text)]);
    assert_eq!(wait(&[]), None);
    assert_eq!(after("2"), Some(2_000));
    assert_eq!(after(" 0.5 "), Some(500));
    assert_eq!(wait(&[("retry-after", "9"), ("retry-after-ms", "12.5")]), Some(13));
    assert_eq!(wait(&[("retry-after", "9"), ("retry-after-ms", "soon")]), Some(9_000));
    assert_eq!(after("Tue, 14 Nov 2023 22:13:30 GMT"), Some(10_000));
    assert_eq!(after("Tue, 14 Nov 2023 22:13:00 GMT"), Some(0));
    let own_clock =
        [("retry-after", "Sat, 01 Jan 2000 00:00:07 GMT"), ("date", "Sat, 01 Jan 2000 00:00:00 GMT")];
    assert_eq!(wait(&own_clock), Some(7_000));
    for absurd in ["99999999999999999999", "1e300", "Fri, 31 Dec 9999 23:59:59 GMT"] {
        assert_eq!(after(absurd), Some(RETRY_AFTER_MS_MAX), "{absurd}");
    }
    for nonsense in ["soon", "-1", "nan", "inf", ""] {
        assert_eq!(after(nonsense), None, "{nonsense}");
    }
}
