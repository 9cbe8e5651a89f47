//! Which offered tool does what is wished, and what its argument is called. It must not know how a tool works.

use crate::step::ToolCall;
use dispatch_sdk::contracts::provider::ToolOffer;
use serde_json::{Value, json};

/// What the demo can use a tool for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Purpose {
    /// Reading a file.
    Read,
    /// Running a command line.
    Run,
    /// Replacing a text in a file.
    Change,
}

impl Purpose {
    pub(crate) fn tool_name(self) -> &'static str {
        match self {
            Self::Read => "read_file",
            Self::Run => "shell",
            Self::Change => "edit_file",
        }
    }

    /// For each value that the tool needs, likely names of the argument, the likeliest first.
    fn argument_names(self) -> &'static [&'static [&'static str]] {
        const PATH: &[&str] = &["path", "file_path", "file", "filename"];
        match self {
            Self::Read => &[PATH],
            Self::Run => &[&["command", "cmd", "script", "command_line"]],
            Self::Change => &[PATH, &["old_text", "old_string", "old"], &["new_text", "new_string", "new"]],
        }
    }
}

/// A call of the tool for `purpose`; `None` if it is not offered or takes nothing that the demo could fill.
pub(crate) fn call(purpose: Purpose, values: &[&str], tools: &[ToolOffer]) -> Option<ToolCall> {
    let offer = tools.iter().find(|offer| offer.name == purpose.tool_name())?;
    let mut args = serde_json::Map::new();
    for (idx, (value, likely)) in values.iter().zip(purpose.argument_names()).enumerate() {
        let name = argument_name(likely, idx, &offer.input_schema)?;
        let value = match offer.input_schema["properties"][&name]["type"].as_str() {
            Some("array") => json!(["sh", "-c", value]),
            Some(_) | None => json!(value),
        };
        args.insert(name, value);
    }
    Some(ToolCall { name: offer.name.clone(), args_text: Value::Object(args).to_string() })
}

/// The likeliest name that the schema has, else its required argument at this place.
fn argument_name(likely: &[&str], idx: usize, schema: &Value) -> Option<String> {
    let properties = schema["properties"].as_object()?;
    let likely = likely.iter().copied().find(|name| properties.contains_key(*name));
    let required = || schema["required"][idx].as_str().filter(|name| properties.contains_key(*name));
    likely.or_else(required).map(str::to_owned)
}
