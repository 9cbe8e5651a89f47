//! Samples of every type of event, for the verbs that carry events.
//!
//! They must not know who shows them.

use dispatch_contracts::event::*;
use dispatch_contracts::filter::{FilterOp, Point, Tightened};
use dispatch_contracts::message::{ImageSource, Message, Part, Role, ToolStatus};
use dispatch_contracts::provider::{FaultClass, Finish, Usage};
use dispatch_contracts::tool::{Effect, OutputStream};
use serde::Serialize;
use serde_json::{Value, json};

use super::sample::{AT, CONVERSATION, CWD, STEP, TURN, raw, with_unknown_words};

pub(super) fn usage() -> Usage {
    Usage {
        input_tokens: 1200,
        output_tokens: 80,
        cache_read_tokens: Some(1024),
        cache_write_tokens: Some(64),
    }
}

pub(super) fn body(kind: &str, data: &impl Serialize) -> EventBody {
    EventBody { kind: kind.to_owned(), data: raw(data) }
}

pub(super) fn event(seq: u64, body: EventBody) -> Event {
    Event {
        seq,
        seq_first: None,
        conversation_id: CONVERSATION.to_owned(),
        turn_id: Some(TURN.to_owned()),
        at: AT,
        kind: body.kind,
        data: body.data,
        rebased: false,
    }
}

pub(super) fn delta(text: &str) -> Delta {
    Delta { step_id: STEP.to_owned(), text: text.to_owned() }
}

pub(super) fn started() -> EventBody {
    let data = TurnStarted {
        provider: "demo".to_owned(),
        model: "demo-1".to_owned(),
        cwd: CWD.to_owned(),
        actor: "user:terminal".to_owned(),
        engine: String::new(),
    };
    body(TURN_STARTED, &data)
}

pub(super) fn input() -> EventBody {
    body(INPUT, &json!({"parts": [{"type": "text", "text": "hello"}]}))
}

pub(super) fn turn_ended() -> TurnEnded {
    TurnEnded {
        status: TurnStatus::Completed,
        reason: "stop".to_owned(),
        usage: usage(),
        context_tokens: 1280,
        duration_ms: 900,
    }
}

pub(super) fn image(source: ImageSource) -> Part {
    Part::Image { source, media_type: "image/png".to_owned() }
}

/// A message with every part that there is.
pub(super) fn message() -> Message {
    let text = |text: &str| text.to_owned();
    let parts = vec![
        Part::Text { text: text("hello") },
        Part::Reasoning { text: text("why"), opaque: Value::Null, producer: text("demo/demo-1") },
        Part::ToolCall {
            tool_call_id: text("call_1"),
            name: text("read_file"),
            args: json!({}),
            opaque: Value::Null,
            producer: String::new(),
        },
        Part::ToolResult {
            tool_call_id: text("call_1"),
            name: text("read_file"),
            content: text("# Project"),
            is_error: false,
            status: ToolStatus::Ok,
            parts: vec![],
        },
        image(ImageSource::Blob { hash: text("2cf2") }),
        image(ImageSource::Url { url: text("https://example.com/a.png") }),
        Part::ToolCall {
            tool_call_id: text("call_2"),
            name: text("read_file"),
            args: json!({}),
            opaque: json!({"signature": "c2ln"}),
            producer: text("demo/demo-1"),
        },
        Part::ToolResult {
            tool_call_id: text("call_2"),
            name: text("read_file"),
            content: text("a picture"),
            is_error: false,
            status: ToolStatus::Ok,
            parts: vec![image(ImageSource::Blob { hash: text("2cf2") })],
        },
    ];
    Message { role: Role::Assistant, parts }
}

/// Reads the data of an event whose words are those of a later version.
pub(super) fn later(body: &EventBody) -> Result<(), String> {
    let text = format!("[{}]", body.data);
    match body.kind.as_str() {
        TURN_STARTED => with_unknown_words::<TurnStarted>(&text),
        TEXT_DELTA | REASONING_DELTA => with_unknown_words::<Delta>(&text),
        TOOL_CALL => with_unknown_words::<ToolCalled>(&text),
        APPROVAL_REQUESTED => with_unknown_words::<ApprovalRequested>(&text),
        APPROVAL_RESOLVED => with_unknown_words::<ApprovalResolved>(&text),
        TOOL_OUTPUT => with_unknown_words::<ToolOutput>(&text),
        TOOL_RESULT => with_unknown_words::<ToolResulted>(&text),
        STEP_COMPLETED => with_unknown_words::<StepCompleted>(&text),
        RETRY_SCHEDULED => with_unknown_words::<RetryScheduled>(&text),
        FILTER_CHANGED => with_unknown_words::<FilterChanged>(&text),
        ERROR => with_unknown_words::<TurnError>(&text),
        TURN_ENDED => with_unknown_words::<TurnEnded>(&text),
        INPUT | USAGE | STEERING | NOTICE => Ok(()),
        other => Err(format!("`{other}` has no type here")),
    }
}

