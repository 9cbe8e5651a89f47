//! `{{…}}` in texts and arguments: an answer that depends on what was really sent.

use serde_json::Value;

use super::asked::Asked;

const NAMES: &str =
    "first_user, last_user, last_tool_result, tool_result:<idx>, system, model, tool_names, n_messages";

/// One place a template can take its text from.
enum Source {
    FirstUser,
    LastUser,
    LastToolResult,
    ToolResult(usize),
    System,
    Model,
    ToolNames,
    MessageCount,
}

impl Source {
    fn parse(name: &str) -> Result<Self, String> {
        match name.trim() {
            "first_user" => Ok(Self::FirstUser),
            "last_user" => Ok(Self::LastUser),
            "last_tool_result" => Ok(Self::LastToolResult),
            "system" => Ok(Self::System),
            "model" => Ok(Self::Model),
            "tool_names" => Ok(Self::ToolNames),
            "n_messages" => Ok(Self::MessageCount),
            other => other
                .strip_prefix("tool_result:")
                .and_then(|idx| idx.parse().ok())
                .map(Self::ToolResult)
                .ok_or_else(|| format!("unknown template `{other}`; there are {NAMES}")),
        }
    }

    fn read(&self, asked: &Asked) -> Option<String> {
        match self {
            Self::FirstUser => asked.first("user"),
            Self::LastUser => asked.last("user"),
            Self::LastToolResult => asked.last("tool"),
            Self::ToolResult(idx) => asked.tool_results().into_iter().nth(*idx),
            Self::System => asked.last("system").or_else(|| asked.last("developer")),
            Self::Model => Some(asked.model().to_owned()),
            Self::ToolNames => Some(asked.tool_names().join(",")),
            Self::MessageCount => Some(asked.messages().len().to_string()),
        }
    }
}

/// Text between two templates, or the inside of one.
enum Piece<'t> {
    Plain(&'t str),
    Template(&'t str),
}

/// `{{` without `}}` is plain text: raw arguments may hold it.
fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((name, tail)) = after.split_once("}}") else {
            break;
        };
        // `{"a":{"b":{{last_user}}}}` is not rare: a name holds no brace or quote.
        if name.contains(['{', '}', '"']) {
            let kept = before.len() + 1;
            found.push(Piece::Plain(&rest[..kept]));
            rest = &rest[kept..];
            continue;
        }
        found.push(Piece::Plain(before));
        found.push(Piece::Template(name));
        rest = tail;
    }
    found.push(Piece::Plain(rest));
    found
}

/// Refuses a text with a template of unknown name.
pub(super) fn check(text: &str) -> Result<(), String> {
    for piece in pieces(text) {
        if let Piece::Template(name) = piece {
            Source::parse(name)?;
        }
    }
    Ok(())
}

/// Refuses a value with an unknown template in any of its strings.
pub(super) fn check_value(value: &Value) -> Result<(), String> {
    match value {
        Value::String(text) => check(text),
        Value::Array(items) => items.iter().try_for_each(check_value),
        Value::Object(fields) => fields.values().try_for_each(check_value),
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
    }
}

/// Fills the templates of a text; one whose source is missing becomes `<no NAME>`.
pub(super) fn fill(text: &str, asked: &Asked) -> String {
    let fill_one = |piece| match piece {
        Piece::Plain(text) => text.to_owned(),
        Piece::Template(name) => Source::parse(name)
            .ok()
            .and_then(|source| source.read(asked))
            .unwrap_or_else(|| format!("<no {}>", name.trim())),
    };
    pieces(text).into_iter().map(fill_one).collect()
}

/// Fills the templates in every string of a value.
pub(super) fn fill_value(value: &Value, asked: &Asked) -> Value {
    match value {
        Value::String(text) => Value::String(fill(text, asked)),
        Value::Array(items) => items.iter().map(|item| fill_value(item, asked)).collect(),
        Value::Object(fields) => {
            fields.iter().map(|(key, value)| (key.clone(), fill_value(value, asked))).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}
