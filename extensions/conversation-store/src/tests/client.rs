//! A client as the contract describes one: a cursor, and a screen on which rows replace what they cover.

use super::rig::Watched;
use crate::adopt::TURN_ADOPTED;
use dispatch_sdk::contracts::event::{Event, NOTICE, TEXT_DELTA, TOOL_CALL, TOOL_RESULT, TURN_ENDED};
use serde_json::Value;
use std::collections::BTreeMap;

/// What stands in the log where a turn was adopted.
pub(super) const ADOPTED: &str = "adopted;";

/// What an event says, as a word that ends in `;` and occurs once in a script; a block says several.
pub(super) fn words(event: &Event) -> String {
    let data: Value = serde_json::from_str(event.data.get()).unwrap();
    let of = |key: &str| data[key].as_str().unwrap_or_else(|| panic!("{event:?}")).to_owned();
    match event.kind.as_str() {
        TEXT_DELTA => of("text"),
        NOTICE if data["code"] == TURN_ADOPTED => ADOPTED.to_owned(),
        NOTICE => of("message"),
        TOOL_CALL => format!("call {};", of("tool_call_id")),
        TOOL_RESULT => format!("result {};", of("tool_call_id")),
        TURN_ENDED => format!("end {};", event.turn_id.as_deref().unwrap()),
        kind => format!("{kind} {};", event.turn_id.as_deref().unwrap()),
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Screen {
    /// By the number under which it came.
    shown: BTreeMap<u64, String>,
    pub(super) cursor: u64,
}

impl Screen {
    pub(super) fn take(&mut self, event: &Event) {
        let first = event.seq_first.unwrap_or(event.seq);
        assert!(event.seq > self.cursor && first <= event.seq, "after {}: {event:?}", self.cursor);
        assert_eq!(event.rebased, first <= self.cursor, "after {}: {event:?}", self.cursor);
        self.shown.retain(|seq, _| *seq < first);
        self.shown.insert(event.seq, words(event));
        self.cursor = event.seq;
    }

    /// What is shown under the numbers of a row.
    pub(super) fn under(&self, first: u64, last: u64) -> String {
        self.shown.range(first..=last).map(|(_, words)| words.as_str()).collect()
    }

    /// What is shown under numbers that none of the rows covers.
    pub(super) fn beside(&self, rows: &[(u64, u64, String)]) -> String {
        let covered = |seq: &u64| rows.iter().any(|(first, last, _)| (first..=last).contains(&seq));
        self.shown.iter().filter(|(seq, _)| !covered(seq)).map(|(_, words)| words.as_str()).collect()
    }
}

pub(super) struct Client {
    pub(super) screen: Screen,
    /// While it is there.
    pub(super) watched: Option<Watched>,
}
