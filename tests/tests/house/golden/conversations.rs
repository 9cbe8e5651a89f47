//! Samples of `conversations.v1`.
//!
//! They must not know a store.

mod beside;

use beside::{grants, hosts};
use dispatch_contracts::Empty;
use dispatch_contracts::conversations::*;
use dispatch_contracts::event::{Event, TEXT_DELTA, TURN_ENDED, TurnStatus};
use dispatch_contracts::provider::Usage;
use dispatch_contracts::turn::TurnTimings;
use serde_json::value::RawValue;

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
        open_turn: Some(OpenTurn { turn_id: turn(), host_id: HOST.to_owned(), begun: false, stop: None }),
        cwd: CWD.to_owned(),
        provider: "demo".to_owned(),
        model: "demo-1".to_owned(),
        engine: String::new(),
        archived: false,
        owner: None,
    }
}

fn bridged() -> Conversation {
    Conversation { engine: "bridge".to_owned(), ..idle() }
}

fn archived() -> Conversation {
    Conversation { archived: true, ..idle() }
}

fn owner() -> Owner {
    Owner { tenant: Some("acme".to_owned()), user: Some("user:ann".to_owned()) }
}

fn owned() -> Conversation {
    let open = OpenTurn { turn_id: turn(), host_id: HOST.to_owned(), begun: true, stop: None };
    Conversation { open_turn: Some(open), owner: Some(owner()), ..conversation() }
}

fn stopping() -> Conversation {
    let open = OpenTurn { turn_id: turn(), host_id: HOST.to_owned(), begun: true, stop: Some(wish()) };
    Conversation { open_turn: Some(open), ..conversation() }
}

fn wish() -> StopWish {
    StopWish { at: AT + 400, by: "user:ann".to_owned() }
}

fn usage() -> Usage {
    Usage { input_tokens: 12, output_tokens: 3, ..Usage::default() }
}

fn timings() -> TurnTimings {
    TurnTimings {
        queue_ms: Some(3),
        prepare_ms: Some(5),
        first_byte_ms: Some(120),
        prefill_ms: Some(140),
        commit_ms: Some(9),
        retry_ms: Some(0),
        duration_ms: Some(900),
    }
}

fn ended_row() -> TurnRow {
    TurnRow {
        seq_last: 12,
        message_last: Some(3),
        status: Some(TurnStatus::Completed),
        ended_at: Some(AT + 900),
        usage: usage(),
        steps: 2,
        timings: timings(),
        ..open_row()
    }
}

fn open_row() -> TurnRow {
    TurnRow {
        turn_id: turn(),
        seq_first: 5,
        seq_last: 6,
        message_first: Some(2),
        message_last: Some(2),
        started_at: AT,
        actor: "user:ann".to_owned(),
        provider: "demo".to_owned(),
        model: "demo-1".to_owned(),
        cwd: CWD.to_owned(),
        computer: "laptop".to_owned(),
        attempt: 1,
        ..TurnRow::default()
    }
}

fn idle() -> Conversation {
    let bare = String::new();
    Conversation { open_turn: None, cwd: bare.clone(), provider: bare.clone(), model: bare, ..conversation() }
}

