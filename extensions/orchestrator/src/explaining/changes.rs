//! What filters changed, with the value before where the log has it.

use dispatch_sdk::contracts::event::FilterChanged;
use dispatch_sdk::contracts::filter::{FilterOp, Point};
use dispatch_sdk::contracts::turns::{EXPLAIN_VALUE_BYTES_MAX, ExplainedChange, ExplainedOp};
use serde_json::Value;
use std::collections::HashMap;

/// A change with its values cut to the bound; what was before comes from [`Known`].
pub(super) fn explained(changed: FilterChanged) -> ExplainedChange {
    let FilterChanged { point, filter, tool_call_id, ops, duration_ms, answered, policy } = changed;
    let ops = ops.into_iter().map(explained_op).collect();
    ExplainedChange { point, filter, tool_call_id, duration_ms, ops, answered, policy }
}

fn explained_op(op: FilterOp) -> ExplainedOp {
    let (op, at, after) = match op {
        FilterOp::Append { value } => ("append", None, Some(value)),
        FilterOp::Insert { at, value } => ("insert", Some(Value::from(at)), Some(value)),
        FilterOp::Replace { at, value } => ("replace", Some(at), Some(value)),
        FilterOp::Remove { at } => ("remove", Some(at), None),
        FilterOp::Unknown => ("unknown", None, None),
    };
    let mut cut = false;
    let after = after.map(|value| bounded(value, &mut cut));
    ExplainedOp { op: op.to_owned(), at, before: None, after, cut }
}

/// The value, or the beginning of its JSON as a text.
fn bounded(value: Value, cut: &mut bool) -> Value {
    let text = value.to_string();
    if text.len() <= EXPLAIN_VALUE_BYTES_MAX {
        return value;
    }
    *cut = true;
    Value::from(&text[..text.floor_char_boundary(EXPLAIN_VALUE_BYTES_MAX)])
}

/// Fields whose value the log tells, within one step. Only fields of objects: positions in a list move.
#[derive(Debug, Default)]
pub(super) struct Known {
    fields: HashMap<(Point, Option<String>, String), (Value, bool)>,
}

impl Known {
    /// What each step's request begins with.
    pub(super) fn of_step(model: &str) -> Self {
        let model = (Value::from(model), false);
        Self { fields: HashMap::from([((Point::ProviderRequest, None, "model".to_owned()), model)]) }
    }

    /// Puts the known value before each operation, and remembers the one after.
    pub(super) fn fill(&mut self, change: &mut ExplainedChange) {
        for op in &mut change.ops {
            let Some(field) = op.at.as_ref().and_then(Value::as_str) else { continue };
            let key = (change.point, change.tool_call_id.clone(), field.to_owned());
            let before = match &op.after {
                Some(after) => self.fields.insert(key, (after.clone(), op.cut)),
                None => self.fields.remove(&key),
            };
            if let Some((before, cut)) = before {
                op.before = Some(before);
                op.cut |= cut;
            }
        }
    }
}
