//! The lines that are made without a screen.

use super::{args_line, ending_line, fault_line};
use dispatch_sdk::Fault;
use dispatch_sdk::contracts::event::{TurnEnded, TurnError};
use serde_json::json;

#[test]
fn arguments_are_one_short_plain_line() {
    let cases = [
        (json!({ "path": "src/main.rs" }), "path=src/main.rs"),
        (json!({ "a": "x\ny", "n": 3, "on": true, "list": [1, 2] }), "a=x y list=[1,2] n=3 on=true"),
        (json!({ "path": "\u{1b}]0;t\u{7}\u{202e}" }), "path=␛]0;t␇<U+202E>"),
        (json!({ "ke\u{9b}y": null }), "ke<U+009B>y=null"),
        (json!({}), ""),
    ];
    for (args, expected) in cases {
        assert_eq!(args_line(&args), expected);
    }
    let long = args_line(&json!({ "a": "x".repeat(500), "b": "y".repeat(500) }));
    assert_eq!(long.chars().count(), 161);
}

#[test]
fn an_end_that_is_not_plain_completion_is_said() {
    let error: TurnError = serde_json::from_value(json!({
        "code": "rate_limited", "class": "rate_limited", "message": "slow\u{1b}[2J down", "retry_after_ms": 1200,
    }))
    .expect("an error");
    let cases = [
        (json!(["completed", "stop"]), None, None),
        (
            json!(["completed", "length"]),
            None,
            Some("· the answer is cut: the model reached its limit of output"),
        ),
        (json!(["cancelled", "stopped"]), None, Some("· stopped")),
        (json!(["interrupted", "stopped"]), None, Some("· interrupted: the host that ran the turn ended")),
        (json!(["failed", "io"]), None, Some("error: the turn failed (io)")),
        (
            json!(["failed", "rate_limited"]),
            Some(&error),
            Some("error: slow␛[2J down (rate_limited, retry after 1.2 s)"),
        ),
    ];
    for (end, error, expected) in cases {
        let ended: TurnEnded =
            serde_json::from_value(json!({ "status": end[0], "reason": end[1] })).expect("an end");
        assert_eq!(ending_line(&ended, error).as_deref(), expected, "{end}");
    }
}

#[test]
fn a_fault_says_when_to_come_back() {
    let fault = Fault::new("overloaded", "too many").with_detail(json!({ "retry_after_ms": 250 }));
    assert_eq!(fault_line(&fault), "error: too many (overloaded, retry after 250 ms)");
}
