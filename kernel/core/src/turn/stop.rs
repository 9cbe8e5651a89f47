//! The wish that a turn ends now, and what to write down as its end.

use dispatch_contracts::event::TurnStatus;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio_util::sync::CancellationToken;

/// Ends a turn in order, from any thread; clones are the same signal.
#[derive(Debug, Clone, Default)]
pub struct StopSignal {
    token: CancellationToken,
    interrupted: Arc<AtomicBool>,
}

impl StopSignal {
    /// A signal that nobody gave yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Somebody stopped the turn: it ends as `cancelled`. The first signal counts.
    pub fn cancel(&self) {
        self.token.cancel();
    }

    /// The host is going down: the turn ends as `interrupted`, unless it was stopped before.
    pub fn interrupt(&self) {
        if !self.token.is_cancelled() {
            self.interrupted.store(true, Ordering::Release);
            self.token.cancel();
        }
    }

    /// Whether it was given.
    pub fn is_given(&self) -> bool {
        self.token.is_cancelled()
    }

    /// What a stopped turn ends as.
    pub(super) fn status(&self) -> TurnStatus {
        if self.interrupted.load(Ordering::Acquire) { TurnStatus::Interrupted } else { TurnStatus::Cancelled }
    }

    /// Ready once it is given.
    pub(super) async fn given(&self) {
        self.token.cancelled().await;
    }

    /// What `work` answers, or `None` if the signal comes first; it wins a tie. Pass an `async` block where starting
    /// the work does something already.
    pub(super) async fn race<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.given() => None,
            answer = work => Some(answer),
        }
    }
}