pub(super) fn samples() -> Vec<Golden> {
    let mut all = reading();
    all.extend(writing());
    all.extend(turns());
    all.extend(hosts());
    all.extend(grants());
    all.push(golden::<KeepBlob>(
        vec![KeepBlobParams { data: "aGVsbG8=".to_owned() }],
        vec![KeepBlobReply { hash: "2cf2".to_owned() }],
        vec![],
    ));
    all.push(golden::<Blob>(
        vec![BlobParams { hash: "2cf2".to_owned() }],
        vec![BlobReply { data: "aGVsbG8=".to_owned() }],
        vec![],
    ));
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
            vec![conversation(), idle(), archived(), owned(), stopping(), bridged()],
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
            vec![
                MessagesParams { conversation_id: id(), ..MessagesParams::default() },
                MessagesParams { conversation_id: id(), after: Some(2), limit: 100, bytes_max: 4_194_304 },
            ],
            vec![
                MessagesReply { messages: vec![said("hello")], skipped: 0, next: None },
                MessagesReply { messages: vec![said("hello")], skipped: 1, next: Some(9) },
            ],
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
            vec![
                OpenTurnsParams::default(),
                OpenTurnsParams {
                    host_id: Some(HOST.to_owned()),
                    after: Some(format!("{HOST}/{CONVERSATION}")),
                    limit: 100,
                },
            ],
            vec![
                OpenTurnsReply { conversations: vec![conversation()], next: None },
                OpenTurnsReply { conversations: vec![], next: Some(format!("{HOST}/{CONVERSATION}")) },
            ],
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
                    engine: None,
                },
                CreateParams::default(),
                CreateParams { engine: Some("bridge".to_owned()), ..CreateParams::default() },
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
            vec![
                AdoptReply { adopted: true, created_at: AT, turn: Some(open_row()), owner: Some(owner()) },
                AdoptReply { created_at: AT, ..AdoptReply::default() },
            ],
            vec![],
        ),
        golden::<Begin>(
            vec![
                BeginParams {
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
                    ..BeginParams::default()
                },
                BeginParams {
                    conversation_id: id(),
                    turn_id: turn(),
                    host_id: HOST.to_owned(),
                    actor: "user:ann".to_owned(),
                    computer: "laptop".to_owned(),
                    attempt: 1,
                    owner: Some(owner()),
                    history_bytes_max: 12_582_912,
                    ..BeginParams::default()
                },
                BeginParams {
                    conversation_id: id(),
                    turn_id: turn(),
                    host_id: HOST.to_owned(),
                    engine: "bridge".to_owned(),
                    tenant: "acme".to_owned(),
                    user: "ann".to_owned(),
                    device: "phone".to_owned(),
                    ..BeginParams::default()
                },
            ],
            vec![BeginReply { cursor: 4, created_at: AT, durable: true }],
            vec![],
        ),
        golden::<Append>(
            vec![
                AppendParams {
                    conversation_id: id(),
                    turn_id: turn(),
                    events: vec![body(TURN_ENDED, &turn_ended())],
                    messages: vec![said("hello")],
                    end_turn: true,
                    summary: None,
                    append_idx: None,
                    engine_state: None,
                },
                AppendParams {
                    conversation_id: id(),
                    turn_id: turn(),
                    events: vec![body(TURN_ENDED, &turn_ended())],
                    end_turn: true,
                    summary: Some(TurnSummary {
                        status: Some(TurnStatus::Completed),
                        usage: Some(usage()),
                        steps: Some(2),
                        timings: timings(),
                    }),
                    append_idx: Some(65_536),
                    ..AppendParams::default()
                },
                AppendParams {
                    conversation_id: id(),
                    turn_id: turn(),
                    engine_state: Some(NewEngineState { engine: "bridge".to_owned(), state: left() }),
                    ..AppendParams::default()
                },
            ],
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
            vec![
                SealParams { conversation_id: id(), turn_id: turn(), dead_host_id: None },
                SealParams { conversation_id: id(), turn_id: turn(), dead_host_id: Some(HOST.to_owned()) },
            ],
            vec![SealReply { sealed: true }],
            vec![],
        ),
    ]
}

fn left() -> Box<RawValue> {
    RawValue::from_string(r#"{"thread":"th_1"}"#.to_owned()).expect("JSON")
}

fn bridged_row() -> TurnRow {
    TurnRow {
        tenant: "acme".to_owned(),
        user: "ann".to_owned(),
        device: "phone".to_owned(),
        engine: "bridge".to_owned(),
        ..open_row()
    }
}

fn turns() -> Vec<Golden> {
    let page = EndedTurnsParams {
        since: AT,
        before: Some(AT + 86_400_000),
        after: Some(format!("{:020}/{CONVERSATION}/{TURN}", AT + 900)),
        limit: 100,
    };
    let ended = EndedTurn {
        conversation_id: id(),
        turn_id: turn(),
        ended_at: AT + 900,
        status: TurnStatus::Completed,
        usage: usage(),
        steps: 2,
        duration_ms: 900,
        provider: "demo".to_owned(),
        model: "demo-1".to_owned(),
        owner: Some(owner()),
    };
    vec![
        golden::<Turn>(
            vec![TurnParams { conversation_id: id(), turn_id: turn() }],
            vec![open_row(), ended_row(), TurnRow { stop: Some(wish()), ..open_row() }, bridged_row()],
            vec![],
        ),
        golden::<EngineState>(
            vec![EngineStateParams { conversation_id: id(), engine: "bridge".to_owned() }],
            vec![EngineStateReply { state: Some(left()) }, EngineStateReply::default()],
            vec![],
        ),
        golden::<RequestStop>(
            vec![
                RequestStopParams { conversation_id: id(), turn_id: turn(), by: "user:ann".to_owned() },
                RequestStopParams { conversation_id: id(), turn_id: turn(), by: String::new() },
            ],
            vec![RequestStopReply { stop: wish(), host_id: HOST.to_owned(), durable: true }],
            vec![],
        ),
        golden::<StopWishes>(
            vec![
                StopWishesParams { host_id: HOST.to_owned(), after: None },
                StopWishesParams { host_id: HOST.to_owned(), after: Some(id()) },
            ],
            vec![
                StopWishesReply {
                    wishes: vec![WishedStop { conversation_id: id(), turn_id: turn(), stop: wish() }],
                    next: Some(id()),
                },
                StopWishesReply::default(),
            ],
            vec![],
        ),
        golden::<EndedTurns>(
            vec![EndedTurnsParams::default(), page.clone()],
            vec![EndedTurnsReply { turns: vec![ended], next: page.after }],
            vec![],
        ),
    ]
}
