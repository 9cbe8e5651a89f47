//! What a strict Chat Completions provider refuses with 400.
//!
//! Source: the API reference at <https://platform.openai.com/docs/api-reference/chat/create> and the refusals hosts met at stricter servers: orphan tool results, the role `developer`, lists as content, unknown fields.

use serde_json::Value;

use super::script::Script;
use messages::check_messages;
pub(super) use refusal::Refusal;
use refusal::{is_name, refuse};

mod messages;
mod refusal;

const FIELDS: [&str; 37] = [
    "audio",
    "frequency_penalty",
    "include_reasoning",
    "logit_bias",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "messages",
    "metadata",
    "modalities",
    "model",
    "n",
    "parallel_tool_calls",
    "prediction",
    "presence_penalty",
    "prompt_cache_key",
    "provider",
    "reasoning",
    "reasoning_effort",
    "response_format",
    "safety_identifier",
    "seed",
    "service_tier",
    "stop",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "thinking",
    "tool_choice",
    "tools",
    "top_k",
    "top_logprobs",
    "top_p",
    "usage",
    "user",
    "verbosity",
];

/// Refuses what the script's provider would refuse.
pub(super) fn check(script: &Script, body: &Value) -> Result<(), Refusal> {
    let Some(fields) = body.as_object() else {
        return refuse("", "the body is not a JSON object");
    };
    for field in fields.keys() {
        if script.refuses_fields.contains(field) || !FIELDS.contains(&field.as_str()) {
            return refuse(field, format!("unknown field `{field}`"));
        }
    }
    if body["model"].as_str().is_none_or(str::is_empty) {
        return refuse("model", "`model` is not a name");
    }
    check_stream(body)?;
    check_tools(body)?;
    check_messages(script, &body["messages"])
}

fn check_stream(body: &Value) -> Result<(), Refusal> {
    if !matches!(&body["stream"], Value::Null | Value::Bool(_)) {
        return refuse("stream", "`stream` is not a boolean");
    }
    let options = &body["stream_options"];
    if options.is_null() {
        return Ok(());
    }
    if body["stream"] != true {
        return refuse("stream_options", "`stream_options` without `stream: true`");
    }
    if !options.is_object() || !matches!(options["include_usage"], Value::Null | Value::Bool(_)) {
        return refuse("stream_options", "`stream_options` is not `{include_usage: boolean}`");
    }
    Ok(())
}

fn check_tools(body: &Value) -> Result<(), Refusal> {
    let Some(tools) = body.get("tools") else {
        for field in ["tool_choice", "parallel_tool_calls"] {
            if body.get(field).is_some() {
                return refuse(field, format!("`{field}` without `tools`"));
            }
        }
        return Ok(());
    };
    let Some(tools) = tools.as_array().filter(|tools| !tools.is_empty()) else {
        return refuse("tools", "`tools` is not a list of at least one tool");
    };
    let mut names = Vec::new();
    for (idx, tool) in tools.iter().enumerate() {
        let function = &tool["function"];
        let at = format!("tools[{idx}]");
        if tool["type"] != "function" {
            return refuse(format!("{at}.type"), "a tool's `type` is not `function`");
        }
        let Some(name) = function["name"].as_str().filter(|name| is_name(name)) else {
            return refuse(format!("{at}.function.name"), "a tool's name is not 1 to 64 of `a-zA-Z0-9_-`");
        };
        if names.contains(&name) {
            return refuse(format!("{at}.function.name"), format!("two tools are called `{name}`"));
        }
        names.push(name);
        if !matches!(function["description"], Value::Null | Value::String(_)) {
            return refuse(
                format!("{at}.function.description"),
                format!("the description of `{name}` is not a string"),
            );
        }
        if function["parameters"]["type"] != "object" {
            return refuse(
                format!("{at}.function.parameters"),
                format!("the parameters of `{name}` are not a JSON schema of an object"),
            );
        }
    }
    Ok(())
}
