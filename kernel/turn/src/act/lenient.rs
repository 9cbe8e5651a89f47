//! Arguments as a tool's schema wants them, where there is no doubt what the model meant.
//!
//! Small models write `"2"` for 2 and `null` for what they leave out, and repeat the same call when it is refused. Taken
//! are only: a text that is a number or a boolean where the schema names that one type alone, and `null` for a property
//! that is not required and may not be null. It must not know the call; what is still wrong is told by the schema.

use serde_json::{Map, Value};

/// Deepest object that is looked into.
const DEPTH_MAX: usize = 8;

/// `args` with what is without doubt meant; `None` = as they are.
pub(crate) fn meant(args: &Map<String, Value>, schema: &Value) -> Option<Map<String, Value>> {
    object(args, schema, DEPTH_MAX)
}

fn object(args: &Map<String, Value>, schema: &Value, depth: usize) -> Option<Map<String, Value>> {
    let properties = schema.get("properties")?.as_object()?;
    let required = |key: &str| {
        schema
            .get("required")
            .and_then(Value::as_array)
            .is_some_and(|names| names.iter().any(|name| name == key))
    };
    let mut changed = None;
    for (key, value) in args {
        let Some((schema, only)) = properties.get(key).and_then(|schema| Some((schema, only_type(schema)?)))
        else {
            continue;
        };
        if value.is_null() && only != "null" && !required(key) {
            changed.get_or_insert_with(|| args.clone()).remove(key);
        } else if let Some(meant) = one(value, schema, only, depth) {
            changed.get_or_insert_with(|| args.clone()).insert(key.clone(), meant);
        }
    }
    changed
}

fn one(value: &Value, schema: &Value, only: &str, depth: usize) -> Option<Value> {
    match (value, only) {
        (Value::String(text), "integer") => whole(text),
        (Value::String(text), "number") => number(text),
        (Value::String(text), "boolean") => match text.trim() {
            "true" | "True" => Some(Value::Bool(true)),
            "false" | "False" => Some(Value::Bool(false)),
            _ => None,
        },
        (Value::Object(args), "object") if depth > 0 => object(args, schema, depth - 1).map(Value::Object),
        (Value::Array(items), "array") if depth > 0 => {
            let items_schema = schema.get("items")?;
            let only = only_type(items_schema)?;
            let meant: Vec<_> = items.iter().map(|item| one(item, items_schema, only, depth - 1)).collect();
            meant.iter().any(Option::is_some).then(|| {
                let both = items.iter().zip(meant);
                Value::Array(both.map(|(item, meant)| meant.unwrap_or_else(|| item.clone())).collect())
            })
        }
        _ => None,
    }
}

/// The one type that a schema names; nothing where it leaves a choice.
fn only_type(schema: &Value) -> Option<&str> {
    const CHOICES: [&str; 7] = ["anyOf", "oneOf", "allOf", "enum", "const", "$ref", "not"];
    if CHOICES.iter().any(|choice| schema.get(choice).is_some()) {
        return None;
    }
    schema.get("type")?.as_str()
}

fn whole(text: &str) -> Option<Value> {
    let text = text.trim();
    text.parse::<i64>().map(Value::from).or_else(|_| text.parse::<u64>().map(Value::from)).ok()
}

/// As JSON writes numbers: no `inf`, no `0x10`, no `1_000`.
fn number(text: &str) -> Option<Value> {
    serde_json::from_str::<Value>(text.trim()).ok().filter(Value::is_number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn schema() -> Value {
        json!({
            "type": "object",
            "required": ["must"],
            "properties": {
                "n": { "type": "integer" },
                "x": { "type": "number" },
                "on": { "type": "boolean" },
                "text": { "type": "string" },
                "must": { "type": "string" },
                "either": { "type": ["integer", "string"] },
                "any": { "anyOf": [{ "type": "integer" }, { "type": "string" }] },
                "word": { "type": "integer", "enum": [1, 2] },
                "nothing": { "type": "null" },
                "free": {},
                "in": { "type": "object", "properties": { "n": { "type": "integer" } } },
                "list": { "type": "array", "items": { "type": "integer" } },
            },
        })
    }

    #[test]
    fn what_is_without_doubt_is_taken_and_nothing_else() {
        for (args, expected) in [
            (json!({ "n": "2" }), Some(json!({ "n": 2 }))),
            (json!({ "n": " -3 " }), Some(json!({ "n": -3 }))),
            (json!({ "n": "18446744073709551615" }), Some(json!({ "n": u64::MAX }))),
            (json!({ "x": "2.5" }), Some(json!({ "x": 2.5 }))),
            (json!({ "on": "true", "text": "true" }), Some(json!({ "on": true, "text": "true" }))),
            (json!({ "n": null, "text": null, "on": "False" }), Some(json!({ "on": false }))),
            (
                json!({ "in": { "n": "2" }, "list": ["1", 2, "x"] }),
                Some(json!({ "in": { "n": 2 }, "list": [1, 2, "x"] })),
            ),
            (json!({ "n": "2.5" }), None),
            (json!({ "n": "two" }), None),
            (json!({ "n": "" }), None),
            (json!({ "x": "inf" }), None),
            (json!({ "on": "yes" }), None),
            (json!({ "on": 1 }), None),
            (json!({ "text": 4 }), None),
            (json!({ "must": null }), None),
            (json!({ "either": "2", "any": "2", "word": "2", "free": "2" }), None),
            (json!({ "either": null, "any": null, "nothing": null, "free": null }), None),
            (json!({ "unknown": "2" }), None),
        ] {
            let found = meant(args.as_object().expect("an object"), &schema()).map(Value::Object);
            assert_eq!(found, expected, "{args}");
        }
        assert_eq!(meant(&Map::new(), &json!(true)), None);
    }
}
