//! The ops, as the kernel and projections read them.

use super::rig::Rig;
use crate::ops;
use dispatch_sdk::contracts::conversations as contract;
use dispatch_sdk::contracts::op::Intent;
use serde_json::{Value, json};

const MANIFEST: &str = include_str!("../../extension.toml");

fn valid(id: &str, input: Value) -> bool {
    let op = ops::all().into_iter().find(|op| op.id == id).unwrap();
    jsonschema::validator_for(&op.input_schema).expect("a schema").is_valid(&input)
}

#[test]
fn every_example_of_an_op_is_valid_and_every_op_is_in_the_manifest() {
    for op in ops::all() {
        let schema = jsonschema::validator_for(&op.input_schema).expect("a schema");
        jsonschema::validator_for(&op.output_schema).expect("a schema");
        assert!(!op.examples.is_empty(), "{}", op.id);
        for example in op.examples {
            assert!(schema.is_valid(&example.input), "{}: {}", op.id, example.summary);
        }
        assert!(MANIFEST.contains(&format!("\"{}\"", op.id)), "{}", op.id);
        assert_eq!(op.intent == Intent::Read, op.surface.http_method == "GET");
        assert_eq!(op.surface.cli_words.join("."), op.id);
    }
}

#[test]
fn routes_and_codes_are_what_clients_are_told() {
    let route = |op: &dispatch_sdk::contracts::op::OpSpec| {
        let surface = &op.surface;
        format!("{} {} {} {}", op.id, surface.http_method, surface.http_path, surface.http_status)
    };
    let routes: Vec<String> = ops::all().iter().map(route).collect();
    let expected = [
        "conversations.create POST /v1/conversations 201",
        "conversations.list GET /v1/conversations 0",
        "conversations.get GET /v1/conversations/{conversation_id} 0",
        "conversations.rename PATCH /v1/conversations/{conversation_id} 0",
        "conversations.archive POST /v1/conversations/{conversation_id}/archive 0",
        "messages.list GET /v1/conversations/{conversation_id}/messages 0",
        "events.list GET /v1/conversations/{conversation_id}/log 0",
        "grants.list GET /v1/conversations/{conversation_id}/grants 0",
        "grants.revoke POST /v1/conversations/{conversation_id}/grants/revoke 0",
        "hosts.bury POST /v1/hosts/{host_id}/bury 0",
    ];
    assert_eq!(routes, expected);
    for op in ops::all() {
        let has = |code: &str| op.error_codes.iter().any(|listed| listed == code);
        let of_one = op.surface.http_path.contains('{');
        assert_eq!((has("not_found"), has("conflict")), (of_one, op.intent == Intent::Write), "{}", op.id);
        assert!(has("invalid") && has("corrupt"), "{}", op.id);
    }
}

#[test]
fn the_schemas_hold_the_bounds_of_the_contract() {
    assert!(valid("conversations.list", json!({ "limit": contract::LIST_LIMIT_MAX })));
    assert!(!valid("conversations.list", json!({ "limit": contract::LIST_LIMIT_MAX + 1 })));
    assert!(!valid(
        "messages.list",
        json!({ "conversation_id": "c", "limit": contract::HISTORY_LIMIT_MAX + 1 })
    ));
    assert!(!valid(
        "events.list",
        json!({ "conversation_id": "c", "limit": contract::EVENTS_LIMIT_MAX + 1 })
    ));
    for id in ["", "a/b", "a\n", "ä", &"x".repeat(65)] {
        assert!(!valid("conversations.get", json!({ "conversation_id": id })), "{id:?}");
        assert!(!valid("conversations.create", json!({ "conversation_id": id })), "{id:?}");
    }
    let renamed =
        |title: &str| valid("conversations.rename", json!({ "conversation_id": "c", "title": title }));
    let long = "ä".repeat(contract::TITLE_CHARS_MAX);
    assert!(renamed("a b") && renamed(&long) && renamed(" ä"));
    for title in ["", "  ", "a\nb", "\u{85}", "a\u{7f}", &format!("{long}ä")] {
        assert!(!renamed(title), "{title:?}");
    }
    assert!(valid("conversations.create", json!({ "title": null, "cwd": "/" })));
    for bad in [
        json!({ "cwd": "x" }),
        json!({ "provider": "" }),
        json!({ "cwd": "/".repeat(4097) }),
        json!({ "name": "x" }),
    ] {
        assert!(!valid("conversations.create", bad.clone()), "{bad}");
    }
}

#[tokio::test]
async fn replies_are_valid_against_the_schemas_of_their_ops() {
    let rig = Rig::new().await;
    rig.begin("t").await.unwrap();
    rig.disk.put("open/of-old/c-2", "{}");
    rig.live("t", vec![super::rig::text("a"), super::rig::text("b")]).await.unwrap();
    rig.end("t").await;
    let of_one = ["conversations.get", "messages.list", "events.list", "conversations.archive"];
    let inputs = of_one
        .map(|id| (id, json!({ "conversation_id": super::rig::CONV })))
        .into_iter()
        .chain([("conversations.create", json!({})), ("conversations.list", json!({}))])
        .chain([("grants.list", json!({ "conversation_id": super::rig::CONV }))])
        .chain([("grants.revoke", json!({ "conversation_id": super::rig::CONV, "tool": "x" }))])
        .chain([("hosts.bury", json!({ "host_id": "of-old" }))])
        .chain([("conversations.rename", json!({ "conversation_id": super::rig::CONV, "title": "x" }))]);
    for (id, input) in inputs {
        let op = ops::all().into_iter().find(|op| op.id == id).unwrap();
        let reply = rig.store.call_raw(&op.verb, &input).await.unwrap();
        let schema = jsonschema::validator_for(&op.output_schema).expect("a schema");
        assert!(schema.is_valid(&reply), "{id}: {reply}");
    }
}
