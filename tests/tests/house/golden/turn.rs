//! Samples of `turn.v1`, `turn_host.v1` and `approvals.v1`.
//!
//! They must not know an engine.

use dispatch_contracts::event::{TurnEnded, TurnStatus};
use dispatch_contracts::tool::Effect;
use dispatch_contracts::turn::*;
use dispatch_contracts::{Empty, approvals};
use serde_json::json;

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
        AskReply::Allow { scope: AllowScope::Once },
        AskReply::Allow { scope: AllowScope::Conversation },
        AskReply::Deny { reason: "not on this machine".to_owned() },
    ]
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
    };
    let statuses =
        [TurnStatus::Completed, TurnStatus::Failed, TurnStatus::Interrupted, TurnStatus::Cancelled];
    let ends = statuses.map(|status| TurnEnded { status, ..turn_ended() }).into();
    let commit = CommitParams {
        turn_id: TURN.to_owned(),
        commit_idx: Some(2),
        frames_before: 5,
        messages: vec![said("hello")],
        events: durable(),
    };
    vec![
        golden::<Run>(vec![run(""), run("vm-1")], ends, live()),
        golden::<Stop>(
            vec![StopParams { turn_id: TURN.to_owned(), interrupted: true }],
            vec![StopReply { stopping: true }],
            vec![],
        ),
        golden::<Commit>(vec![commit], vec![Empty {}], vec![]),
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
            vec![BoundaryParams { usage: usage() }],
            vec![BoundaryReply { messages: Some(vec![said("a summary")]) }, BoundaryReply::default()],
            vec![],
        ),
    ]
}
