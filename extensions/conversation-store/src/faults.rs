//! The refusals of this store, each worded once.

use crate::head::Head;
use dispatch_sdk::contracts::conversations::{APPEND_ITEMS_MAX, HistoryTooLarge, TURN_IN_FLIGHT};
use dispatch_sdk::contracts::event::TurnStatus;
use dispatch_sdk::contracts::storage::{CORRUPT, NO_SPACE, VALUE_BYTES_MAX};
use dispatch_sdk::{Fault, fault};

/// Most bytes of the id of a turn or host.
const TURN_ID_BYTES_MAX: usize = 256;

pub(crate) fn missing(id: &str) -> Fault {
    Fault::new(fault::NOT_FOUND, format!("there is no conversation `{id}`"))
}

pub(crate) fn not_open(id: &str, turn_id: &str) -> Fault {
    let message = format!(
        "turn `{turn_id}` is not open in conversation `{id}` by this instance; begin a turn before writing to it"
    );
    Fault::new(fault::CONFLICT, message)
}

/// The turn that is to end has ended.
pub(crate) fn ended(id: &str, turn_id: &str, status: Option<TurnStatus>) -> Fault {
    let status = serde_json::to_value(status).expect("a word always encodes");
    let how = status.as_str().map(|word| format!(" as `{word}`")).unwrap_or_default();
    let message = format!("turn `{turn_id}` of conversation `{id}` has ended{how}; there is nothing to stop");
    Fault::new(fault::CONFLICT, message).with_detail(serde_json::json!({ "status": status }))
}

pub(crate) fn turn_in_flight(id: &str, head: &Head) -> Fault {
    let open = head.open_turn();
    let turn_id = open.as_ref().map_or("", |open| open.turn_id.as_str());
    let message = format!(
        "cannot begin a turn in conversation `{id}`: turn `{turn_id}` is open; wait for its end, or stop it (`turns.stop`); `dispatch doctor` says if its host is not known to live"
    );
    let detail = serde_json::to_value(&open).expect("a struct of strings always encodes");
    Fault::new(TURN_IN_FLIGHT, message).with_detail(detail)
}

/// Refuses a cursor above every number that may have been shown: what it waits for would never come.
pub(crate) fn check_cursor(id: &str, head: &Head, after: u64) -> Result<(), Fault> {
    if after <= head.seq_reserved.max(head.seq_last) {
        return Ok(());
    }
    let message = format!(
        "the cursor {after} is above the last number of conversation `{id}`, {}; it is of another store: read from the beginning",
        head.seq_last
    );
    Err(Fault::new(fault::INVALID, message).with_detail(serde_json::json!({ "seq_last": head.seq_last })))
}

pub(crate) fn exists(id: &str) -> Fault {
    let message =
        format!("cannot make conversation `{id}`: it exists; choose another id, or begin a turn in it");
    Fault::new(fault::CONFLICT, message)
}

/// The turn to adopt is not the open one, or another host's.
pub(crate) fn not_of(id: &str, turn_id: &str, host_id: &str, head: &Head) -> Fault {
    let found = match head.open_turn() {
        Some(open) => format!("turn `{}` of host `{}` is", open.turn_id, open.host_id),
        None => "none is".to_owned(),
    };
    let message = format!(
        "cannot adopt turn `{turn_id}` of host `{host_id}` in conversation `{id}`: {found} open there"
    );
    Fault::new(fault::CONFLICT, message)
}

/// This process runs the turn already.
pub(crate) fn runs_here(id: &str, turn_id: &str) -> Fault {
    let message =
        format!("cannot adopt turn `{turn_id}` of conversation `{id}`: this process runs it already");
    Fault::new(fault::CONFLICT, message)
}

/// How many items a page holds: 0 = as many as there may be; more than those is `invalid`.
pub(crate) fn limit(limit: usize, limit_max: usize) -> Result<usize, Fault> {
    match limit {
        0 => Ok(limit_max),
        limit if limit <= limit_max => Ok(limit),
        limit => {
            let message = format!(
                "a page of {limit} is larger than {limit_max}; ask for less, or for 0 to get as many"
            );
            Err(Fault::new(fault::INVALID, message))
        }
    }
}

