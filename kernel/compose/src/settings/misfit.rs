//! A configuration held against its schema. It must not repeat a value.

use super::keys::SettingsKey;
use crate::nearest::nearest;
use jsonschema::error::{TypeKind, ValidationErrorKind};
use serde_json::Value;

/// Most misfits that are told of one instance.
const MISFITS_MAX: usize = 20;
/// Most keys that are listed where none is near.
const LISTED_MAX: usize = 12;

/// One thing that does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// The words that lead to the key it is about.
    pub path: Vec<String>,
    /// What is wrong, in one line.
    pub message: String,
    /// What to do, in one line; empty = the message says it.
    pub help: String,
}

pub(super) fn find(schema: &Value, keys: &[SettingsKey], config: &Value) -> Vec<Misfit> {
    let validator = match jsonschema::validator_for(schema) {
        Ok(validator) => validator,
        Err(e) => {
            let message = format!("its settings schema cannot be used: {}", e.masked());
            return vec![Misfit { path: Vec::new(), message, help: "build the extension again".to_owned() }];
        }
    };
    let mut stands_in = Vec::new();
    let config = without_references(config, &mut Vec::new(), &mut stands_in);
    let mut misfits = Vec::new();
    for error in validator.iter_errors(&config) {
        let pointer = error.instance_path().as_str();
        let path: Vec<String> =
            pointer.split('/').skip(1).map(|word| word.replace("~1", "/").replace("~0", "~")).collect();
        if stands_in.contains(&path) && !matches!(error.kind(), ValidationErrorKind::Type { .. }) {
            continue;
        }
        match error.kind() {
            ValidationErrorKind::AdditionalProperties { unexpected } => {
                misfits.extend(unexpected.iter().map(|name| unknown(keys, &path, name)));
            }
            kind => misfits.push(wrong(keys, path, kind, &error.masked().to_string())),
        }
        if misfits.len() >= MISFITS_MAX {
            break;
        }
    }
    misfits.truncate(MISFITS_MAX);
    misfits
}

/// The configuration with a text in place of each `{ env = "NAME" }`, and where these stood.
fn without_references(config: &Value, path: &mut Vec<String>, found: &mut Vec<Vec<String>>) -> Value {
    match config {
        Value::Object(table) if table.len() == 1 && table.get("env").is_some_and(Value::is_string) => {
            found.push(path.clone());
            Value::String(String::new())
        }
        Value::Object(table) => {
            let mut inner = serde_json::Map::new();
            for (name, value) in table {
                path.push(name.clone());
                inner.insert(name.clone(), without_references(value, path, found));
                path.pop();
            }
            Value::Object(inner)
        }
        other => other.clone(),
    }
}

fn unknown(keys: &[SettingsKey], path: &[String], name: &str) -> Misfit {
    let beside: Vec<&str> = keys
        .iter()
        .filter(|key| key.path.starts_with(path))
        .filter_map(|key| key.path.get(path.len()))
        .map(String::as_str)
        .collect();
    let path = [path, &[name.to_owned()]].concat();
    let help = match nearest(name, beside.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if beside.is_empty() => "it has no keys".to_owned(),
        None => {
            let mut names = beside;
            names.dedup();
            let more = if names.len() > LISTED_MAX { ", …" } else { "" };
            names.truncate(LISTED_MAX);
            format!("its keys are `{}`{more}", names.join("`, `"))
        }
    };
    Misfit { message: format!("there is no key `{}`", path.join(".")), path, help }
}

fn wrong(keys: &[SettingsKey], path: Vec<String>, kind: &ValidationErrorKind, masked: &str) -> Misfit {
    let fits = |key: &&SettingsKey| {
        key.path.len() <= path.len()
            && key.path.iter().zip(&path).all(|(known, word)| known == word || known == "*")
    };
    let name = path.join(".");
    let message = match (keys.iter().find(fits), kind) {
        (Some(key), _) if !key.shape().is_empty() && key.kind != "value" => {
            format!("`{name}` does not fit: expected {}", key.shape())
        }
        (_, ValidationErrorKind::Type { kind: TypeKind::Single(wanted) }) => {
            format!("`{name}` does not fit: expected the type {wanted}")
        }
        _ => format!("`{name}` does not fit: {masked}"),
    };
    Misfit { path, message, help: String::new() }
}