/// The types that need no durability: frames of `turn.v1/run`.
pub(super) fn live() -> Vec<EventBody> {
    let output = ToolOutput {
        tool_call_id: "call_1".to_owned(),
        stream: OutputStream::Stdout,
        text: "hello\n".to_owned(),
    };
    let retry = RetryScheduled {
        step_id: STEP.to_owned(),
        attempt: 1,
        delay_ms: 500,
        class: FaultClass::RateLimited,
        message: "the endpoint asked to wait".to_owned(),
    };
    vec![
        body(TEXT_DELTA, &delta("Hel")),
        body(REASONING_DELTA, &delta("A greeting.")),
        body(TOOL_OUTPUT, &output),
        body(RETRY_SCHEDULED, &retry),
        body(NOTICE, &json!({"code": "filter_failed", "message": "a filter failed and was passed over"})),
    ]
}

/// The types that are shown only when they are durable.
pub(super) fn durable() -> Vec<EventBody> {
    let called = ToolCalled {
        step_id: STEP.to_owned(),
        tool_call_id: "call_1".to_owned(),
        name: "read_file".to_owned(),
        args: json!({"path": "README.md"}),
        effect: None,
    };
    let with_effect = ToolCalled { effect: Some(Effect::Read), ..called.clone() };
    let asked = ApprovalRequested {
        step_id: STEP.to_owned(),
        tool_call_id: "call_1".to_owned(),
        tool: "shell".to_owned(),
        effect: Effect::Exec,
        args: json!({"command": "rm -r build"}),
    };
    let allowed = ApprovalResolved {
        step_id: STEP.to_owned(),
        tool_call_id: "call_1".to_owned(),
        tool: "shell".to_owned(),
        decision: ApprovalDecision::Allow,
        by: "user:ann".to_owned(),
        scope: Some(AllowScope::Conversation),
        reason: String::new(),
        args: json!({"command": "ls build"}).as_object().cloned(),
    };
    let refused = ApprovalResolved {
        decision: ApprovalDecision::Deny,
        by: String::new(),
        scope: None,
        reason: "nobody is there to ask".to_owned(),
        args: None,
        ..allowed.clone()
    };
    let withdrawn =
        ApprovalResolved { decision: ApprovalDecision::Withdrawn, reason: String::new(), ..refused.clone() };
    let resulted = ToolResulted {
        step_id: STEP.to_owned(),
        tool_call_id: "call_1".to_owned(),
        name: "read_file".to_owned(),
        status: ToolStatus::Ok,
        content: "# Project".to_owned(),
        duration_ms: 3,
        detail: json!({"path": "/srv/project/README.md"}),
        denied_by: None,
        answered_by: String::new(),
        parts: vec![],
    };
    let without_detail = ToolResulted { status: ToolStatus::Denied, detail: Value::Null, ..resulted.clone() };
    let denied = ToolResulted { denied_by: Some(DeniedBy::Policy), ..without_detail.clone() };
    let answered = ToolResulted {
        answered_by: "replay".to_owned(),
        parts: vec![image(ImageSource::Blob { hash: "2cf2".to_owned() })],
        ..resulted.clone()
    };
    let by_filter = ToolResulted { denied_by: Some(DeniedBy::Filter), ..without_detail.clone() };
    let completed = StepCompleted {
        step_id: STEP.to_owned(),
        finish: Some(Finish::ToolCalls),
        first_ms: Some(200),
        stream_ms: 700,
        step_ms: 710,
    };
    let changed = FilterChanged {
        point: Point::ToolCall,
        filter: "trim".to_owned(),
        tool_call_id: Some("call_1".to_owned()),
        ops: vec![FilterOp::Replace { at: json!("name"), value: json!("read_file") }],
        duration_ms: None,
        answered: false,
        policy: None,
    };
    let changed_in = FilterChanged { duration_ms: Some(2), ..changed.clone() };
    let tightened = FilterChanged {
        answered: true,
        policy: Some(Tightened::Deny { reason: "not at night".to_owned() }),
        ..changed.clone()
    };
    let error = TurnError {
        code: "auth".to_owned(),
        class: Some(FaultClass::Auth),
        message: "the endpoint refused the key".to_owned(),
        retry_after_ms: Some(1000),
        http_status: Some(401),
    };
    vec![
        started(),
        input(),
        body(TOOL_CALL, &called),
        body(TOOL_RESULT, &resulted),
        body(TOOL_RESULT, &without_detail),
        body(USAGE, &json!({"step_id": STEP, "usage": usage()})),
        body(STEP_COMPLETED, &completed),
        body(STEERING, &json!({"messages": [{"role": "user", "parts": [{"type": "text", "text": "stop"}]}]})),
        body(FILTER_CHANGED, &changed),
        body(ERROR, &error),
        body(TURN_ENDED, &turn_ended()),
        body(TOOL_CALL, &with_effect),
        body(TOOL_RESULT, &denied),
        body(FILTER_CHANGED, &changed_in),
        body(APPROVAL_REQUESTED, &asked),
        body(APPROVAL_RESOLVED, &allowed),
        body(APPROVAL_RESOLVED, &refused),
        body(APPROVAL_RESOLVED, &withdrawn),
        body(TOOL_RESULT, &answered),
        body(TOOL_RESULT, &by_filter),
        body(FILTER_CHANGED, &tightened),
    ]
}
