//! The compiled input schemas of one turn: each compiled once, when its tool is first called.

use crate::bound::first_chars;
use crate::ctx::Ctx;
use crate::limits::{SCHEMA_ERROR_CHARS_MAX, SCHEMA_ERRORS_MAX};
use dispatch_contracts::tool::ToolSpec;
use jsonschema::Validator;
use serde_json::Value;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// Validators by tool name; a schema that does not compile is kept as what is wrong with it.
#[derive(Default)]
pub(crate) struct Schemas {
    compiled: HashMap<String, Result<Validator, String>>,
}

impl Schemas {
    /// Checks `args` against the tool's schema; the error is for the model. A bad schema is told once, as a notice.
    pub(crate) async fn check(&mut self, ctx: &Ctx<'_>, tool: &ToolSpec, args: &Value) -> Result<(), String> {
        let name = &tool.name;
        let validator = match self.compiled.entry(name.clone()) {
            Entry::Occupied(slot) => slot.into_mut(),
            Entry::Vacant(slot) => {
                let compiled =
                    jsonschema::validator_for(&tool.input_schema).map_err(|source| violation(&source));
                if let Err(source) = &compiled {
                    let message =
                        format!("tool `{name}` cannot be called: its input schema is wrong: {source}");
                    ctx.frames.notice("bad_schema", &message).await;
                }
                slot.insert(compiled)
            }
        };
        let validator = validator.as_ref().map_err(|source| {
            format!("tool `{name}` cannot be called: its own input schema is wrong: {source}")
        })?;
        let wrong: Vec<String> =
            validator.iter_errors(args).take(SCHEMA_ERRORS_MAX).map(|error| violation(&error)).collect();
        if wrong.is_empty() {
            return Ok(());
        }
        Err(format!("the arguments of `{name}` do not fit its schema: {}", wrong.join("; ")))
    }
}

fn violation(error: &jsonschema::ValidationError<'_>) -> String {
    let path = error.instance_path().to_string();
    let message = error.to_string();
    let message = first_chars(&message, SCHEMA_ERROR_CHARS_MAX);
    if path.is_empty() { message.to_owned() } else { format!("at `{path}`: {message}") }
}
