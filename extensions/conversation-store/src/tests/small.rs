//! Keys, titles, blocks, watchers' queues.

use crate::block::{Block, Piece, ROW_TEXT_BYTES_MAX};
use crate::head::title_of;
use crate::keys::{self, Index};
use crate::turn_log::{Failed, TurnLog, UNWRITTEN_BYTES_MAX};
use crate::watcher::{Frame, LiveEvent, Next, WATCHER_QUEUE_BYTES_MAX, WATCHER_QUEUE_MAX, Watcher};
use dispatch_sdk::contracts::event::{Delta, Event, EventBody, NOTICE, TEXT_DELTA, TOOL_OUTPUT};
use dispatch_sdk::{Fault, fault};
use serde_json::value::to_raw_value;

fn text(step_id: &str, text: &str) -> EventBody {
    let data = Delta { step_id: step_id.to_owned(), text: text.to_owned() };
    EventBody { kind: TEXT_DELTA.to_owned(), data: to_raw_value(&data).unwrap() }
}

fn body(kind: &str, data: serde_json::Value) -> EventBody {
    EventBody { kind: kind.to_owned(), data: to_raw_value(&data).unwrap() }
}

fn pieces(events: Vec<EventBody>) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for event in events {
        Piece::of(event, &mut pieces).unwrap();
    }
    pieces
}

/// The rows that events become when they come one after another, as `(seq_first, seq, data)`.
fn rows(events: Vec<EventBody>) -> Vec<(u64, u64, serde_json::Value)> {
    let mut blocks: Vec<Block> = Vec::new();
    for (seq, piece) in (1..).zip(pieces(events)) {
        let rest = match blocks.last_mut() {
            Some(block) => block.join(piece, seq, 0),
            None => Err(piece),
        };
        blocks.extend(rest.err().map(|piece| Block::new(piece, seq, 0)));
    }
    let row = |block: &Block| {
        let row = block.row("t");
        (row.seq_first, row.seq, serde_json::from_str(row.data.get()).unwrap())
    };
    blocks.iter().map(row).collect()
}

#[test]
fn keys_sort_as_their_numbers_and_later_activity_sorts_first() {
    assert!(keys::row("c", 9) < keys::row("c", 10));
    assert!(keys::row("c", u64::MAX) < keys::rows_end("c"));
    assert!(keys::rows_end("c") < keys::row("c1", 0) || keys::row("c1", u64::MAX) < keys::row("c", 0));
    for index in [Index::Listed, Index::Archived] {
        assert!(index.start() < index.entry(u64::MAX, "-") && index.entry(0, "zz") < index.end());
        assert!(index.entry(2, "a") < index.entry(1, "a"));
        assert!(index.entry(2, "zz") < index.before(2) && index.before(2) < index.entry(1, "a"));
    }
    assert!(Index::Listed.end() <= Index::Archived.start(), "neither holds entries of the other");
}

#[test]
fn a_title_is_the_first_line_cut_by_characters() {
    assert_eq!(title_of("\n\n  Grüße \t\nsecond"), "Grüße");
    assert_eq!(title_of("  \n\ttabs\there  \nmore"), "tabs here", "control characters are spaces");
    assert_eq!(title_of(&"ä".repeat(80)), "ä".repeat(80));
    assert_eq!(title_of(&"ä".repeat(100)), format!("{}…", "ä".repeat(80)));
    assert_eq!(title_of(" \n "), "");
}

#[test]
fn deltas_of_another_step_stream_or_kind_begin_a_new_row() {
    let out = |id: &str, stream: &str, text: &str| {
        body(TOOL_OUTPUT, serde_json::json!({ "tool_call_id": id, "stream": stream, "text": text }))
    };
    let found = rows(vec![
        text("t#1", "a"),
        text("t#1", "b"),
        text("t#2", "c"),
        out("x", "stdout", "d"),
        out("x", "stdout", "e"),
        out("x", "stderr", "f"),
        body(NOTICE, serde_json::json!({ "code": "n", "message": "m" })),
        text("t#2", "g"),
    ]);
    let expected = vec![
        (1, 2, serde_json::json!({ "step_id": "t#1", "text": "ab" })),
        (3, 3, serde_json::json!({ "step_id": "t#2", "text": "c" })),
        (4, 5, serde_json::json!({ "tool_call_id": "x", "stream": "stdout", "text": "de" })),
        (6, 6, serde_json::json!({ "tool_call_id": "x", "stream": "stderr", "text": "f" })),
        (7, 7, serde_json::json!({ "code": "n", "message": "m" })),
        (8, 8, serde_json::json!({ "step_id": "t#2", "text": "g" })),
    ];
    assert_eq!(found, expected);
}

