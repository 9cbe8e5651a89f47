//! The ops that this extension contributes; their schemas are those of the contract's types.

use dispatch_sdk::contracts::conversations::{STALE, TURN_IN_FLIGHT};
use dispatch_sdk::contracts::event::Event;
use dispatch_sdk::contracts::fault::{DEADLINE, INVALID, NOT_FOUND, OVERLOADED, TOO_LARGE, UNAVAILABLE};
use dispatch_sdk::contracts::op::{Intent, OpExample, OpSpec, SurfaceHints};
use dispatch_sdk::contracts::storage::NO_SPACE;
use dispatch_sdk::contracts::turns::{Explain, Models, NO_PROVIDER, Start, Stop, Watch};
use serde_json::json;

/// `turns.start`, `turns.stop`, `turns.watch`, `turns.explain`, `models.list`.
pub(crate) fn all() -> Vec<OpSpec> {
    vec![start(), stop(), watch(), explain(), models()]
}

fn start() -> OpSpec {
    OpSpec {
        admits_work: true,
        error_codes: codes(&[
            INVALID,
            TOO_LARGE,
            NOT_FOUND,
            TURN_IN_FLIGHT,
            NO_PROVIDER,
            OVERLOADED,
            UNAVAILABLE,
            DEADLINE,
            NO_SPACE,
        ]),
        examples: vec![
            OpExample::new(
                "A new conversation, with the only provider that is ready.",
                json!({ "input": "hello" }),
            ),
            OpExample::new(
                "A further turn of a conversation, with everything named.",
                json!({
                    "conversation_id": "0197a5c0-0000-7000-8000-000000000001",
                    "input": "and now the tests",
                    "provider": "openrouter",
                    "model": "some/model",
                    "cwd": "/srv/me/project",
                }),
            ),
        ],
        surface: SurfaceHints { http_status: 202, ..surface("POST", "turns", "send") },
        ..OpSpec::of::<Start>(
            "turns.start",
            "Starts a turn; the input is durable before the answer.",
            Intent::Write,
        )
    }
}

fn stop() -> OpSpec {
    OpSpec {
        idempotent: true,
        error_codes: codes(&[INVALID, UNAVAILABLE, DEADLINE, NO_SPACE]),
        examples: vec![OpExample::new(
            "Whatever turn of the conversation is running.",
            json!({ "conversation_id": "0197a5c0-0000-7000-8000-000000000001" }),
        )],
        surface: surface("POST", "stop", "stop"),
        ..OpSpec::of::<Stop>(
            "turns.stop",
            "Stops the running turn of a conversation, whichever host runs it, and answers when it has ended.",
            Intent::Write,
        )
    }
}

fn watch() -> OpSpec {
    OpSpec {
        idempotent: true,
        stream: true,
        frame_schema: schemars::schema_for!(Event).to_value(),
        error_codes: codes(&[INVALID, NOT_FOUND, STALE, UNAVAILABLE, NO_SPACE]),
        examples: vec![OpExample::new(
            "What came after number 17.",
            json!({ "conversation_id": "0197a5c0-0000-7000-8000-000000000001", "after": 17 }),
        )],
        surface: surface("GET", "events", "watch"),
        ..OpSpec::of::<Watch>(
            "turns.watch",
            "Shows a conversation's events after a cursor, then live ones.",
            Intent::Read,
        )
    }
}

fn explain() -> OpSpec {
    OpSpec {
        idempotent: true,
        error_codes: codes(&[INVALID, NOT_FOUND]),
        examples: vec![
            OpExample::new(
                "The newest turn of the conversation.",
                json!({ "conversation_id": "0197a5c0-0000-7000-8000-000000000001" }),
            ),
            OpExample::new(
                "A turn by its id.",
                json!({
                    "conversation_id": "0197a5c0-0000-7000-8000-000000000001",
                    "turn_id": "0197a5c0-0000-7000-8000-0000000000f1",
                }),
            ),
        ],
        surface: surface("GET", "turns/{turn_id}/explain", "explain"),
        ..OpSpec::of::<Explain>(
            "turns.explain",
            "Tells what happened in a turn, step by step: timings, retries, tools, and what filters changed.",
            Intent::Read,
        )
    }
}

fn models() -> OpSpec {
    OpSpec {
        idempotent: true,
        error_codes: codes(&[INVALID, NOT_FOUND]),
        examples: vec![
            OpExample::new("Of every provider.", json!({})),
            OpExample::new("Of one.", json!({ "provider": "openrouter" })),
        ],
        surface: SurfaceHints {
            http_method: "GET".to_owned(),
            http_path: "/v1/models".to_owned(),
            http_status: 0,
            cli_words: vec!["models".to_owned()],
        },
        ..OpSpec::of::<Models>(
            "models.list",
            "Lists the providers of the build and the models they offer.",
            Intent::Read,
        )
    }
}

fn surface(method: &str, last: &str, word: &str) -> SurfaceHints {
    SurfaceHints {
        http_method: method.to_owned(),
        http_path: format!("/v1/conversations/{{conversation_id}}/{last}"),
        http_status: 0,
        cli_words: vec![word.to_owned()],
    }
}

fn codes(codes: &[&str]) -> Vec<String> {
    codes.iter().map(|code| (*code).to_owned()).collect()
}
