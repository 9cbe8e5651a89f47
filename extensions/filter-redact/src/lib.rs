//! The filters `redact` and `redact-output`: put `[redacted:<kind>]` in the place of secrets in the `content` and the text
//! `parts` of tool results and in the lines of live output.
//!
//! It knows shapes, not meanings: what looks like no key stays. It sees no result's `detail`, because no filter does, and
//! of live output no more than whole lines, so a key of several lines passes there. It must not log, keep or send on what
//! it finds.
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

const RESULT: &str = "redact";
const OUTPUT: &str = "redact-output";
/// Late, so that it sees what other filters made.
const PRIORITY: i32 = 900;

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

/// What is read of a tool result, and of live output.
#[derive(Deserialize)]
#[serde(untagged)]
enum Text {
    Result {
        content: String,
        #[serde(default)]
        parts: Vec<Value>,
    },
    Output {
        text: String,
    },
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
        let filter = |name: &str, point| FilterSpec {
            name: name.to_owned(),
            point,
            priority: PRIORITY,
            reads: Reads::All,
            on_fault: OnFault::Closed,
        };
        let filters = vec![filter(RESULT, Point::ToolResult), filter(OUTPUT, Point::ToolOutput)];
        Ok(Contributions { filters, ..Contributions::default() })
    }
}

impl Redact {
    /// Errors: `broken` the value is neither a tool result nor output; both points are fail-closed, so it is not shown.
    async fn apply(self: Arc<Self>, _call: Call, params: ApplyParams) -> Result<ApplyReply, Fault> {
        let value = params.value.ok_or_else(|| Fault::new(BROKEN, "there is no text to look at"))?;
        // The text of the parser's error could hold a part of the value.
        let found: Text = serde_json::from_str(value.get()).map_err(|_| {
            Fault::new(BROKEN, "cannot read what the tool said: neither `content` nor `text` is a text")
        })?;
        let (at, text, parts) = match found {
            Text::Result { content, parts } => ("content", content, parts),
            Text::Output { text } => ("text", text, Vec::new()),
        };
        let replace = |at: &str, value| FilterOp::Replace { at: Value::from(at), value };
        let mut ops: Vec<FilterOp> =
            self.redactor.redact(&text).map(|text| replace(at, Value::from(text))).into_iter().collect();
        ops.extend(self.redacted(parts).map(|parts| replace("parts", Value::from(parts))));
        Ok(ApplyReply { ops, ..ApplyReply::default() })
    }

    /// The parts with their texts redacted; `None` = as they were.
    fn redacted(&self, mut parts: Vec<Value>) -> Option<Vec<Value>> {
        let mut changed = false;
        for text in parts.iter_mut().filter_map(|part| part.get_mut("text")) {
            if let Some(redacted) = text.as_str().and_then(|text| self.redactor.redact(text)) {
                *text = Value::from(redacted);
                changed = true;
            }
        }
        changed.then_some(parts)
    }
}

#[cfg(test)]
mod tests;
