//! The filter `redact`: puts `[redacted:<kind>]` in the place of secrets in the `content` of tool results.
//!
//! It knows shapes, not meanings: what looks like no key stays. It sees neither live output (`tool_output`) nor a
//! result's `detail`, because no filter does. It must not log, keep or send on what it finds.
#![forbid(unsafe_code)]

mod redactor;
mod shapes;

use dispatch_sdk::contracts::filter::{
    Apply, ApplyParams, ApplyReply, FilterOp, FilterSpec, OnFault, Point, Reads,
};
use dispatch_sdk::fault::{BROKEN, INVALID};
use dispatch_sdk::{Call, Config, Contributions, Extension, Fault, Host, Verbs};
use redactor::Redactor;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use std::sync::Arc;

dispatch_sdk::export!(Redact, settings);

const NAME: &str = "redact";
/// Late, so that it sees what other filters made.
const PRIORITY: i32 = 900;
const CONTENT: &str = "content";

struct Redact {
    redactor: Redactor,
}

/// What is a secret beside the well-known shapes.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    /// Taken out wherever they stand, case and all.
    literals: Vec<String>,
    /// Regular expressions; the whole match is taken out.
    patterns: Vec<String>,
}

/// What is read of a tool result.
#[derive(Deserialize)]
struct ToolResult {
    content: String,
}

impl Extension for Redact {
    fn open(_host: Host, config: Config) -> Result<Self, Fault> {
        let Settings { literals, patterns } = config.parse()?;
        let redactor = Redactor::new(&literals, &patterns).map_err(|what| Fault::new(INVALID, what))?;
        Ok(Self { redactor })
    }

    fn verbs(verbs: &mut Verbs<Self>) {
        verbs.on(Apply, Self::apply);
    }

    async fn start(self: Arc<Self>) -> Result<Contributions, Fault> {
        let filter = FilterSpec {
            name: NAME.to_owned(),
            point: Point::ToolResult,
            priority: PRIORITY,
            reads: Reads::All,
            on_fault: OnFault::Closed,
        };
        Ok(Contributions { filters: vec![filter], ..Contributions::default() })
    }
}

impl Redact {
    /// Errors: `broken` the value is no tool result; the point is fail-closed, so it is not shown.
    async fn apply(self: Arc<Self>, _call: Call, params: ApplyParams) -> Result<ApplyReply, Fault> {
        let value = params.value.ok_or_else(|| Fault::new(BROKEN, "there is no tool result to look at"))?;
        // The text of the parser's error could hold a part of the value.
        let result: ToolResult = serde_json::from_str(value.get())
            .map_err(|_| Fault::new(BROKEN, "cannot read the tool result: its `content` is no text"))?;
        let ops = self
            .redactor
            .redact(&result.content)
            .map(|content| FilterOp::Replace { at: Value::from(CONTENT), value: Value::from(content) });
        Ok(ApplyReply { ops: ops.into_iter().collect() })
    }
}

#[cfg(test)]
mod tests;
