//! Samples of `turns.v1`.
//!
//! They must not know how a turn is run.

use dispatch_contracts::conversations::StopWish;
use dispatch_contracts::event::{AllowScope, ApprovalDecision, DeniedBy, TurnError};
use dispatch_contracts::filter::Point;
use dispatch_contracts::message::ToolStatus;
use dispatch_contracts::provider::{FaultClass, Finish, ModelInfo};
use dispatch_contracts::tool::Effect;
use dispatch_contracts::turns::*;
use serde_json::json;

use super::event::{body, delta, event, turn_ended, usage};
use super::provider::provider_spec;
use super::sample::{AT, CONVERSATION, CWD, Golden, STEP, TURN, golden};

fn change(point: Point, ops: Vec<ExplainedOp>) -> ExplainedChange {
    ExplainedChange {
        point,
        filter: "redact".to_owned(),
        tool_call_id: Some("call_1".to_owned()),
        duration_ms: Some(2),
        ops,
        answered: false,
        policy: None,
    }
}

fn explained() -> ExplainReply {
    let replace = ExplainedOp {
        op: "replace".to_owned(),
        at: Some(json!("content")),
        before: Some(json!("key: k")),
        after: Some(json!("key: [redacted:config]")),
        cut: true,
    };
    let append = ExplainedOp {
        op: "append".to_owned(),
        at: None,
        before: None,
        after: Some(json!({"type": "text", "text": "hello"})),
        cut: false,
    };
    let tool = ExplainedTool {
        tool_call_id: "call_1".to_owned(),
        name: "shell".to_owned(),
        effect: Some(Effect::Exec),
        status: Some(ToolStatus::Denied),
        duration_ms: Some(0),
        denied_by: Some(DeniedBy::Approval),
        approval: Some(ExplainedApproval {
            decision: Some(ApprovalDecision::Deny),
            by: "user:ann".to_owned(),
            scope: None,
            waited_ms: Some(1200),
            args: String::new(),
        }),
        reason: "`shell` was not run: the user said no".to_owned(),
    };
    let changed = ExplainedTool {
        denied_by: None,
        approval: Some(ExplainedApproval {
            decision: Some(ApprovalDecision::Allow),
            scope: Some(AllowScope::Once),
            args: r#"{"command":"ls"}"#.to_owned(),
            ..ExplainedApproval::default()
        }),
        ..tool.clone()
    };
    let open = ExplainedTool {
        tool_call_id: "call_2".to_owned(),
        effect: None,
        status: None,
        duration_ms: None,
        denied_by: None,
        approval: None,
        reason: String::new(),
        ..tool.clone()
    };
    let step = ExplainedStep {
        step_id: STEP.to_owned(),
        timing: Some(StepTiming { first_ms: Some(200), stream_ms: 700, step_ms: 710 }),
        finish: Some(Finish::ToolCalls),
        usage: Some(usage()),
        retries: vec![ExplainedRetry {
            attempt: 1,
            delay_ms: 500,
            class: FaultClass::RateLimited,
            message: "the endpoint asked to wait".to_owned(),
        }],
        changes: vec![change(Point::ToolResult, vec![replace])],
        tools: vec![tool, open, changed],
    };
    let error = TurnError {
        code: "auth".to_owned(),
        class: Some(FaultClass::Auth),
        message: "the endpoint refused the key".to_owned(),
        retry_after_ms: None,
        http_status: Some(401),
    };
    ExplainReply {
        conversation_id: CONVERSATION.to_owned(),
        turn_id: TURN.to_owned(),
        started_at: AT,
        provider: "demo".to_owned(),
        model: "demo-1".to_owned(),
        changes: vec![ExplainedChange {
            tool_call_id: None,
            duration_ms: None,
            ..change(Point::TurnInput, vec![append])
        }],
        steps: vec![step, ExplainedStep { step_id: STEP.to_owned(), ..ExplainedStep::default() }],
        notices: vec![ExplainedNotice {
            code: "filter_failed".to_owned(),
            message: "a filter failed and was passed over".to_owned(),
        }],
        error: Some(error),
        ended: Some(turn_ended()),
        stop: Some(StopWish { at: AT + 400, by: "user:ann".to_owned() }),
        incomplete: true,
    }
}

fn explained_least() -> ExplainReply {
    ExplainReply {
        model: String::new(),
        changes: vec![],
        steps: vec![],
        notices: vec![],
        error: None,
        ended: None,
        stop: None,
        incomplete: false,
        ..explained()
    }
}

pub(super) fn samples() -> Vec<Golden> {
    let id = || CONVERSATION.to_owned();
    let full = StartParams {
        conversation_id: Some(id()),
        input: "hello".to_owned(),
        parts: vec![],
        provider: Some("demo".to_owned()),
        model: Some("demo-1".to_owned()),
        cwd: Some(CWD.to_owned()),
        engine: None,
    };
    let least = StartParams { input: "hello".to_owned(), ..StartParams::default() };
    let bridged = StartParams { engine: Some("bridge".to_owned()), ..least.clone() };
    let image = InputPart::Image { media_type: "image/png".to_owned(), data: "aGVsbG8=".to_owned() };
    let shown = StartParams { parts: vec![image], ..least.clone() };
    let started = StartReply { conversation_id: id(), turn_id: TURN.to_owned(), cursor: 4, durable: true };
    vec![
        golden::<Start>(vec![full, least, bridged, shown], vec![started], vec![]),
        golden::<Stop>(
            vec![
                StopParams { conversation_id: id(), turn_id: Some(TURN.to_owned()) },
                StopParams { conversation_id: id(), turn_id: None },
            ],
            vec![
                StopReply { stopped: true, requested: false },
                StopReply { stopped: false, requested: true },
            ],
            vec![],
        ),
        golden::<Watch>(
            vec![
                WatchParams { conversation_id: id(), after: 4, until_turn: Some(TURN.to_owned()) },
                WatchParams { conversation_id: id(), after: 0, until_turn: None },
            ],
            vec![WatchReply { cursor: 12 }],
            vec![event(5, body(dispatch_contracts::event::TEXT_DELTA, &delta("Hello")))],
        ),
        golden::<Models>(
            vec![ModelsParams { provider: Some("demo".to_owned()) }, ModelsParams::default()],
            vec![ModelsReply {
                providers: vec![
                    ProviderModels {
                        provider: provider_spec(),
                        models: vec![ModelInfo { id: "demo-1".to_owned(), context_tokens_max: Some(8192) }],
                        fault: String::new(),
                    },
                    ProviderModels {
                        provider: provider_spec(),
                        models: vec![],
                        fault: "the endpoint did not answer".to_owned(),
                    },
                ],
            }],
            vec![],
        ),
        golden::<Explain>(
            vec![
                ExplainParams { conversation_id: id(), turn_id: Some(TURN.to_owned()) },
                ExplainParams { conversation_id: id(), turn_id: None },
            ],
            vec![explained(), explained_least()],
            vec![],
        ),
    ]
}
