//! Samples of `tool.v1`, `filter.v1`, and what `start` contributes of both.
//!
//! They must not know a tool.

use dispatch_contracts::filter::{
    Apply, ApplyParams, ApplyReply, FilterOp, FilterSpec, OnFault, Point, Reads,
};
use dispatch_contracts::tool::{
    Effect, Locality, OutputStream, Run, RunParams, RunReply, ToolFrame, ToolSpec,
};
use serde_json::{Map, Value, json};

use super::sample::{CWD, Golden, golden, raw};

pub(super) fn tool_spec() -> ToolSpec {
    ToolSpec {
        name: "read_file".to_owned(),
        description: "Reads a text file.".to_owned(),
        input_schema: json!({"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}),
        effect: Effect::Read,
        exclusive: false,
        locality: Locality::Any,
        timeout_ms: 30_000,
    }
}

pub(super) fn filter_spec() -> FilterSpec {
    FilterSpec {
        name: "trim".to_owned(),
        point: Point::TurnMessages,
        priority: 10,
        reads: Reads::LastMessage,
        on_fault: OnFault::Closed,
    }
}

pub(super) fn samples() -> Vec<Golden> {
    let args = Map::from_iter([("path".to_owned(), json!("README.md"))]);
    let good = RunReply { content: "# Project".to_owned(), is_error: false, detail: json!({"bytes": 9}) };
    let bad = RunReply { content: "no such file".to_owned(), is_error: true, detail: Value::Null };
    let frame = |stream| ToolFrame { stream, text: "hello\n".to_owned() };
    let ops = vec![
        FilterOp::Append { value: json!({"type": "text", "text": "new"}) },
        FilterOp::Insert { at: 0, value: json!("first") },
        FilterOp::Replace { at: json!(1), value: json!("other") },
        FilterOp::Remove { at: json!("temperature") },
    ];
    let points = [
        Point::TurnInput,
        Point::TurnTools,
        Point::TurnMessages,
        Point::ProviderRequest,
        Point::ToolCall,
        Point::ToolResult,
        Point::ToolOutput,
    ];
    let mut applied: Vec<ApplyParams> =
        points.map(|point| ApplyParams { point, value: Some(raw(&json!([1, 2]))), n_items: 2 }).into();
    applied.push(ApplyParams { point: Point::TurnInput, value: None, n_items: 0 });
    vec![
        golden::<Run>(
            vec![RunParams { tool_call_id: "call_1".to_owned(), args, cwd: CWD.to_owned() }],
            vec![good, bad],
            vec![frame(OutputStream::Stdout), frame(OutputStream::Stderr)],
        ),
        golden::<Apply>(applied, vec![ApplyReply { ops }, ApplyReply::default()], vec![]),
    ]
}
