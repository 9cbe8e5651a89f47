//! The large frames that were read last: watchers at one place of a log share them instead of each holding its own.
//!
//! It must not know where a frame comes from. A frame that straddles a watcher's cursor is that watcher's alone.

use crate::watcher::Frame;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// Frames of fewer bytes are not worth sharing.
pub(crate) const FRAME_BYTES_MIN: usize = 32 * 1024;
/// Most bytes of frames that are kept; the oldest go first.
const KEPT_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Frames and the first numbers of their rows, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct LargeFrames(Mutex<VecDeque<(RowVersion, u64, Arc<Frame>)>>);

/// The conversation, number and version of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RowVersion {
    pub(crate) id: String,
    pub(crate) seq: u64,
    pub(crate) version: u64,
}

impl LargeFrames {
    /// The frame for a watcher that has seen everything up to `cursor`, if it is there.
    pub(crate) fn get(&self, key: &RowVersion, cursor: u64) -> Option<Arc<Frame>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, _, frame) = kept.iter().find(|(other, first, _)| other == key && *first > cursor)?;
        Some(Arc::clone(frame))
    }

    /// Keeps a frame that straddled nobody's cursor, of a row from `seq_first` on.
    pub(crate) fn keep(&self, key: RowVersion, seq_first: u64, frame: &Arc<Frame>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push_back((key, seq_first, Arc::clone(frame)));
        let mut bytes: usize = kept.iter().map(|(_, _, frame)| frame.json.len()).sum();
        while bytes > KEPT_BYTES_MAX
            && let Some((_, _, oldest)) = kept.pop_front()
        {
            bytes -= oldest.json.len();
        }
    }
}
