//! What a call is checked for before anything is opened or written, and how long opening may take.
//!
//! It must not know what is opened.

use crate::faults;
use dispatch_sdk::contracts::conversations as contract;
use dispatch_sdk::{Call, Fault, Host, fault};

/// Most bytes of the id of a turn or host.
const TURN_ID_BYTES_MAX: usize = 256;

/// How long opening a turn may take for a caller that waits without an end.
const OPENING_MAX_MS: u64 = 30_000;
/// What is kept of a caller's time for the answer.
const ANSWER_MS: u64 = 2_000;

/// Runs in a task of its own what opens a turn: a caller that goes away must not leave one open that nobody here knows.
pub(crate) async fn on_its_own<T: Send + 'static>(
    host: &Host,
    opening: impl Future<Output = Result<T, Fault>> + Send + 'static,
) -> Result<T, Fault> {
    let opened = host.runtime()?.spawn(opening).await;
    opened.map_err(|e| Fault::new(fault::PANICKED, format!("the task that opens a turn failed: {e}")))?
}

/// How long opening a turn may take: what is left of the caller's time, less what the answer takes. Nothing is opened
/// for a caller that has gone.
pub(crate) fn opening_ms(call: &Call) -> u64 {
    match call.budget_ms() {
        0 => OPENING_MAX_MS,
        left_ms => left_ms - (left_ms / 4).min(ANSWER_MS),
    }
}

pub(crate) fn check_turn_id(id: &str) -> Result<(), Fault> {
    if (1..=TURN_ID_BYTES_MAX).contains(&id.len()) {
        return Ok(());
    }
    let message = format!("the id of a turn or host has {} bytes; use 1 to {TURN_ID_BYTES_MAX}", id.len());
    Err(Fault::new(fault::INVALID, message))
}

pub(crate) fn check_items(n: usize) -> Result<(), Fault> {
    if n > contract::APPEND_ITEMS_MAX {
        return Err(faults::too_many("events and messages", n, contract::APPEND_ITEMS_MAX));
    }
    Ok(())
}
