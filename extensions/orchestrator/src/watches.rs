//! The watches that are open. It must not know what they show.

use std::sync::Arc;
use tokio::sync::watch;

/// The watches that are open, and whether they are to end when they have shown everything.
pub(crate) struct Watches {
    n_open: watch::Sender<usize>,
    drained: watch::Sender<bool>,
}

impl Watches {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { n_open: watch::Sender::new(0), drained: watch::Sender::new(false) })
    }

    /// Counts one more, as long as it is held.
    pub(crate) fn enter(self: &Arc<Self>) -> Watching {
        self.n_open.send_modify(|n| *n += 1);
        Watching { watches: Arc::clone(self) }
    }

    /// True from the moment on when nothing is written any more.
    pub(crate) fn drained(&self) -> watch::Receiver<bool> {
        self.drained.subscribe()
    }

    /// Nothing is written any more: lets every watch show what is there and end, and waits until they have.
    pub(crate) async fn end(&self) {
        self.drained.send_replace(true);
        // The sender is a field of `self`, so the channel cannot close while this is awaited.
        let _ = self.n_open.subscribe().wait_for(|n| *n == 0).await;
    }
}

/// An open watch; dropping it ends it.
pub(crate) struct Watching {
    watches: Arc<Watches>,
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.watches.n_open.send_modify(|n| *n -= 1);
    }
}
