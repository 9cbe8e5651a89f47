//! What opening a turn does for a caller who may go away: it ends in time, and whether or not somebody still waits.

use dispatch_sdk::{Call, Fault, Host, fault};

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
pub(crate) fn budget_ms(call: &Call) -> u64 {
    match call.budget_ms() {
        0 => OPENING_MAX_MS,
        left_ms => left_ms - (left_ms / 4).min(ANSWER_MS),
    }
}
