//! Where the listener stands: whether it serves, may take work, drains or stops. It must not know requests.

use crate::health::Health;
use dispatch_sdk::Host;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio_util::sync::CancellationToken;

/// The stages of one listener; each is reached once, but for opening the listeners, which may fail.
#[derive(Default)]
pub(crate) struct Standing {
    serving: AtomicBool,
    ready: AtomicBool,
    health: Health,
    /// Cancelled when the drain begins.
    pub(crate) draining: CancellationToken,
    /// Cancelled when the instance stops.
    pub(crate) stop: CancellationToken,
}

impl Standing {
    /// Claims the right to open the listeners; false when they are open already.
    pub(crate) fn begin_to_serve(&self) -> bool {
        !self.serving.swap(true, Ordering::AcqRel)
    }

    /// Opening them failed.
    pub(crate) fn gave_up(&self) {
        self.serving.store(false, Ordering::Release);
    }

    pub(crate) fn is_serving(&self) -> bool {
        self.serving.load(Ordering::Acquire)
    }

    pub(crate) fn is_ready_now(&self) {
        self.ready.store(true, Ordering::Release);
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    /// Whether work may come in, and can be done.
    pub(crate) async fn is_ready(&self, host: &Host) -> bool {
        let may = self.ready.load(Ordering::Acquire) && !self.is_draining() && !self.stop.is_cancelled();
        may && self.health.is_ok(host).await
    }
}
