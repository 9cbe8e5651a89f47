//! The arguments of `read_file`, and what the model is told about them.

use dispatch_sdk::contracts::tool::{Effect, Locality, ToolSpec};
use dispatch_sdk::{Fault, whole_number};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};

/// Lines or entries of one answer unless the model asks for another number.
const LIMIT: u64 = 500;
/// Lines or entries of one answer at most.
pub(crate) const LIMIT_MAX: u64 = 5_000;
/// A file is read in a moment, unless its file system is far away.
const TIMEOUT_MS: u64 = 60_000;

#[derive(Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Args {
    pub(crate) path: String,
    /// First line, or entry of a directory, from 1.
    #[serde(default = "first", deserialize_with = "whole")]
    pub(crate) offset: u64,
    #[serde(default = "limit", deserialize_with = "whole")]
    pub(crate) limit: u64,
}

impl Args {
    /// Errors: `invalid`, naming the argument.
    pub(crate) fn parse(args: Map<String, Value>) -> Result<Self, Fault> {
        let args = dispatch_sdk::arguments(args, |args: &Self| {
            if args.path.is_empty() || args.offset == 0 || args.limit == 0 {
                return Err("`path` must not be empty, `offset` and `limit` count from 1".to_owned());
            }
            Ok(())
        })?;
        Ok(Self { limit: args.limit.min(LIMIT_MAX), ..args })
    }
}

pub(crate) fn spec(name: &str) -> ToolSpec {
    ToolSpec {
        name: name.to_owned(),
        description:
            "Reads a text file, or lists a directory. Lines come as `number: text`; a note at the end \
                      says with which `offset` to go on. Very long lines are cut."
                .to_owned(),
        input_schema: json!({
            "type": "object",
            "properties": {
                "path": {
                    "type": "string",
                    "minLength": 1,
                    "description": "File or directory; a relative path starts at the working directory.",
                },
                "offset": {
                    "type": "integer",
                    "minimum": 1,
                    "default": first(),
                    "description": "First line to show, counted from 1.",
                },
                "limit": {
                    "type": "integer",
                    "minimum": 1,
                    "maximum": LIMIT_MAX,
                    "default": LIMIT,
                    "description": "Most lines to show.",
                },
            },
            "required": ["path"],
            "additionalProperties": false,
        }),
        effect: Effect::Read,
        exclusive: false,
        locality: Locality::Any,
        timeout_ms: TIMEOUT_MS,
    }
}

fn first() -> u64 {
    1
}

fn limit() -> u64 {
    LIMIT
}

/// JSON Schema calls `20.0` an integer, and some models write it so.
fn whole<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    let number = serde_json::Number::deserialize(from)?;
    whole_number(&number).ok_or_else(|| {
        serde::de::Error::custom(format!("`{number}` is no whole number that a file could have lines of"))
    })
}
