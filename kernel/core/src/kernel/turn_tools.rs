//! What is contributed, as a turn may use it.
//!
//! It must not know when a turn asks.

use super::ports::Renewed;
use super::records::RecordState;
use super::shared::Shared;
use dispatch_turn::{TurnLimits, TurnTools};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Everything a turn with `provider` may use, as it is now; in order of activation, then of registration.
pub(super) fn tools_of(shared: &Shared, provider: &str) -> TurnTools {
    let records = shared.records();
    let active = || records.iter().filter(|record| matches!(record.state, RecordState::Active));
    let tools = active().flat_map(|record| record.contributes.tools.clone()).collect();
    let filters = active().flat_map(|record| record.contributes.filters.clone()).collect();
    let images = active()
        .flat_map(|record| &record.contributes.providers)
        .any(|known| known.name == provider && known.images);
    TurnTools::new(tools, filters, shared.policy, TurnLimits::default()).with_images(images)
}

/// Each time it is asked: what there is, if it changed since the last time.
pub(super) fn renewing(shared: &Arc<Shared>) -> Renewed {
    let shared = Arc::clone(shared);
    let seen = AtomicU64::new(shared.contributed.load(Ordering::Acquire));
    Box::new(move || {
        let now = shared.contributed.load(Ordering::Acquire);
        let before = seen.swap(now, Ordering::AcqRel);
        (now != before).then(|| tools_of(&shared, ""))
    })
}
