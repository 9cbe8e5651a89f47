//! The ops that this extension contributes; their schemas are those of the contract's types.

use dispatch_sdk::contracts::conversations::{
    Archive, Bury, Create, Events, Get, Grants, History, List, Rename, Revoke,
};
use dispatch_sdk::contracts::fault::{CONFLICT, INVALID, IO, NOT_FOUND, OVERLOADED, TOO_LARGE, UNAVAILABLE};
use dispatch_sdk::contracts::op::{Intent, OpExample, OpSpec, SurfaceHints};
use dispatch_sdk::contracts::storage::{CORRUPT, NO_SPACE};
use serde_json::json;

/// What any read of the store may answer.
const READ_CODES: [&str; 4] = [INVALID, UNAVAILABLE, IO, CORRUPT];
/// What any write may answer beyond that.
const WRITE_CODES: [&str; 4] = [CONFLICT, OVERLOADED, NO_SPACE, TOO_LARGE];

const ID: &str = "0197a5c0-0000-7000-8000-000000000001";

pub(crate) fn all() -> Vec<OpSpec> {
    vec![create(), list(), get(), rename(), archive(), messages(), events(), grants(), revoke(), bury()]
}

fn create() -> OpSpec {
    OpSpec {
        error_codes: codes(&[&READ_CODES, &WRITE_CODES]),
        examples: vec![
            OpExample::new("An empty conversation under a new id.", json!({})),
            OpExample::new(
                "One with a title, under an id of the client's, and what its first turn starts from.",
                json!({
                    "conversation_id": "release-notes",
                    "title": "Release notes",
                    "cwd": "/srv/me/project",
                    "provider": "openrouter",
                    "model": "some/model",
                }),
            ),
        ],
        surface: SurfaceHints { http_status: 201, ..surface("conversations.create", "POST", "") },
        ..OpSpec::of::<Create>(
            "conversations.create",
            "Makes an empty conversation; it is durable before the answer.",
            Intent::Write,
        )
    }
}

fn list() -> OpSpec {
    OpSpec {
        error_codes: codes(&[&READ_CODES]),
        examples: vec![
            OpExample::new("The twenty that were active last.", json!({ "limit": 20 })),
            OpExample::new(
                "The next page, after the last one of the page before.",
                json!({ "limit": 20, "before": 1_763_700_000_900_u64, "before_id": ID }),
            ),
            OpExample::new("Those that are put away.", json!({ "archived": true })),
        ],
        surface: surface("conversations.list", "GET", ""),
        ..OpSpec::of::<List>(
            "conversations.list",
            "Lists conversations, latest activity first.",
            Intent::Read,
        )
    }
}

fn get() -> OpSpec {
    OpSpec {
        error_codes: codes(&[&READ_CODES, &[NOT_FOUND]]),
        examples: vec![OpExample::new("One conversation.", json!({ "conversation_id": ID }))],
        surface: surface("conversations.get", "GET", "/{conversation_id}"),
        ..OpSpec::of::<Get>(
            "conversations.get",
            "Shows a conversation and the turn that is open in it.",
            Intent::Read,
        )
    }
}

fn rename() -> OpSpec {
    OpSpec {
        idempotent: true,
        error_codes: codes(&[&READ_CODES, &WRITE_CODES, &[NOT_FOUND]]),
        examples: vec![OpExample::new(
            "A new title.",
            json!({ "conversation_id": ID, "title": "Release notes" }),
        )],
        surface: surface("conversations.rename", "PATCH", "/{conversation_id}"),
        ..OpSpec::of::<Rename>("conversations.rename", "Sets the title of a conversation.", Intent::Write)
    }
}

