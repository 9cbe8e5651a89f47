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
        archived: false,
    }
}

fn archived() -> Conversation {
    Conversation { archived: true, ..idle() }
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
    let joined = Event { seq_first: Some(1), ..plain.clone() };
    let page = EventsParams { conversation_id: id(), after: Some(2), before: Some(9), limit: 100 };
    vec![
        golden::<Get>(
            vec![GetParams { conversation_id: id() }],
            vec![conversation(), idle(), archived()],
            vec![],
        ),
        golden::<List>(
            vec![
                ListParams { limit: 20, before: Some(AT), ..ListParams::default() },
                ListParams::default(),
                ListParams { limit: 0, before: Some(AT), before_id: Some(id()), archived: true },
            ],
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
            vec![plain, rebased, of_no_turn, joined],
        ),
        golden::<OpenTurns>(
            vec![Empty {}],
            vec![OpenTurnsReply { conversations: vec![conversation()] }],
            vec![],
        ),
        golden::<History>(
            vec![
                HistoryParams { conversation_id: id(), since: Some(2), before: Some(9), limit: 100 },
                HistoryParams { conversation_id: id(), ..HistoryParams::default() },
            ],
            vec![HistoryReply {
                messages: vec![PlacedMessage { position: 2, message: said("hello") }],
                has_older: true,
                has_newer: false,
                messages_total: 3,
                skipped: 0,
            }],
            vec![],
        ),
    ]
}

fn writing() -> Vec<Golden> {
    vec![
        golden::<Create>(
            vec![
                CreateParams {
                    conversation_id: Some(id()),
                    title: Some("hello".to_owned()),
                    cwd: Some(CWD.to_owned()),
                    provider: Some("demo".to_owned()),
                    model: Some("demo-1".to_owned()),
                },
                CreateParams::default(),
            ],
            vec![CreateReply { conversation: idle(), durable: true }],
            vec![],
        ),
        golden::<Rename>(
            vec![RenameParams { conversation_id: id(), title: "hello".to_owned() }],
            vec![conversation()],
            vec![],
        ),
        golden::<Archive>(
            vec![ArchiveParams { conversation_id: id(), archived: true }],
            vec![archived()],
            vec![],
        ),
        golden::<Adopt>(
            vec![AdoptParams {
                conversation_id: id(),
                turn_id: turn(),
                dead_host_id: HOST.to_owned(),
                host_id: HOST.to_owned(),
            }],
            vec![AdoptReply { adopted: true, created_at: AT }],
            vec![],
        ),
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
