//! How many of something there are now, and a way to wait until there are none. It must not know of what.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Notify;

/// A count of guards.
#[derive(Default)]
pub(crate) struct Gauge {
    n: AtomicUsize,
    emptied: Notify,
}

/// One that is counted until it is dropped.
#[derive(Debug)]
pub(crate) struct Inside(Arc<Gauge>);

impl std::fmt::Debug for Gauge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Gauge({})", self.count())
    }
}

impl Gauge {
    /// One more.
    pub(crate) fn enter(self: &Arc<Self>) -> Inside {
        self.n.fetch_add(1, Ordering::AcqRel);
        Inside(Arc::clone(self))
    }

    /// One more, unless there are `max` already.
    pub(crate) fn enter_up_to(self: &Arc<Self>, max: usize) -> Option<Inside> {
        let inside = self.enter();
        (self.count() <= max).then_some(inside)
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.n.load(Ordering::Acquire)
    }

    /// Waits until there are none.
    pub(crate) async fn empty(&self) {
        loop {
            let emptied = self.emptied.notified();
            tokio::pin!(emptied);
            emptied.as_mut().enable();
            if self.count() == 0 {
                return;
            }
            emptied.await;
        }
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        if self.0.n.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.emptied.notify_waiters();
        }
    }
}
