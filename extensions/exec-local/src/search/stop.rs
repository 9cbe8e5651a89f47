//! When a search ends early: its call is cancelled, or its time is up.

use dispatch_sdk::contracts::exec::SearchStop;
use std::time::{Duration, Instant};

pub(crate) struct Stop {
    is_cancelled: Box<dyn Fn() -> bool + Send>,
    deadline: Instant,
}

impl Stop {
    pub(crate) fn new(time: Duration, is_cancelled: impl Fn() -> bool + Send + 'static) -> Self {
        let deadline = Instant::now() + time;
        Self { is_cancelled: Box::new(is_cancelled), deadline }
    }

    pub(crate) fn reached(&self) -> Option<SearchStop> {
        if (self.is_cancelled)() {
            Some(SearchStop::Cancelled)
        } else {
            (Instant::now() >= self.deadline).then_some(SearchStop::OutOfTime)
        }
    }
}
