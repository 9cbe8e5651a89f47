//! Samples of `turns.v1`.
//!
//! They must not know how a turn is run.

use dispatch_contracts::turns::*;

use super::event::{body, delta, event};
use super::sample::{CONVERSATION, CWD, Golden, TURN, golden};

pub(super) fn samples() -> Vec<Golden> {
    let id = || CONVERSATION.to_owned();
    let full = StartParams {
        conversation_id: Some(id()),
        input: "hello".to_owned(),
        provider: Some("demo".to_owned()),
        model: Some("demo-1".to_owned()),
        cwd: Some(CWD.to_owned()),
    };
    let least = StartParams {
        conversation_id: None,
        input: "hello".to_owned(),
        provider: None,
        model: None,
        cwd: None,
    };
    let started = StartReply { conversation_id: id(), turn_id: TURN.to_owned(), cursor: 4, durable: true };
    vec![
        golden::<Start>(vec![full, least], vec![started], vec![]),
        golden::<Stop>(
            vec![
                StopParams { conversation_id: id(), turn_id: Some(TURN.to_owned()) },
                StopParams { conversation_id: id(), turn_id: None },
            ],
            vec![StopReply { stopped: true }],
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
    ]
}
