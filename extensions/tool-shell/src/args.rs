//! The arguments of `shell`, and what the model is told about them.

use dispatch_sdk::contracts::tool::{Effect, Locality, ToolSpec};
use dispatch_sdk::{Fault, whole_number};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};

/// How long a command may run unless the model asks for another time.
const TIMEOUT_MS: u64 = 120_000;
/// How long a command may run at most.
const TIMEOUT_MS_MAX: u64 = 600_000;
/// The tool answers by itself at its timeout; the kernel's deadline is for a tool that does not.
const ANSWER_MS: u64 = 10_000;

#[derive(Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Args {
    pub(crate) command: String,
    #[serde(default = "timeout", deserialize_with = "whole")]
    pub(crate) timeout_ms: u64,
}

impl Args {
    /// Errors: `invalid`, naming the argument.
    pub(crate) fn parse(args: Map<String, Value>) -> Result<Self, Fault> {
        let args = dispatch_sdk::arguments(args, Self::check)?;
        Ok(Self { timeout_ms: args.timeout_ms.min(TIMEOUT_MS_MAX), ..args })
    }

    fn check(&self) -> Result<(), String> {
        let found = if self.command.trim().is_empty() {
            "`command` is blank; give a shell command line"
        } else if self.command.contains('\0') {
            "`command` holds a NUL, which no command line can"
        } else if self.timeout_ms == 0 {
            "`timeout_ms` must be at least 1"
        } else {
            return Ok(());
        };
        Err(found.to_owned())
    }
}

pub(crate) fn spec() -> ToolSpec {
    ToolSpec {
        name: "shell".to_owned(),
        description:
            "Runs a command line with `sh -c` in the working directory and answers its output, both \
                      streams together. It has no input and no terminal. When it ends, all that it started \
                      ends, background processes too."
                .to_owned(),
        input_schema: json!({
            "type": "object",
            "properties": {
                "command": {
                    "type": "string",
                    "minLength": 1,
                    "description": "The command line.",
                },
                "timeout_ms": {
                    "type": "integer",
                    "minimum": 1,
                    "maximum": TIMEOUT_MS_MAX,
                    "default": TIMEOUT_MS,
                    "description": "Milliseconds after which it is killed.",
                },
            },
            "required": ["command"],
            "additionalProperties": false,
        }),
        effect: Effect::Exec,
        exclusive: true,
        locality: Locality::Any,
        timeout_ms: TIMEOUT_MS_MAX + ANSWER_MS,
    }
}

fn timeout() -> u64 {
    TIMEOUT_MS
}

/// JSON Schema calls `20.0` an integer, and some models write it so.
fn whole<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    let number = serde_json::Number::deserialize(from)?;
    whole_number(&number)
        .ok_or_else(|| serde::de::Error::custom(format!("`{number}` is no whole number of milliseconds")))
}
