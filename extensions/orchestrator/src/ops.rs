//! The ops that this extension contributes; their schemas are those of the contract's types.

use dispatch_sdk::contracts::Verb;
use dispatch_sdk::contracts::conversations::{STALE, TURN_IN_FLIGHT};
use dispatch_sdk::contracts::event::Event;
use dispatch_sdk::contracts::fault::{INVALID, NOT_FOUND, OVERLOADED, TOO_LARGE, UNAVAILABLE};
use dispatch_sdk::contracts::op::{Intent, OpExample, OpSpec, SurfaceHints};
use dispatch_sdk::contracts::turns::{Explain, Models, NO_PROVIDER, Start, Stop, Watch};
use schemars::JsonSchema;
use serde_json::{Value, json};

/// `turns.start`, `turns.stop`, `turns.watch`, `turns.explain`, `models.list`.
pub(crate) fn all() -> Vec<OpSpec> {
    vec![start(), stop(), watch(), explain(), models()]
}

fn start() -> OpSpec {
    OpSpec {
        error_codes: codes(&[
            INVALID,
            TOO_LARGE,
            NOT_FOUND,
            TURN_IN_FLIGHT,
            NO_PROVIDER,
            OVERLOADED,
            UNAVAILABLE,
        ]),
        examples: vec![
            example("A new conversation, with the only provider that is ready.", json!({ "input": "hello" })),
            example(
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
        ..op::<Start>("turns.start", "Starts a turn; the input is durable before the answer.", Intent::Write)
    }
}

fn stop() -> OpSpec {
    OpSpec {
        idempotent: true,
        error_codes: codes(&[INVALID]),
        examples: vec![example(
            "Whatever turn of the conversation is running.",
            json!({ "conversation_id": "0197a5c0-0000-7000-8000-000000000001" }),
        )],
        surface: surface("POST", "stop", "stop"),
        ..op::<Stop>(
            "turns.stop",
            "Stops the running turn of a conversation and answers when it has ended.",
            Intent::Write,
        )
    }
}

fn watch() -> OpSpec {
    OpSpec {
        idempotent: true,
        stream: true,
        frame_schema: schemars::schema_for!(Event).to_value(),
        error_codes: codes(&[INVALID, NOT_FOUND, STALE]),
        examples: vec![example(
            "What came after number 17.",
            json!({ "conversation_id": "0197a5c0-0000-7000-8000-000000000001", "after": 17 }),
        )],
        surface: surface("GET", "events", "watch"),
        ..op::<Watch>(
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
            example(
                "The newest turn of the conversation.",
                json!({ "conversation_id": "0197a5c0-0000-7000-8000-000000000001" }),
            ),
            example(
                "A turn by its id.",
                json!({
                    "conversation_id": "0197a5c0-0000-7000-8000-000000000001",
                    "turn_id": "0197a5c0-0000-7000-8000-0000000000f1",
                }),
            ),
        ],
        surface: surface("GET", "turns/{turn_id}/explain", "explain"),
        ..op::<Explain>(
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
            example("Of every provider.", json!({})),
            example("Of one.", json!({ "provider": "openrouter" })),
        ],
        surface: SurfaceHints {
            http_method: "GET".to_owned(),
            http_path: "/v1/models".to_owned(),
            http_status: 0,
            cli_words: vec!["models".to_owned()],
        },
        ..op::<Models>(
            "models.list",
            "Lists the providers of the build and the models they offer.",
            Intent::Read,
        )
    }
}

fn op<V>(id: &str, summary: &str, intent: Intent) -> OpSpec
where
    V: Verb<Params: JsonSchema, Reply: JsonSchema>,
{
    OpSpec {
        id: id.to_owned(),
        summary: summary.to_owned(),
        verb: V::NAME.to_owned(),
        input_schema: schemars::schema_for!(V::Params).to_value(),
        output_schema: schemars::schema_for!(V::Reply).to_value(),
        intent,
        idempotent: false,
        stream: false,
        frame_schema: Value::Null,
        examples: Vec::new(),
        error_codes: Vec::new(),
        surface: SurfaceHints::default(),
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

fn example(summary: &str, input: Value) -> OpExample {
    OpExample { summary: summary.to_owned(), input }
}

fn codes(codes: &[&str]) -> Vec<String> {
    codes.iter().map(|code| (*code).to_owned()).collect()
}
