//! Components of the document: schemas under one name each, with references that resolve.
//!
//! It must not know ops.

use serde_json::{Map, Value};

/// Keys that say something about a schema as a document of its own.
const OF_A_DOCUMENT: &[&str] = &["$schema", "$id"];

/// The schemas of the document.
#[derive(Default)]
pub(super) struct Schemas {
    map: Map<String, Value>,
}

impl Schemas {
    /// Adds a schema; answers a reference to it.
    pub(super) fn add(&mut self, name: &str, mut schema: Value) -> Value {
        let place = place(name);
        if let Some(map) = schema.as_object_mut() {
            map.retain(|key, _| !OF_A_DOCUMENT.contains(&key.as_str()));
        }
        point_through(&mut schema, &place);
        self.map.insert(name.to_owned(), schema);
        serde_json::json!({ "$ref": place })
    }

    pub(super) fn into_map(self) -> Map<String, Value> {
        self.map
    }
}

/// Where a component is. Ids of ops are letters, digits, `.`, `_` and `-`, which need no escape.
pub(super) fn place(name: &str) -> String {
    format!("#/components/schemas/{name}")
}

/// Makes each local reference point through `place`. What only looks like a reference, in an example or a default, is
/// left alone.
pub(super) fn point_through(schema: &mut Value, place: &str) {
    match schema {
        Value::Object(map) => {
            for (key, value) in map {
                match value {
                    Value::String(at) if key == "$ref" => {
                        if let Some(rest) = at.strip_prefix('#') {
                            *at = format!("{place}{rest}");
                        }
                    }
                    _ if ["const", "default", "enum", "example", "examples"].contains(&key.as_str()) => {}
                    value => point_through(value, place),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| point_through(item, place)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
