//! Samples of `provider.v1`, `retry.v1` and `prompt.v1`.
//!
//! They must not know a wire.

use dispatch_contracts::Empty;
use dispatch_contracts::prompt::{System, SystemParams, SystemReply};
use dispatch_contracts::provider::*;
use dispatch_contracts::retry::{Decide, DecideParams, DecideReply};
use serde_json::json;

use super::event::usage;
use super::sample::{AT, CONVERSATION, CWD, Golden, golden, said};

const FINISHES: [Finish; 5] =
    [Finish::Stop, Finish::ToolCalls, Finish::Length, Finish::ContentFilter, Finish::Other];

const CLASSES: [FaultClass; 13] = [
    FaultClass::RateLimited,
    FaultClass::ProviderOverloaded,
    FaultClass::ServerError,
    FaultClass::Connect,
    FaultClass::Unreachable,
    FaultClass::WrongEndpoint,
    FaultClass::Truncated,
    FaultClass::Stalled,
    FaultClass::Garbled,
    FaultClass::Auth,
    FaultClass::Quota,
    FaultClass::ContextOverflow,
    FaultClass::BadRequest,
];

/// `detail` of a fault, which no verb names.
pub(super) fn fault_details() -> Vec<ProviderFault> {
    let class = FaultClass::RateLimited;
    vec![ProviderFault { class, retryable: Some(false), retry_after_ms: Some(2000), http_status: Some(429) }]
}

pub(super) fn provider_spec() -> ProviderSpec {
    ProviderSpec {
        name: "demo".to_owned(),
        ready: false,
        reason: "no key; set `DEMO_API_KEY`".to_owned(),
        default_model: "demo-1".to_owned(),
        selectable: true,
        images: false,
    }
}

fn frames() -> Vec<StreamFrame> {
    vec![
        StreamFrame::TextDelta { text: "Hel".to_owned() },
        StreamFrame::ReasoningDelta { text: "A greeting.".to_owned() },
        StreamFrame::ReasoningOpaque { opaque: json!({"signature": "c2ln"}) },
        StreamFrame::ToolCall {
            tool_call_id: "call_1".to_owned(),
            name: "read_file".to_owned(),
            args_text: "{\"path\":\"README.md\"}".to_owned(),
            opaque: serde_json::Value::Null,
        },
        StreamFrame::ToolCall {
            tool_call_id: "call_2".to_owned(),
            name: "read_file".to_owned(),
            args_text: String::new(),
            opaque: json!({"signature": "c2ln"}),
        },
    ]
}

fn requests() -> Vec<StreamParams> {
    let offer = ToolOffer {
        name: "read_file".to_owned(),
        description: "Reads a text file.".to_owned(),
        input_schema: json!({"type": "object"}),
    };
    let full = StreamParams {
        model: "demo-1".to_owned(),
        system: "Be brief.".to_owned(),
        messages: vec![said("hello")],
        tools: vec![offer],
        output_tokens_max: Some(4096),
        temperature: Some(0.5),
    };
    let least = StreamParams {
        model: String::new(),
        system: String::new(),
        messages: vec![said("hello")],
        tools: vec![],
        output_tokens_max: None,
        temperature: None,
    };
    vec![full, least]
}

pub(super) fn samples() -> Vec<Golden> {
    let mut ends: Vec<StreamReply> = FINISHES
        .map(|finish| StreamReply { finish, usage: Some(usage()), model: "demo-1".to_owned() })
        .into();
    ends.push(StreamReply { finish: Finish::Stop, usage: None, model: String::new() });
    let mut asked: Vec<DecideParams> = CLASSES
        .map(|class| DecideParams {
            class,
            provider: "demo".to_owned(),
            attempt: 1,
            retry_after_ms: Some(2000),
            elapsed_ms: 150,
        })
        .into();
    asked.push(DecideParams { retry_after_ms: None, ..asked[0].clone() });
    let model = |id: &str, context_tokens_max| ModelInfo { id: id.to_owned(), context_tokens_max };
    vec![
        golden::<Stream>(requests(), ends, frames()),
        golden::<Models>(
            vec![Empty {}],
            vec![ModelsReply { models: vec![model("demo-1", Some(128_000)), model("demo-2", None)] }],
            vec![],
        ),
        golden::<Decide>(
            asked,
            vec![DecideReply { delay_ms: Some(2000) }, DecideReply { delay_ms: None }],
            vec![],
        ),
        golden::<System>(
            vec![SystemParams {
                conversation_id: CONVERSATION.to_owned(),
                cwd: CWD.to_owned(),
                started_at: AT,
            }],
            vec![
                SystemReply { text: "Be brief.".to_owned(), untrusted: vec![] },
                SystemReply { text: "Be brief.".to_owned(), untrusted: vec!["/srv/p/AGENTS.md".to_owned()] },
            ],
            vec![],
        ),
    ]
}
