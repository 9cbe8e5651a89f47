//! The arguments of `write_file`, and what the model is told about them.

use dispatch_sdk::Fault;
use dispatch_sdk::contracts::tool::{Effect, Locality, ToolSpec};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// A file is written in a moment, unless its file system is far away.
const TIMEOUT_MS: u64 = 60_000;

#[derive(Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Args {
    pub(crate) path: String,
    pub(crate) content: String,
    /// Only `true` allows it.
    #[serde(default)]
    pub(crate) overwrite: bool,
}

impl Args {
    /// Errors: `invalid`, naming the argument.
    pub(crate) fn parse(args: Map<String, Value>) -> Result<Self, Fault> {
        dispatch_sdk::arguments(args, |args: &Self| {
            if args.path.is_empty() { Err("`path` must not be empty".to_owned()) } else { Ok(()) }
        })
    }
}

pub(crate) fn spec() -> ToolSpec {
    ToolSpec {
        name: "write_file".to_owned(),
        description: "Writes a whole text file and makes missing directories above it. A file that is there \
                      stays as it is unless `overwrite` is true; to change a part of it, edit it instead."
            .to_owned(),
        input_schema: json!({
            "type": "object",
            "properties": {
                "path": {
                    "type": "string",
                    "minLength": 1,
                    "description": "File; a relative path starts at the working directory.",
                },
                "content": { "type": "string", "description": "All that the file shall hold." },
                "overwrite": {
                    "type": "boolean",
                    "default": false,
                    "description": "Replace a file that is there.",
                },
            },
            "required": ["path", "content"],
            "additionalProperties": false,
        }),
        effect: Effect::Write,
        exclusive: true,
        locality: Locality::Any,
        timeout_ms: TIMEOUT_MS,
    }
}
