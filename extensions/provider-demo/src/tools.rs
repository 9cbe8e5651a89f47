//! Which offered tool does what is wished, and what its argument is called. It must not know how a tool works.

use crate::ToolCall;
use dispatch_sdk::contracts::provider::ToolOffer;
use serde_json::{Value, json};

/// What the demo can use a tool for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Purpose {
    /// Reading a file.
    Read,
    /// Running a command line.
    Run,
}

impl Purpose {
    pub(crate) fn tool_name(self) -> &'static str {
        match self {
            Self::Read => "read_file",
            Self::Run => "shell",
        }
    }

    /// Likely names of the argument, the likeliest first.
    fn argument_names(self) -> &'static [&'static str] {
        match self {
            Self::Read => &["path", "file_path", "file", "filename"],
            Self::Run => &["command", "cmd", "script", "command_line"],
        }
    }
}

/// A call of the tool for `purpose`; `None` if it is not offered or takes nothing that the demo could fill.
pub(crate) fn call(purpose: Purpose, value: &str, tools: &[ToolOffer]) -> Option<ToolCall> {
    let offer = tools.iter().find(|offer| offer.name == purpose.tool_name())?;
    let name = argument_name(purpose, &offer.input_schema)?;
    let value = match offer.input_schema["properties"][&name]["type"].as_str() {
        Some("array") => json!(["sh", "-c", value]),
        Some(_) | None => json!(value),
    };
    let args_text = json!({ name: value }).to_string();
    Some(ToolCall { name: offer.name.clone(), args_text })
}

/// The likeliest name that the schema has, else its first required argument.
fn argument_name(purpose: Purpose, schema: &Value) -> Option<String> {
    let properties = schema["properties"].as_object()?;
    let likely = purpose.argument_names().iter().copied().find(|name| properties.contains_key(*name));
    let required = || schema["required"][0].as_str().filter(|name| properties.contains_key(*name));
    likely.or_else(required).map(str::to_owned)
}
