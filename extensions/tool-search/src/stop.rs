//! When a search ends early: its call is cancelled, or its time is up.

use std::time::{Duration, Instant};

/// How long one search may take.
pub(crate) const SEARCH_MS_MAX: u64 = 20_000;

/// Why a search did not see everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stopped {
    Cancelled,
    OutOfTime,
}

pub(crate) struct Stop {
    is_cancelled: Box<dyn Fn() -> bool + Send>,
    deadline: Instant,
}

impl Stop {
    pub(crate) fn new(time_ms: u64, is_cancelled: impl Fn() -> bool + Send + 'static) -> Self {
        let deadline = Instant::now() + Duration::from_millis(time_ms);
        Self { is_cancelled: Box::new(is_cancelled), deadline }
    }

    pub(crate) fn reached(&self) -> Option<Stopped> {
        if (self.is_cancelled)() {
            Some(Stopped::Cancelled)
        } else {
            (Instant::now() >= self.deadline).then_some(Stopped::OutOfTime)
        }
    }
}
