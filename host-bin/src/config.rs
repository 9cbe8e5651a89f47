//! Configuration layers: build < user `config.toml` < environment `DISPATCH_SET__…` < `--set`.

use crate::argv::Environment;
use crate::exit::Refusal;
use dispatch_contracts::kernel::Dirs;
use dispatch_kernel::Plan;
use serde_json::{Map, Value};
use std::path::Path;

/// Most bytes of `config.toml`.
const CONFIG_BYTES_MAX: u64 = 256 * 1024;
/// Deepest key of a variable or of `--set`.
const KEY_PARTS_MAX: usize = 8;
const PREFIX: &str = "DISPATCH_SET__";

/// Merges every layer into the plan's instances.
pub(crate) fn merge(
    plan: &mut Plan,
    set: &[String],
    environment: &Environment,
    dirs: &Dirs,
) -> Result<(), Refusal> {
    user_file(plan, &Path::new(&dirs.config).join("config.toml"))?;
    for (name, value) in environment.with_prefix(PREFIX) {
        let (instance, key) = name.split_once("__").ok_or_else(|| {
            Refusal::config(format!("`{PREFIX}{name}` is not of the form {PREFIX}INSTANCE__KEY"))
        })?;
        let keys: Vec<String> = key.split("__").map(str::to_lowercase).collect();
        if keys.iter().any(String::is_empty) || keys.len() > KEY_PARTS_MAX {
            return Err(Refusal::config(format!(
                "`{PREFIX}{name}` names no key; write {PREFIX}INSTANCE__KEY"
            )));
        }
        let wanted = instance.to_lowercase();
        let Some(found) = plan.instances.iter_mut().find(|i| i.id.replace('-', "_") == wanted) else {
            // Variables are shared between builds, so this may be meant for another one.
            tracing::info!(variable = %format!("{PREFIX}{name}"), "names no instance of this build");
            continue;
        };
        put(&mut found.config, &keys, parse_value(value));
    }
    for assignment in set {
        let (path, value) = assignment.split_once('=').ok_or_else(|| {
            Refusal::usage(format!("`--set {assignment}` is not of the form INSTANCE.KEY=VALUE"))
        })?;
        let mut keys = path.split('.').map(str::to_owned);
        let instance = keys.next().unwrap_or_default();
        let keys: Vec<String> = keys.collect();
        if keys.is_empty() || keys.iter().any(String::is_empty) || keys.len() > KEY_PARTS_MAX {
            return Err(Refusal::usage(format!("`--set {path}=…` names no key; write INSTANCE.KEY=VALUE")));
        }
        let known: Vec<&str> = plan.instances.iter().map(|i| i.id.as_str()).collect();
        let unknown =
            format!("`--set {path}=…`: the build has no instance `{instance}`; it has {}", known.join(", "));
        let found = plan.instances.iter_mut().find(|i| i.id == instance);
        put(&mut found.ok_or_else(|| Refusal::usage(unknown))?.config, &keys, parse_value(value));
    }
    Ok(())
}

/// Tables named by instance; those of other builds are left alone.
fn user_file(plan: &mut Plan, path: &Path) -> Result<(), Refusal> {
    let cannot = |what: String| Refusal::config(format!("cannot read {}: {what}", path.display()));
    let Ok(meta) = std::fs::metadata(path) else { return Ok(()) };
    if meta.len() > CONFIG_BYTES_MAX {
        return Err(cannot(format!("it has {} bytes, at most {CONFIG_BYTES_MAX}", meta.len())));
    }
    let text = std::fs::read_to_string(path).map_err(|e| cannot(e.to_string()))?;
    let table: toml::Table = toml::from_str(&text).map_err(|e| {
        // The message alone: the line it is about may hold a key.
        let line = text[..e.span().map_or(0, |span| span.start).min(text.len())].lines().count().max(1);
        cannot(format!("line {line}: {}", e.message()))
    })?;
    for (instance, value) in table {
        let toml::Value::Table(_) = value else {
            return Err(cannot(format!(
                "`{instance}` is not a table; write `[{instance}]` and keys below it"
            )));
        };
        let Some(found) = plan.instances.iter_mut().find(|i| i.id == instance) else { continue };
        overlay(&mut found.config, json(value));
    }
    Ok(())
}

fn overlay(below: &mut Value, above: Value) {
    match (below, above) {
        (Value::Object(below), Value::Object(above)) => {
            for (key, value) in above {
                match below.get_mut(&key) {
                    Some(there) => overlay(there, value),
                    None => {
                        below.insert(key, value);
                    }
                }
            }
        }
        (below, above) => *below = above,
    }
}

fn put(config: &mut Value, keys: &[String], value: Value) {
    let Some((first, rest)) = keys.split_first() else {
        *config = value;
        return;
    };
    if !config.is_object() {
        *config = Value::Object(Map::new());
    }
    if let Value::Object(map) = config {
        put(map.entry(first.clone()).or_insert(Value::Null), rest, value);
    }
}

/// A TOML value if it is one, else the text itself: `3`, `true`, `["a"]`, `{ env = "KEY" }`, `http://…`.
fn parse_value(text: &str) -> Value {
    // Only forms that no plain text has are read as TOML, so that a date or `inf` stays what was typed.
    let first = text.trim_start().chars().next().unwrap_or(' ');
    let structured =
        matches!(first, '[' | '{' | '"' | '\'' | '-' | '+' | '0'..='9') || matches!(text, "true" | "false");
    let parsed = if structured { toml::from_str::<toml::Table>(&format!("v = {text}")).ok() } else { None };
    match parsed.and_then(|mut table| table.remove("v")) {
        Some(toml::Value::Datetime(_)) | None => Value::String(text.to_owned()),
        Some(value) => json(value),
    }
}

fn json(value: toml::Value) -> Value {
    match value {
        toml::Value::String(text) => Value::String(text),
        toml::Value::Integer(n) => n.into(),
        toml::Value::Float(n) => n.into(),
        toml::Value::Boolean(b) => b.into(),
        toml::Value::Datetime(d) => Value::String(d.to_string()),
        toml::Value::Array(items) => items.into_iter().map(json).collect(),
        toml::Value::Table(table) => Value::Object(table.into_iter().map(|(k, v)| (k, json(v))).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_toml_where_they_look_like_it_and_text_elsewhere() {
        assert_eq!(parse_value("http://127.0.0.1:9/v1"), json!("http://127.0.0.1:9/v1"));
        assert_eq!(parse_value("12"), json!(12));
        assert_eq!(parse_value("true"), json!(true));
        assert_eq!(parse_value("{ env = \"KEY\" }"), json!({ "env": "KEY" }));
        assert_eq!(parse_value("127.0.0.1:80"), json!("127.0.0.1:80"));
        assert_eq!(parse_value("2026-01-01"), json!("2026-01-01"));
        assert_eq!(parse_value("sk-abc"), json!("sk-abc"));
    }

    #[test]
    fn a_later_layer_changes_only_the_keys_it_names() {
        let mut config = json!({ "a": { "b": 1, "c": 2 }, "d": 3 });
        overlay(&mut config, json!({ "a": { "b": 9 }, "e": 4 }));
        put(&mut config, &["a".to_owned(), "f".to_owned()], json!(5));
        assert_eq!(config, json!({ "a": { "b": 9, "c": 2, "f": 5 }, "d": 3, "e": 4 }));
    }
}
