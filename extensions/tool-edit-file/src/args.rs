//! The arguments of `edit_file`, and what the model is told about them.

use dispatch_sdk::Fault;
use dispatch_sdk::contracts::tool::{Effect, Locality, ToolSpec};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// A file is edited in a moment, unless its file system is far away.
const TIMEOUT_MS: u64 = 60_000;

#[derive(Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Args {
    pub(crate) path: String,
    pub(crate) old_string: String,
    pub(crate) new_string: String,
    #[serde(default)]
    pub(crate) replace_all: bool,
}

impl Args {
    /// Errors: `invalid`, naming the argument.
    pub(crate) fn parse(args: Map<String, Value>) -> Result<Self, Fault> {
        dispatch_sdk::arguments(args, Self::check)
    }

    fn check(&self) -> Result<(), String> {
        let found = if self.path.is_empty() {
            "`path` must not be empty"
        } else if self.old_string.is_empty() {
            "`old_string` is empty, which is everywhere; give the text to replace"
        } else if self.old_string == self.new_string {
            "`old_string` and `new_string` are the same; nothing would change"
        } else {
            return Ok(());
        };
        Err(found.to_owned())
    }
}

pub(crate) fn spec() -> ToolSpec {
    ToolSpec {
        name: "edit_file".to_owned(),
        description:
            "Replaces a text in a file. `old_string` has to be in the file exactly once, whitespace \
                      included, unless `replace_all` is true. Answers what changed as a unified diff."
                .to_owned(),
        input_schema: json!({
            "type": "object",
            "properties": {
                "path": {
                    "type": "string",
                    "minLength": 1,
                    "description": "File; a relative path starts at the working directory.",
                },
                "old_string": { "type": "string", "minLength": 1, "description": "The text to replace." },
                "new_string": { "type": "string", "description": "What stands there afterwards." },
                "replace_all": {
                    "type": "boolean",
                    "default": false,
                    "description": "Replace it everywhere in the file.",
                },
            },
            "required": ["path", "old_string", "new_string"],
            "additionalProperties": false,
        }),
        effect: Effect::Write,
        exclusive: true,
        locality: Locality::Any,
        timeout_ms: TIMEOUT_MS,
    }
}
