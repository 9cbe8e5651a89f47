//! Every exit code.

use super::{of_fault, of_turn};
use dispatch_sdk::Fault;
use dispatch_sdk::contracts::event::{TurnEnded, TurnError};
use serde_json::json;

fn ended(status: &str, reason: &str) -> TurnEnded {
    serde_json::from_value(json!({ "status": status, "reason": reason })).expect("an end")
}

fn error(code: &str, class: Option<&str>) -> TurnError {
    serde_json::from_value(json!({ "code": code, "class": class, "message": "m" })).expect("an error")
}

#[test]
fn a_turn_that_ended_has_the_exit_code_of_how() {
    for (status, expected) in [("completed", 0), ("cancelled", 130), ("interrupted", 75), ("failed", 1)] {
        assert_eq!(of_turn(&ended(status, "x"), None), expected, "{status}");
    }
}

#[test]
fn a_failed_turn_says_whether_to_try_again_or_to_mend_something() {
    let classes = [
        ("auth", 77),
        ("quota", 77),
        ("rate_limited", 75),
        ("provider_overloaded", 75),
        ("server_error", 75),
        ("connect", 75),
        ("unreachable", 75),
        ("wrong_endpoint", 75),
        ("truncated", 75),
        ("stalled", 75),
        ("garbled", 75),
        ("context_overflow", 1),
        ("bad_request", 1),
    ];
    for (class, expected) in classes {
        let failed = ended("failed", class);
        assert_eq!(of_turn(&failed, Some(&error(class, Some(class)))), expected, "{class}");
        assert_eq!(of_turn(&failed, Some(&error(class, None))), expected, "{class} as a code");
        assert_eq!(of_turn(&failed, None), expected, "{class} as the reason");
    }
    for (code, expected) in [
        ("unavailable", 75),
        ("deadline", 75),
        ("no_service", 78),
        ("no_space", 75),
        ("invalid", 1),
        ("cancelled", 1),
    ] {
        assert_eq!(of_turn(&ended("failed", code), Some(&error(code, None))), expected, "{code}");
    }
}

#[test]
fn a_fault_has_the_exit_code_of_the_table() {
    let codes = [
        ("invalid", 2),
        ("not_found", 1),
        ("turn_in_flight", 75),
        ("no_provider", 78),
        ("no_service", 78),
        ("overloaded", 75),
        ("denied", 77),
        ("cancelled", 130),
        ("broken", 1),
        ("never heard of", 1),
    ];
    for (code, expected) in codes {
        assert_eq!(of_fault(&Fault::new(code, "m")), expected, "{code}");
    }
}
