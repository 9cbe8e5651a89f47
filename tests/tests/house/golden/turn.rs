//! Samples of `turn.v1`, `turn_host.v1`, `engine.v1`, `engine_host.v1` and `approvals.v1`.
//!
//! They must not know an engine.

use dispatch_contracts::event::{TurnEnded, TurnStatus};
use dispatch_contracts::tool::Effect;
use dispatch_contracts::turn::TurnTimings;
use dispatch_contracts::turn::*;
use dispatch_contracts::{Empty, approvals, engine};
use serde_json::json;
use serde_json::value::RawValue;

use super::event::{durable, live, turn_ended, usage};
use super::sample::{CONVERSATION, CWD, Golden, TURN, golden, said};

fn asked() -> Vec<AskParams> {
    let ask = |effect| AskParams {
        conversation_id: CONVERSATION.to_owned(),
        turn_id: TURN.to_owned(),
        tool_call_id: "call_1".to_owned(),
        tool: "shell".to_owned(),
        effect,
        args: json!({"command": "ls"}),
        asked_by: String::new(),
    };
    let mut asked: Vec<AskParams> = [Effect::Read, Effect::Write, Effect::Exec].map(ask).into();
    asked.push(AskParams { asked_by: "guard".to_owned(), ..ask(Effect::Read) });
    asked
}

fn answered() -> Vec<AskReply> {
    vec![
        AskReply::allow(AllowScope::Once, ""),
        AskReply::allow(AllowScope::Conversation, ""),
        AskReply::deny("not on this machine"),
        AskReply::Allow {
            scope: AllowScope::Once,
            args: json!({"command": "ls -l"}).as_object().cloned(),
            by: "user:ann".to_owned(),
        },
        AskReply::Deny { reason: "not on this machine".to_owned(), by: "user:ann".to_owned() },
    ]
}

fn boundaries() -> Vec<BoundaryParams> {
    let asked = |reason| BoundaryParams {
        turn_id: TURN.to_owned(),
        step_id: format!("{TURN}#1"),
        reason,
        usage: usage(),
    };
    [BoundaryReason::Start, BoundaryReason::Step, BoundaryReason::Overflow].map(asked).into()
}

fn left() -> Box<RawValue> {
    RawValue::from_string(r#"{"thread":"th_1"}"#.to_owned()).expect("JSON")
}

fn remembered() -> HistoryReply {
    HistoryReply { messages: vec![said("hello")] }
}

pub(super) fn samples() -> Vec<Golden> {
    let run = |computer: &str| RunParams {
        conversation_id: CONVERSATION.to_owned(),
        turn_id: TURN.to_owned(),
        provider: "demo".to_owned(),
        model: "demo-1".to_owned(),
        system: "Be brief.".to_owned(),
        cwd: CWD.to_owned(),
        computer: computer.to_owned(),
        messages: vec![said("hello")],
        steps_max: 50,
        boundaries: vec![BoundaryReason::Start, BoundaryReason::Overflow],
        engine: String::new(),
        engine_state: None,
    };
    let bridged = || RunParams {
        conversation_id: CONVERSATION.to_owned(),
        turn_id: TURN.to_owned(),
        provider: String::new(),
        model: String::new(),
        system: String::new(),
        cwd: CWD.to_owned(),
        messages: vec![said("hello")],
        computer: String::new(),
        steps_max: 0,
        boundaries: Vec::new(),
        engine: "bridge".to_owned(),
        engine_state: Some(left()),
    };
    let statuses =
        [TurnStatus::Completed, TurnStatus::Failed, TurnStatus::Interrupted, TurnStatus::Cancelled];
    let ends = || statuses.map(|status| TurnEnded { status, ..turn_ended() }).into();
    let commit = CommitParams {
        turn_id: TURN.to_owned(),
        commit_idx: Some(2),
        frames_before: 5,
        messages: vec![said("hello")],
        events: durable(),
        timings: Some(TurnTimings { commit_ms: Some(9), retry_ms: Some(0), ..TurnTimings::default() }),
        engine_state: None,
    };
    let with_state = || CommitParams {
        turn_id: TURN.to_owned(),
        commit_idx: Some(3),
        frames_before: 5,
        messages: vec![],
        events: vec![],
        timings: None,
        engine_state: Some(left()),
    };
    let history = || HistoryParams { turn_id: TURN.to_owned() };
    vec![
        golden::<Run>(vec![run(""), run("vm-1"), bridged()], ends(), live()),
        golden::<engine::Run>(vec![bridged()], ends(), live()),
        golden::<engine::Commit>(vec![with_state()], vec![Empty {}], vec![]),
        golden::<engine::Ask>(asked(), answered(), vec![]),
        golden::<engine::Steering>(vec![Empty {}], vec![SteeringReply::default()], vec![]),
        golden::<engine::Boundary>(boundaries(), vec![BoundaryReply::default()], vec![]),
        golden::<engine::History>(vec![history()], vec![remembered()], vec![]),
        golden::<History>(vec![history()], vec![remembered(), HistoryReply::default()], vec![]),
        golden::<Stop>(
            vec![StopParams { turn_id: TURN.to_owned(), interrupted: true }],
            vec![StopReply { stopping: true }],
            vec![],
        ),
        golden::<Commit>(vec![commit, with_state()], vec![Empty {}], vec![]),
        golden::<Ask>(asked(), answered(), vec![]),
        golden::<Keep>(
            vec![KeepParams { data: "aGVsbG8=".to_owned() }],
            vec![KeepReply { hash: "2cf2".to_owned() }],
            vec![],
        ),
        golden::<approvals::Ask>(asked(), answered(), vec![]),
        golden::<Steering>(
            vec![Empty {}],
            vec![
                SteeringReply { messages: vec![said("and in French")], ids: vec!["item_1".to_owned()] },
                SteeringReply::default(),
            ],
            vec![],
        ),
        golden::<Boundary>(
            boundaries(),
            vec![BoundaryReply { messages: Some(vec![said("a summary")]) }, BoundaryReply::default()],
            vec![],
        ),
    ]
}
