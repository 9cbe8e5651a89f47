//! The wish that a turn ends now, whose it is, and what to write down as its end.

use dispatch_contracts::event::TurnStatus;
use dispatch_contracts::fault::DEADLINE;
use std::future::Future;
use std::sync::{Arc, OnceLock};
use tokio_util::sync::CancellationToken;

/// Why a turn was stopped. Only a person's stop ends it as `cancelled`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// Somebody wanted it.
    Person,
    /// The host is going down.
    HostEnds,
    /// Whoever ran the turn let go of it.
    CallerGone,
    /// The time that its caller gave it is over.
    Deadline,
    /// It showed no sign of life for too long.
    Silence,
}

impl StopReason {
    /// What the turn ends as.
    pub const fn status(self) -> TurnStatus {
        match self {
            Self::Person => TurnStatus::Cancelled,
            Self::HostEnds | Self::CallerGone => TurnStatus::Interrupted,
            Self::Deadline | Self::Silence => TurnStatus::Failed,
        }
    }

    /// The word in `turn_ended`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Person | Self::HostEnds => "stopped",
            Self::CallerGone => "caller_gone",
            Self::Deadline | Self::Silence => DEADLINE,
        }
    }

    /// Why a turn that failed so did, for a person.
    pub const fn failure(self) -> Option<&'static str> {
        match self {
            Self::Deadline => Some("the turn took longer than its caller gave it"),
            Self::Silence => Some("the turn showed no sign of life for longer than it may"),
            Self::Person | Self::HostEnds | Self::CallerGone => None,
        }
    }
}

/// Ends a turn in order, from any thread; clones are the same signal.
#[derive(Debug, Clone, Default)]
pub struct StopSignal {
    token: CancellationToken,
    reason: Arc<OnceLock<StopReason>>,
}

impl StopSignal {
    /// A signal that nobody gave yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends the turn. The first reason counts.
    pub fn give(&self, reason: StopReason) {
        self.reason.set(reason).ok();
        self.token.cancel();
    }

    /// Whether it was given.
    pub fn is_given(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Why it was given.
    pub fn reason(&self) -> StopReason {
        self.reason.get().copied().unwrap_or(StopReason::Person)
    }

    /// Ready once it is given.
    pub async fn given(&self) {
        self.token.cancelled().await;
    }

    /// What `work` answers, or `None` if the signal comes first; it wins a tie. Pass an `async` block where starting
    /// the work does something already.
    pub(crate) async fn race<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.given() => None,
            answer = work => Some(answer),
        }
    }
}
