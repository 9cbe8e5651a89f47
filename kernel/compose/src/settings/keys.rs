//! A settings schema as a list of keys. It must not know any value that somebody set.

use serde_json::{Map, Value};

/// Deepest table that is walked through.
const DEPTH_MAX: usize = 8;
/// What an ending of a key says about its number.
const UNITS: [(&str, &str); 7] = [
    ("_ms", "ms"),
    ("_bytes", "bytes"),
    ("_bytes_max", "bytes"),
    ("_chars_max", "characters"),
    ("_tokens", "tokens"),
    ("_tokens_max", "tokens"),
    ("_percent", "%"),
];

/// One key of an extension's configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct SettingsKey {
    /// The words that lead to it; `*` stands for a name of one's own choice.
    pub path: Vec<String>,
    /// `text`, `whole number`, `number`, `true or false`, `list of …`, `table`.
    pub kind: String,
    /// Ms, bytes, …; empty = none.
    pub unit: &'static str,
    /// What holds when nobody sets it; absent = nothing is set then.
    pub default: Option<Value>,
    /// The least number.
    pub min: Option<Value>,
    /// The greatest number.
    pub max: Option<Value>,
    /// The words that it may be; empty = any.
    pub values: Vec<String>,
    /// For a person, in one line.
    pub meaning: String,
    /// A change is taken over by a running host (SIGHUP); else at the next start.
    pub reload: bool,
    /// It is shown nowhere.
    pub secret: bool,
    /// It names a file or directory that its instance keeps for itself.
    pub kept: bool,
}

impl SettingsKey {
    /// `breaker.window_ms`.
    pub fn name(&self) -> String {
        self.path.join(".")
    }

    /// What may be written: `whole number from 1 to 900000, ms`.
    pub fn shape(&self) -> String {
        let mut shape = match self.values.as_slice() {
            [] => self.kind.clone(),
            values => values.iter().map(|value| format!("`{value}`")).collect::<Vec<_>>().join(" or "),
        };
        match (&self.min, &self.max) {
            (Some(min), Some(max)) => shape.push_str(&format!(" from {min} to {max}")),
            (Some(min), None) if min.as_f64() != Some(0.0) => shape.push_str(&format!(" from {min} on")),
            (None, Some(max)) => shape.push_str(&format!(" up to {max}")),
            (_, None) => {}
        }
        if !self.unit.is_empty() {
            shape.push_str(", ");
            shape.push_str(self.unit);
        }
        shape
    }
}

/// Every key below a table.
pub(super) fn of(schema: &Value) -> Vec<SettingsKey> {
    let mut keys = Vec::new();
    walk(schema, schema, &[], &mut keys);
    keys
}

fn walk(schema: &Value, with_default: &Value, path: &[String], keys: &mut Vec<SettingsKey>) {
    let Some(properties) = schema["properties"].as_object() else { return };
    for (name, property) in properties {
        let path = [path, std::slice::from_ref(name)].concat();
        let default = property.get("default").or_else(|| with_default["default"].get(name));
        let described = plain(property);
        let is_table = described["properties"].is_object();
        if is_table && path.len() < DEPTH_MAX {
            let holder = serde_json::json!({ "default": default });
            walk(described, if default.is_some() { &holder } else { described }, &path, keys);
            continue;
        }
        // A table of one's own names is one key, whatever stands in it.
        let path = match described["additionalProperties"].as_object() {
            Some(_) if !is_table => [path.as_slice(), &["*".to_owned()]].concat(),
            _ => path,
        };
        keys.push(key(path, property, described, default));
    }
}

fn key(path: Vec<String>, property: &Value, described: &Value, default: Option<&Value>) -> SettingsKey {
    let flag = |word: &str| property[word] == true || described[word] == true;
    let free = path.last().is_some_and(|last| last == "*");
    let value = if free { plain(&described["additionalProperties"]) } else { described };
    let default =
        default.filter(|value| !(value.is_null() || free && value.as_object().is_some_and(Map::is_empty)));
    let text = |of: &Value| of["description"].as_str().map(str::to_owned);
    SettingsKey {
        kind: kind(value),
        unit: unit(&path),
        default: default.cloned(),
        min: value.get("minimum").or_else(|| value["items"].get("minimum")).cloned(),
        max: value.get("maximum").or_else(|| value["items"].get("maximum")).cloned(),
        values: values(value),
        meaning: one_line(&text(property).or_else(|| text(described)).unwrap_or_default()),
        reload: flag("x-reload"),
        secret: flag("writeOnly"),
        kept: flag("x-kept"),
        path,
    }
}

/// What stands behind `null or …`.
fn plain(schema: &Value) -> &Value {
    let several = schema["anyOf"].as_array().into_iter().flatten();
    several.into_iter().find(|one| one["type"] != "null").unwrap_or(schema)
}

fn kind(schema: &Value) -> String {
    let named = match &schema["type"] {
        Value::Array(types) => types.iter().filter_map(Value::as_str).find(|name| *name != "null"),
        one => one.as_str(),
    };
    match named {
        Some("integer") => "whole number".to_owned(),
        Some("number") => "number".to_owned(),
        Some("boolean") => "true or false".to_owned(),
        Some("string") => "text".to_owned(),
        Some("array") => format!("list of {}", several(&kind(&schema["items"]))),
        Some("object") => "table".to_owned(),
        _ if !values(schema).is_empty() => "text".to_owned(),
        _ => "value".to_owned(),
    }
}

fn several(kind: &str) -> String {
    match kind.strip_suffix('s') {
        Some(_) => kind.to_owned(),
        None => format!("{kind}s"),
    }
}

fn values(schema: &Value) -> Vec<String> {
    let listed = schema["enum"].as_array().into_iter().flatten();
    let described = schema["oneOf"].as_array().into_iter().flatten().map(|one| &one["const"]);
    listed.chain(described).filter_map(Value::as_str).map(str::to_owned).collect()
}

fn unit(path: &[String]) -> &'static str {
    let last = path.iter().rev().find(|word| *word != "*").map_or("", String::as_str);
    UNITS.iter().find(|(ending, _)| last.ends_with(ending)).map_or("", |(_, unit)| unit)
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
