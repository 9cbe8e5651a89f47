//! Where the time of a turn goes, as far as the turn itself can tell.

use dispatch_contracts::turn::TurnTimings;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// What was measured so far, in ms.
#[derive(Debug, Default)]
pub(super) struct Timing {
    /// Of the first step.
    first_byte_ms: OnceLock<u64>,
    prefill_ms: OnceLock<u64>,
    commit_ms: AtomicU64,
    retry_ms: AtomicU64,
}

impl Timing {
    /// The first step is over: when its answer began, and when its content did.
    pub(super) fn first_step(&self, first_byte_ms: Option<u64>, prefill_ms: Option<u64>) {
        for (slot, ms) in [(&self.first_byte_ms, first_byte_ms), (&self.prefill_ms, prefill_ms)] {
            ms.map(|ms| slot.get_or_init(|| ms));
        }
    }

    pub(super) fn committed(&self, waited_ms: u64) {
        self.commit_ms.fetch_add(waited_ms, Ordering::Relaxed);
    }

    pub(super) fn waited_to_retry(&self, waited_ms: u64) {
        self.retry_ms.fetch_add(waited_ms, Ordering::Relaxed);
    }

    /// What is told with the last commit; the rest is its caller's to measure.
    pub(super) fn told(&self) -> TurnTimings {
        TurnTimings {
            first_byte_ms: self.first_byte_ms.get().copied(),
            prefill_ms: self.prefill_ms.get().copied(),
            commit_ms: Some(self.commit_ms.load(Ordering::Relaxed)),
            retry_ms: Some(self.retry_ms.load(Ordering::Relaxed)),
            ..TurnTimings::default()
        }
    }
}
