//! The strict reading of `messages`: roles, contents, and tool calls paired with their results.

use serde_json::Value;

use super::super::script::{Feature, Script};
use super::refusal::{Refusal, is_name, refuse, takes};

const ROLES: [&str; 5] = ["system", "developer", "user", "assistant", "tool"];

const MESSAGE_FIELDS: [&str; 10] = [
    "role",
    "content",
    "name",
    "tool_calls",
    "tool_call_id",
    "refusal",
    "audio",
    "reasoning",
    "reasoning_content",
    "reasoning_details",
];

/// Refuses a history that a strict provider refuses.
pub(super) fn check_messages(script: &Script, messages: &Value) -> Result<(), Refusal> {
    let Some(messages) = messages.as_array().filter(|list| !list.is_empty()) else {
        return refuse("messages", "`messages` is not a list of at least one message");
    };
    // The ids called by the last assistant message that have no result yet.
    let mut unanswered: Vec<&str> = Vec::new();
    for (idx, message) in messages.iter().enumerate() {
        let at = format!("messages[{idx}]");
        let role = check_shape(script, message, &at)?;
        if role == "tool" {
            take_result(message, &mut unanswered, &at)?;
            continue;
        }
        if !unanswered.is_empty() {
            return refuse_unanswered(&unanswered, at);
        }
        if role == "assistant" {
            unanswered = check_assistant(message, &at)?;
        }
    }
    match unanswered.is_empty() {
        true => Ok(()),
        false => refuse_unanswered(&unanswered, "messages".into()),
    }
}

fn refuse_unanswered(ids: &[&str], at: String) -> Result<(), Refusal> {
    let ids = ids.join("`, `");
    refuse(at, format!("tool calls without a result directly after them: `{ids}`"))
}

fn check_shape<'m>(script: &Script, message: &'m Value, at: &str) -> Result<&'m str, Refusal> {
    let Some(role) = message["role"].as_str().filter(|role| ROLES.contains(role)) else {
        return refuse(format!("{at}.role"), format!("unknown role `{}`", message["role"]));
    };
    if role == "developer" && !takes(script, Feature::DeveloperRole) {
        return refuse(format!("{at}.role"), "unknown role `developer`");
    }
    for field in message.as_object().into_iter().flat_map(|m| m.keys()) {
        let misplaced = match field.as_str() {
            "tool_call_id" => role != "tool",
            "content" | "role" | "name" => false,
            _ => role != "assistant",
        };
        if misplaced || !MESSAGE_FIELDS.contains(&field.as_str()) {
            return refuse(
                format!("{at}.{field}"),
                format!("unknown field `{field}` in a message of `{role}`"),
            );
        }
    }
    check_content(script, role, &message["content"], at)?;
    Ok(role)
}

fn check_content(script: &Script, role: &str, content: &Value, at: &str) -> Result<(), Refusal> {
    let at = format!("{at}.content");
    match content {
        Value::String(_) => Ok(()),
        Value::Null if role == "assistant" => Ok(()),
        Value::Array(_) if !takes(script, Feature::ArrayContent) => refuse(at, "`content` is not a string"),
        Value::Array(parts) if !parts.is_empty() => {
            match parts.iter().position(|part| !is_part(role, part)) {
                None => Ok(()),
                Some(idx) => refuse(
                    format!("{at}[{idx}]"),
                    format!("a part of this kind is not allowed in a message of `{role}`"),
                ),
            }
        }
        Value::Array(_) => refuse(at, "`content` is an empty list"),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {
            refuse(at, "`content` is neither a string nor a list of parts")
        }
    }
}

fn is_part(role: &str, part: &Value) -> bool {
    match part["type"].as_str() {
        Some("text") => part["text"].is_string(),
        Some("refusal") => role == "assistant" && part["refusal"].is_string(),
        Some("image_url") => role == "user" && part["image_url"]["url"].is_string(),
        Some("input_audio") => role == "user" && part["input_audio"]["data"].is_string(),
        Some("file") => role == "user" && part["file"].is_object(),
        Some(_) | None => false,
    }
}

fn take_result(message: &Value, unanswered: &mut Vec<&str>, at: &str) -> Result<(), Refusal> {
    let at = format!("{at}.tool_call_id");
    let Some(id) = message["tool_call_id"].as_str() else {
        return refuse(at, "a tool result without `tool_call_id`");
    };
    match unanswered.iter().position(|open| *open == id) {
        Some(idx) => {
            unanswered.remove(idx);
            Ok(())
        }
        None => refuse(at, format!("an orphan tool result: no open call has the id `{id}`")),
    }
}

/// Answers the ids that must have results next.
fn check_assistant<'m>(message: &'m Value, at: &str) -> Result<Vec<&'m str>, Refusal> {
    let Some(calls) = message.get("tool_calls") else {
        return match has_content(message) {
            true => Ok(Vec::new()),
            false => refuse(at, "an assistant message with neither content nor calls"),
        };
    };
    let at = format!("{at}.tool_calls");
    let Some(calls) = calls.as_array().filter(|calls| !calls.is_empty()) else {
        return refuse(at, "`tool_calls` is not a list of at least one call");
    };
    let mut ids = Vec::new();
    for (idx, call) in calls.iter().enumerate() {
        let at = format!("{at}[{idx}]");
        let id = check_call(call, &at)?;
        if ids.contains(&id) {
            return refuse(at, format!("two calls have the id `{id}`"));
        }
        ids.push(id);
    }
    Ok(ids)
}

fn has_content(message: &Value) -> bool {
    let filled = |value: &Value| match value {
        Value::String(text) => !text.is_empty(),
        Value::Array(parts) => parts.iter().any(|part| part["text"] != ""),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => false,
    };
    filled(&message["content"]) || filled(&message["refusal"])
}

fn check_call<'m>(call: &'m Value, at: &str) -> Result<&'m str, Refusal> {
    if call["type"] != "function" {
        return refuse(format!("{at}.type"), "a call's `type` is not `function`");
    }
    let Some(id) = call["id"].as_str().filter(|id| !id.is_empty()) else {
        return refuse(format!("{at}.id"), "a call without an id");
    };
    let function = &call["function"];
    if !function["name"].as_str().is_some_and(is_name) {
        return refuse(format!("{at}.function.name"), format!("`{}` is not a tool's name", function["name"]));
    }
    let arguments = function["arguments"].as_str();
    let valid = arguments.is_some_and(|text| serde_json::from_str::<Value>(text).is_ok());
    match valid {
        true => Ok(id),
        false => refuse(
            format!("{at}.function.arguments"),
            format!("the arguments of `{id}` are not a string of valid JSON"),
        ),
    }
}
