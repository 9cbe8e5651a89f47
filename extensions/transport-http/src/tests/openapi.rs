//! `/openapi.json`: the whole document against a snapshot, and every reference in it.

use super::{serve, world};
use serde_json::{Value, json};
use std::path::Path;

/// Every `$ref` below `value`.
fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                match value {
                    Value::String(at) if key == "$ref" => found.push(at),
                    value => references(value, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

#[tokio::test]
async fn the_document_is_the_one_that_was_read_over() {
    let world = world(json!({})).await;
    let document = world.get("/openapi.json").await.json();
    let shown = format!("{}\n", serde_json::to_string_pretty(&document).expect("it encodes"));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/tests/openapi.json");
    if dispatch_update_wanted() {
        std::fs::write(&path, &shown).expect("a file");
    }
    let known = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(known == shown, "the document changed; look at it with UPDATE=1 and `git diff`");
}

#[expect(clippy::disallowed_methods, reason = "a test is told by its environment to write what it expects")]
fn dispatch_update_wanted() -> bool {
    std::env::var_os("UPDATE").is_some()
}

#[tokio::test]
async fn every_reference_resolves_and_every_schema_is_one() {
    let world = world(json!({})).await;
    let document = world.get("/openapi.json").await.json();
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(found.iter().any(|at| at.contains("/$defs/")), "{found:?}");
    for at in found {
        let pointer = at.strip_prefix('#').expect("a local reference");
        assert!(document.pointer(pointer).is_some(), "{at} leads nowhere");
    }
    let schemas = document["components"]["schemas"].as_object().expect("schemas");
    for (name, schema) in schemas {
        jsonschema::meta::validate(schema).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(schema.get("$schema").is_none() && schema.get("$id").is_none(), "{name}");
    }
    for path in document["paths"].as_object().expect("paths").values() {
        for operation in path.as_object().expect("operations").values() {
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let schema = parameter
                    .get("schema")
                    .or_else(|| parameter.pointer("/content/application~1json/schema"));
                jsonschema::meta::validate(schema.expect("a schema")).expect("it is a schema");
            }
        }
    }
}

#[tokio::test]
async fn what_only_looks_like_a_reference_is_left_alone() {
    let host = super::host();
    host.on("op.v1/list", |_| {
        let mut op = super::op(
            "notes.make",
            "POST",
            "/v1/notes",
            "write",
            json!({ "$ref": { "type": "string", "default": { "$ref": "#/x" }, "enum": ["#/x"] } }),
            json!([]),
        );
        op["input_schema"]["$defs"]["Tree"] =
            json!({ "type": "object", "properties": { "in": { "$ref": "#/$defs/Tree" }, "all": { "$ref": "#" } } });
        Ok(json!({ "ops": [op] }))
    });
    let world = serve(host, json!({})).await;
    let document = world.get("/openapi.json").await.json();
    let body = &document["components"]["schemas"]["notes.make.body"];
    assert_eq!(body["properties"]["$ref"]["default"], json!({ "$ref": "#/x" }));
    let tree = &body["$defs"]["Tree"]["properties"];
    assert_eq!(tree["in"]["$ref"], "#/components/schemas/notes.make.body/$defs/Tree");
    assert_eq!(tree["all"]["$ref"], "#/components/schemas/notes.make.body");
}
