//! Components of the document: schemas under one name each, with references that resolve.
//!
//! It must not know ops.

use serde_json::{Map, Value};

/// Keys that say something about a schema as a document of its own.
const OF_A_DOCUMENT: &[&str] = &["$schema", "$id"];

/// Keys whose value is JSON and no schema.
const OF_VALUES: &[&str] = &["const", "default", "enum", "example", "examples"];
/// Keys whose value holds a schema under each name.
const OF_NAMES: &[&str] = &["$defs", "definitions", "dependentSchemas", "patternProperties", "properties"];

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

/// Says of an integer how large it can be: readers of the document know its format as a name alone, and would send what
/// no op can read.
fn bound(schema: &mut Map<String, Value>) {
    let Some(Value::String(format)) = schema.get("format") else { return };
    let (least, most): (Value, Value) = match format.as_str() {
        "uint8" => (0.into(), u8::MAX.into()),
        "uint16" => (0.into(), u16::MAX.into()),
        "uint32" => (0.into(), u32::MAX.into()),
        "uint64" | "uint" => (0.into(), u64::MAX.into()),
        "int32" => (i32::MIN.into(), i32::MAX.into()),
        "int64" => (i64::MIN.into(), i64::MAX.into()),
        _ => return,
    };
    schema.entry("minimum").or_insert(least);
    schema.entry("maximum").or_insert(most);
}

/// Makes each local reference point through `place`. What only looks like a reference, in an example or a default, is
/// left alone.
pub(super) fn point_through(schema: &mut Value, place: &str) {
    match schema {
        Value::Object(map) => {
            bound(map);
            for (key, value) in map {
                match value {
                    Value::String(at) if key == "$ref" => {
                        if let Some(rest) = at.strip_prefix('#') {
                            *at = format!("{place}{rest}");
                        }
                    }
                    // What stands here is named by the schema's author: `examples` may be a field like any other.
                    Value::Object(named) if OF_NAMES.contains(&key.as_str()) => {
                        named.values_mut().for_each(|schema| point_through(schema, place));
                    }
                    _ if OF_VALUES.contains(&key.as_str()) => {}
                    value => point_through(value, place),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| point_through(item, place)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_field_named_like_a_keyword_is_a_field_and_a_keyword_holds_no_references() {
        let mut schema = json!({
            "properties": { "examples": { "$ref": "#/$defs/Example" }, "default": { "$ref": "#" } },
            "examples": [{ "$ref": "#/kept" }],
        });
        point_through(&mut schema, "#/components/schemas/a");
        let expected = json!({
            "properties": {
                "examples": { "$ref": "#/components/schemas/a/$defs/Example" },
                "default": { "$ref": "#/components/schemas/a" },
            },
            "examples": [{ "$ref": "#/kept" }],
        });
        assert_eq!(schema, expected);
    }
}