#[test]
fn no_row_holds_more_text_than_its_bound_and_none_is_lost() {
    let long = "é".repeat(ROW_TEXT_BYTES_MAX);
    let found = rows(vec![text("s", "x"), text("s", &long), text("s", "y")]);
    let texts: Vec<&str> = found.iter().map(|(_, _, data)| data["text"].as_str().unwrap()).collect();
    assert!(texts.iter().all(|text| text.len() <= ROW_TEXT_BYTES_MAX));
    assert_eq!(texts.concat(), format!("x{long}y"));
    assert_eq!(found.len(), 4);
}

#[test]
fn a_live_event_that_no_row_can_hold_is_refused() {
    let event = body(NOTICE, serde_json::Value::String("x".repeat(1024 * 1024)));
    assert!(Piece::of(event, &mut Vec::new()).unwrap_err().is(fault::TOO_LARGE));
}

fn frame(seq: u64) -> std::sync::Arc<Frame> {
    let data = to_raw_value(&serde_json::json!({})).unwrap();
    let (conversation_id, kind) = ("c".to_owned(), NOTICE.to_owned());
    Frame::new(&Event {
        seq,
        seq_first: None,
        conversation_id,
        turn_id: None,
        at: 0,
        kind,
        data,
        rebased: false,
    })
}

#[test]
fn a_live_event_is_written_as_any_other() {
    let data = to_raw_value(&serde_json::json!({ "text": "\u{1f600}\"" })).unwrap();
    let (seq, at, kind) = (7, 1_763_700_000_000, TEXT_DELTA.to_owned());
    let (conversation_id, turn_id) = ("c-1".to_owned(), "t\"1".to_owned());
    let live =
        LiveEvent { seq, conversation_id: &conversation_id, turn_id: &turn_id, at, kind: &kind, data: &data };
    let live = Frame::live(&live);
    let turn_id = Some(turn_id);
    let whole = Event { seq, seq_first: None, conversation_id, turn_id, at, kind, data, rebased: false };
    let whole = Frame::new(&whole);
    assert_eq!((live.seq, &live.json[..]), (whole.seq, &whole.json[..]));
}

#[test]
fn a_watcher_with_a_full_queue_is_sent_to_the_log_and_holds_nothing() {
    let watcher = Watcher::new();
    assert!(matches!(watcher.next(), Next::Behind));
    watcher.attach();
    for seq in 1..=WATCHER_QUEUE_MAX as u64 {
        watcher.push(&frame(seq));
    }
    assert!(matches!(watcher.next(), Next::Frame(frame) if frame.seq == 1));
    watcher.push(&frame(WATCHER_QUEUE_MAX as u64 + 1));
    watcher.push(&frame(WATCHER_QUEUE_MAX as u64 + 2));
    assert!(matches!(watcher.next(), Next::Behind));
    watcher.push(&frame(5000));
    assert!(matches!(watcher.next(), Next::Behind));
}

#[test]
fn a_watcher_that_holds_too_many_bytes_is_sent_to_the_log() {
    let watcher = Watcher::new();
    watcher.attach();
    let data = to_raw_value(&"x".repeat(WATCHER_QUEUE_BYTES_MAX / 2)).unwrap();
    let (conversation_id, kind) = ("c".to_owned(), NOTICE.to_owned());
    let large =
        Event { seq: 1, seq_first: None, conversation_id, turn_id: None, at: 0, kind, data, rebased: false };
    for _ in 0..3 {
        watcher.push(&Frame::new(&large));
    }
    assert!(matches!(watcher.next(), Next::Behind));
}

/// A store that does not keep up must not cost memory without end.
#[test]
fn live_text_beyond_its_bound_is_refused_with_what_the_store_said() {
    let mut log = TurnLog::new(0, u64::MAX);
    let part = "x".repeat(ROW_TEXT_BYTES_MAX);
    let mut n_taken = 0;
    let refused = loop {
        match log.live(pieces(vec![text("s", &part)]), 0, &mut |_, _| n_taken += 1) {
            Ok(()) => assert!(n_taken * ROW_TEXT_BYTES_MAX <= UNWRITTEN_BYTES_MAX),
            Err(fault) => break fault,
        }
    };
    assert!(refused.is(fault::OVERLOADED));
    let cut = log.cut(0);
    log.fail(&cut, Failed::Clean, &Fault::new("no_space", "full"));
    let refused = log.live(pieces(vec![text("s", &part)]), 0, &mut |_, _| ()).unwrap_err();
    assert!(refused.is("no_space"));
    let cut = log.cut(0);
    log.settle(&cut);
    log.live(pieces(vec![text("s", &part)]), 0, &mut |_, _| ()).unwrap();
}
