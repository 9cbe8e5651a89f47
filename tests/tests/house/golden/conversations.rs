//! Samples of `conversations.v1`.
//!
//! They must not know a store.

use dispatch_contracts::Empty;
use dispatch_contracts::conversations::*;
use dispatch_contracts::event::{Event, TEXT_DELTA, TURN_ENDED};

use super::event::{body, delta, event, input, started, turn_ended};
use super::sample::{AT, CONVERSATION, CWD, Golden, HOST, TURN, golden, said};

fn id() -> String {
    CONVERSATION.to_owned()
}

fn turn() -> String {
    TURN.to_owned()
}

fn conversation() -> Conversation {
    Conversation {
        id: id(),
        title: "hello".to_owned(),
        created_at: AT,
        active_at: AT + 900,
        seq_last: 12,
        open_turn: Some(OpenTurn { turn_id: turn(), host_id: HOST.to_owned() }),
        cwd: CWD.to_owned(),
        provider: "demo".to_owned(),
        model: "demo-1".to_owned(),
    }
}

fn idle() -> Conversation {
    let bare = String::new();
    Conversation { open_turn: None, cwd: bare.clone(), provider: bare.clone(), model: bare, ..conversation() }
}

pub(super) fn samples() -> Vec<Golden> {
    let mut all = reading();
    all.extend(writing());
    all
}

fn reading() -> Vec<Golden> {
    let plain = event(3, body(TEXT_DELTA, &delta("Hello")));
    let rebased = Event { rebased: true, ..plain.clone() };
    let of_no_turn = Event { turn_id: None, ..plain.clone() };
    let page = EventsParams { conversation_id: id(), after: Some(2), before: Some(9), limit: 100 };
    vec![
        golden::<Get>(vec![GetParams { conversation_id: id() }], vec![conversation(), idle()], vec![]),
        golden::<List>(
            vec![ListParams { limit: 20, before: Some(AT) }, ListParams::default()],
            vec![ListReply { conversations: vec![conversation()], has_older: true }],
            vec![],
        ),
        golden::<Messages>(
            vec![MessagesParams { conversation_id: id() }],
            vec![MessagesReply { messages: vec![said("hello")], skipped: 0 }],
            vec![],
        ),
        golden::<Events>(
            vec![page, EventsParams { conversation_id: id(), after: None, before: None, limit: 0 }],
            vec![EventsReply { events: vec![plain.clone()], has_older: true, has_newer: false, skipped: 0 }],
            vec![],
        ),
        golden::<Watch>(
            vec![WatchParams { conversation_id: id(), after: 2 }],
            vec![Empty {}],
            vec![plain, rebased, of_no_turn],
        ),
    ]
}

fn writing() -> Vec<Golden> {
    vec![
        golden::<Begin>(
            vec![BeginParams {
                conversation_id: id(),
                create: true,
                turn_id: turn(),
                host_id: HOST.to_owned(),
                cwd: CWD.to_owned(),
                provider: "demo".to_owned(),
                model: "demo-1".to_owned(),
                title: "hello".to_owned(),
                events: vec![started(), input()],
                messages: vec![said("hello")],
            }],
            vec![BeginReply { cursor: 4, created_at: AT, durable: true }],
            vec![],
        ),
        golden::<Append>(
            vec![AppendParams {
                conversation_id: id(),
                turn_id: turn(),
                events: vec![body(TURN_ENDED, &turn_ended())],
                messages: vec![said("hello")],
                end_turn: true,
            }],
            vec![AppendReply { seq_last: 12, durable: true }],
            vec![],
        ),
        golden::<Live>(
            vec![LiveParams {
                conversation_id: id(),
                turn_id: turn(),
                events: vec![body(TEXT_DELTA, &delta("Hel"))],
            }],
            vec![Empty {}],
            vec![],
        ),
        golden::<Seal>(
            vec![SealParams { conversation_id: id(), turn_id: turn() }],
            vec![SealReply { sealed: true }],
            vec![],
        ),
    ]
}
