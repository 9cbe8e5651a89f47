//! What holds for every turn, however it went.

use super::desk::{Desk, TURN};
use dispatch_contracts::event::{DURABLE_TYPES, TOOL_CALL, TOOL_RESULT, TURN_ENDED, TurnEnded};
use serde_json::{Value, json};

/// `ended` is what was answered; absent where no commit was taken, and so no end can be written.
pub(super) fn check(desk: &Desk, ended: Option<&TurnEnded>) {
    let (commits, frames) = (desk.commits(), desk.frames());
    let mut before = 0;
    for (idx, commit) in commits.iter().enumerate() {
        assert_eq!(commit["turn_id"], TURN, "a commit names its turn");
        assert_eq!(commit["commit_idx"], json!(idx), "commits are numbered without a gap");
        let frames_before = commit["frames_before"].as_u64().expect("a commit says what comes before it");
        assert!(
            (before..=frames.len() as u64).contains(&frames_before),
            "{frames_before} of {}",
            frames.len()
        );
        before = frames_before;
    }
    let durable = frames.iter().find(|kind| DURABLE_TYPES.contains(&kind.as_str()));
    assert_eq!(durable, None, "what must be durable is no frame");
    let events = desk.events();
    check_calls(&events);
    let ends: Vec<&Value> = events.iter().filter(|event| event["type"] == TURN_ENDED).collect();
    let Some(ended) = ended else { return };
    assert_eq!(ends.len(), 1, "a turn ends once");
    assert_eq!(events.last().expect("an end")["type"], TURN_ENDED, "nothing comes after the end");
    let written: TurnEnded = serde_json::from_value(ends[0]["data"].clone()).expect("an end");
    assert_eq!(written, *ended, "what is answered is what is written");
}

/// Each call has one result, after it.
fn check_calls(events: &[Value]) {
    let id_of = |event: &Value| event["data"]["tool_call_id"].as_str().expect("a call has an id").to_owned();
    let mut open = Vec::new();
    for event in events {
        if event["type"] == TOOL_CALL {
            open.push(id_of(event));
        } else if event["type"] == TOOL_RESULT {
            let id = id_of(event);
            let called = open.iter().position(|called| *called == id);
            open.remove(called.unwrap_or_else(|| panic!("a result of `{id}`, which was not called")));
        } else if event["type"] == TURN_ENDED {
            assert!(open.is_empty(), "the turn ended and {open:?} have no result");
        }
    }
}
