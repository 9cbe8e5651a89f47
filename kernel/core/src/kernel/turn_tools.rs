//! What is contributed, as a turn may use it.
//!
//! It must not know when a turn asks.

use super::{RecordState, Shared};
use dispatch_turn::{TurnLimits, TurnTools};

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
