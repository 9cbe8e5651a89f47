//! What a delta is a piece of. It must not know where one begins.

use dispatch_sdk::contracts::provider::StreamFrame;

/// What a delta is a piece of.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Text,
    Reasoning,
}

impl Kind {
    /// The frame that shows such a piece.
    pub(super) fn frame(self, text: String) -> StreamFrame {
        match self {
            Self::Text => StreamFrame::TextDelta { text },
            Self::Reasoning => StreamFrame::ReasoningDelta { text },
        }
    }
}