pub(crate) fn busy(id: &str, attempts: usize) -> Fault {
    let message = format!(
        "cannot write to conversation `{id}`: others changed it {attempts} times meanwhile; try again"
    );
    Fault::new(fault::CONFLICT, message)
}

pub(crate) fn too_large(what: &str, bytes: usize) -> Fault {
    let message = format!("a `{what}` of {bytes} bytes is larger than {VALUE_BYTES_MAX}; shorten it");
    Fault::new(fault::TOO_LARGE, message)
}

/// Refuses what is no id of a turn.
pub(crate) fn check_turn_id(id: &str) -> Result<(), Fault> {
    if (1..=TURN_ID_BYTES_MAX).contains(&id.len()) {
        return Ok(());
    }
    let message = format!("the id of a turn or host has {} bytes; use 1 to {TURN_ID_BYTES_MAX}", id.len());
    Err(Fault::new(fault::INVALID, message))
}

/// Refuses more items than one call may bring.
pub(crate) fn check_items(n: usize) -> Result<(), Fault> {
    if n > APPEND_ITEMS_MAX {
        let message = format!(
            "{n} events and messages in one call are more than {APPEND_ITEMS_MAX}; send them in several"
        );
        return Err(Fault::new(fault::INVALID, message));
    }
    Ok(())
}

/// The history would be longer than one request may send.
pub(crate) fn history_too_large(id: &str, found: HistoryTooLarge) -> Fault {
    let HistoryTooLarge { history_bytes, input_bytes, bytes_max } = found;
    let message = format!(
        "cannot begin a turn in conversation `{id}`: its history has {history_bytes} bytes and the input {input_bytes}, \
         and a request sends at most {bytes_max}; begin a new conversation"
    );
    let detail = serde_json::to_value(found).expect("a struct of numbers always encodes");
    Fault::new(fault::TOO_LARGE, message).with_detail(detail)
}

/// The whole history was asked for, and is more than one answer holds.
pub(crate) fn only_in_pages(id: &str, bytes_max: usize) -> Fault {
    let message = format!(
        "the history of conversation `{id}` has more than {bytes_max} bytes; read it in pages, with `bytes_max`"
    );
    Fault::new(fault::TOO_LARGE, message)
}

pub(crate) fn unreadable(key: &str, why: &serde_json::Error) -> Fault {
    Fault::new(CORRUPT, format!("the entry `{key}` cannot be read: {why}; it is kept as it is"))
}

/// The turn was begun before, and is over.
pub(crate) fn begun_before(id: &str, turn_id: &str) -> Fault {
    let message = format!(
        "cannot begin turn `{turn_id}` in conversation `{id}`: it was begun before and has ended; a turn runs once, \
         begin one with a new id"
    );
    Fault::new(fault::CONFLICT, message)
}

/// The host to bury is none that anybody waits for.
pub(crate) fn nothing_open(host_id: &str) -> Fault {
    let message = format!(
        "cannot bury host `{host_id}`: it holds no turn open; name the `host_id` of a conversation's `open_turn`"
    );
    Fault::new(fault::NOT_FOUND, message)
}

/// The host to bury is none that is dead.
pub(crate) fn lives(host_id: &str) -> Fault {
    let message = format!("cannot bury host `{host_id}`: it lives; stop its process first");
    Fault::new(fault::CONFLICT, message)
}

pub(crate) fn unreadable_head(id: &str, why: &serde_json::Error) -> Fault {
    let message = format!("the head of conversation `{id}` cannot be read: {why}; it is kept as it is");
    Fault::new(CORRUPT, message)
}

/// Whether a failed commit is known to have written nothing; after any other fault it may have, or may yet.
pub(crate) fn wrote_nothing(fault: &Fault) -> bool {
    matches!(
        fault.code.as_str(),
        NO_SPACE
            | CORRUPT
            | fault::INVALID
            | fault::TOO_LARGE
            | fault::NOT_REQUIRED
            | fault::NO_SERVICE
            | fault::UNKNOWN_VERB
            | fault::OVERLOADED
            | fault::TOO_DEEP
    )
}
