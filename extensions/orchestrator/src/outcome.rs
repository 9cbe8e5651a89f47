//! How a run came out, and how its turn ended. It must not know how either is written down.

use dispatch_sdk::Fault;
use dispatch_sdk::contracts::conversations::AppendParams;
use dispatch_sdk::contracts::event::{TurnEnded, TurnError};

/// How the run came out, before anybody looked whether its end was written.
pub(crate) enum Outcome {
    /// The kernel answered.
    Ran(TurnEnded),
    /// It was stopped before it began.
    StoppedBefore,
    /// Whoever asked for it had gone before it was acknowledged; it never began.
    Unacknowledged,
    /// Something broke.
    Broke(Fault),
}

impl Outcome {
    /// The end as the kernel told it, with what was used.
    pub(crate) fn spent(self) -> Option<TurnEnded> {
        match self {
            Self::Ran(ended) => Some(ended),
            Self::StoppedBefore | Self::Unacknowledged | Self::Broke(_) => None,
        }
    }
}

/// How a turn ended.
pub(crate) struct End {
    pub(crate) ended: TurnEnded,
    /// Class or code of what failed it.
    pub(crate) failure: Option<String>,
    pub(crate) n_steps: u64,
    /// The end as it is to be written, and why the store did not take it.
    pub(crate) unwritten: Option<(AppendParams, Fault)>,
}

/// What a failed turn is counted as: the provider's class if it has one, else the fault's code.
pub(crate) fn class_of(error: &TurnError) -> &str {
    error.class.map_or(&error.code, |class| class.code())
}