fn archive() -> OpSpec {
    OpSpec {
        idempotent: true,
        error_codes: codes(&[&READ_CODES, &WRITE_CODES, &[NOT_FOUND]]),
        examples: vec![
            OpExample::new("Puts it away.", json!({ "conversation_id": ID })),
            OpExample::new("Brings it back.", json!({ "conversation_id": ID, "archived": false })),
        ],
        surface: surface("conversations.archive", "POST", "/{conversation_id}/archive"),
        ..OpSpec::of::<Archive>(
            "conversations.archive",
            "Puts a conversation away, or brings it back; nothing is deleted.",
            Intent::Write,
        )
    }
}

fn messages() -> OpSpec {
    OpSpec {
        error_codes: codes(&[&READ_CODES, &[NOT_FOUND]]),
        examples: vec![
            OpExample::new("The last fifty.", json!({ "conversation_id": ID, "limit": 50 })),
            OpExample::new(
                "The fifty before position 200.",
                json!({ "conversation_id": ID, "before": 200, "limit": 50 }),
            ),
            OpExample::new("From the beginning on.", json!({ "conversation_id": ID, "since": 0 })),
        ],
        surface: surface("messages.list", "GET", "/{conversation_id}/messages"),
        ..OpSpec::of::<History>(
            "messages.list",
            "Shows messages of a conversation as they are kept.",
            Intent::Read,
        )
    }
}

fn events() -> OpSpec {
    OpSpec {
        error_codes: codes(&[&READ_CODES, &[NOT_FOUND]]),
        examples: vec![
            OpExample::new("What came after number 17.", json!({ "conversation_id": ID, "after": 17 })),
            OpExample::new(
                "The hundred before it.",
                json!({ "conversation_id": ID, "before": 18, "limit": 100 }),
            ),
        ],
        surface: surface("events.list", "GET", "/{conversation_id}/log"),
        ..OpSpec::of::<Events>("events.list", "Shows a page of a conversation's log.", Intent::Read)
    }
}

fn grants() -> OpSpec {
    OpSpec {
        error_codes: codes(&[&READ_CODES, &[NOT_FOUND]]),
        examples: vec![OpExample::new("Of one conversation.", json!({ "conversation_id": ID }))],
        surface: surface("grants.list", "GET", "/{conversation_id}/grants"),
        ..OpSpec::of::<Grants>(
            "grants.list",
            "Shows the tools that may run in a conversation without being asked for.",
            Intent::Read,
        )
    }
}

fn revoke() -> OpSpec {
    OpSpec {
        idempotent: true,
        error_codes: codes(&[&READ_CODES, &WRITE_CODES, &[NOT_FOUND]]),
        examples: vec![OpExample::new(
            "The tool is asked for again.",
            json!({ "conversation_id": ID, "tool": "shell" }),
        )],
        surface: surface("grants.revoke", "POST", "/{conversation_id}/grants/revoke"),
        ..OpSpec::of::<Revoke>(
            "grants.revoke",
            "Takes back that a tool may run in a conversation without being asked for.",
            Intent::Write,
        )
    }
}

fn bury() -> OpSpec {
    OpSpec {
        idempotent: true,
        error_codes: codes(&[&READ_CODES, &WRITE_CODES, &[NOT_FOUND]]),
        examples: vec![OpExample::new(
            "A host whose machine is gone, as `open_turn` names it.",
            json!({ "host_id": ID }),
        )],
        surface: SurfaceHints {
            http_path: "/v1/hosts/{host_id}/bury".to_owned(),
            ..surface("hosts.bury", "POST", "")
        },
        ..OpSpec::of::<Bury>(
            "hosts.bury",
            "Says that a host is dead of which nobody can tell; its open turns then run on, or get their end.",
            Intent::Write,
        )
    }
}

/// On the command line an op is said as its id reads.
fn surface(id: &str, method: &str, path: &str) -> SurfaceHints {
    SurfaceHints {
        http_method: method.to_owned(),
        http_path: format!("/v1/conversations{path}"),
        http_status: 0,
        cli_words: id.split('.').map(str::to_owned).collect(),
    }
}

fn codes(lists: &[&[&str]]) -> Vec<String> {
    lists.concat().into_iter().map(str::to_owned).collect()
}
