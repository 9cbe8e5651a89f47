//! Samples of `tool.v1`, `filter.v1`, and what `start` contributes of both.
//!
//! They must not know a tool.

use dispatch_contracts::filter::{
    About, Apply, ApplyParams, ApplyReply, FilterOp, FilterSpec, OnFault, Point, Reads, Tightened,
};
use dispatch_contracts::message::{ImageSource, Part};
use dispatch_contracts::tool::{
    Effect, Locality, OutputStream, Run, RunParams, RunReply, ToolFrame, ToolSpec,
};
use serde_json::{Map, Value, json};

use super::event::image;
use super::sample::{CONVERSATION, CWD, Golden, STEP, TURN, golden, raw};

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
    let good = RunReply {
        content: "# Project".to_owned(),
        is_error: false,
        detail: json!({"bytes": 9}),
        ..RunReply::default()
    };
    let seen = RunReply {
        parts: vec![
            Part::Text { text: "the screen".to_owned() },
            image(ImageSource::Data { data: "aGVsbG8=".to_owned() }),
        ],
        ..good.clone()
    };
    let bad = RunReply {
        content: "no such file".to_owned(),
        is_error: true,
        detail: Value::Null,
        ..RunReply::default()
    };
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
    let mut applied: Vec<ApplyParams> = points
        .map(|point| ApplyParams { point, value: Some(raw(&json!([1, 2]))), n_items: 2, about: None })
        .into();
    applied.push(ApplyParams { point: Point::TurnInput, value: None, n_items: 0, about: None });
    applied.push(ApplyParams {
        point: Point::ToolCall,
        value: Some(raw(&json!({}))),
        n_items: 0,
        about: Some(About {
            conversation_id: CONVERSATION.to_owned(),
            turn_id: TURN.to_owned(),
            step_id: STEP.to_owned(),
            provider: "demo".to_owned(),
            model: "demo-1".to_owned(),
            cwd: CWD.to_owned(),
            computer: "vm-1".to_owned(),
        }),
    });
    let changed = ApplyReply { ops, ..ApplyReply::default() };
    let answered = ApplyReply { result: Some(good.clone()), ..ApplyReply::default() };
    let tightened = |policy| ApplyReply { policy: Some(policy), ..ApplyReply::default() };
    let denied = tightened(Tightened::Deny { reason: "not at night".to_owned() });
    let replies = vec![changed, ApplyReply::default(), answered, tightened(Tightened::Ask), denied];
    vec![
        golden::<Run>(
            vec![RunParams { tool_call_id: "call_1".to_owned(), args, cwd: CWD.to_owned() }],
            vec![good.clone(), bad, seen],
            vec![frame(OutputStream::Stdout), frame(OutputStream::Stderr)],
        ),
        golden::<Apply>(applied, replies, vec![]),
    ]
}
