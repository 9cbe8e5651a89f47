//! How a history is written for one model. It must not know messages.

use crate::ids::{is_nine, nine};
use crate::images::Images;

/// How a history is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style<'s> {
    /// `<provider>/<model>`: whose reasoning is sent back.
    pub(super) producer: &'s str,
    pub(super) reasoning: Sent,
    /// What the model wants back beside reasoning as text goes back.
    pub(super) details: bool,
    pub(super) nine_ids: bool,
    pub(super) images: &'s Images,
    pub(super) shows_images: bool,
}

/// What of the reasoning goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sent {
    Nothing,
    /// What was said since the last user message.
    OfTurn,
    All,
}

impl Style<'_> {
    /// An id on the wire; one that has the strictest form already is not changed.
    pub(super) fn id(self, id: &str) -> String {
        if self.nine_ids && !is_nine(id) { nine(id) } else { id.to_owned() }
    }
}
