//! How much one answer of the search tools holds.
//!
//! It must not know what was asked.

/// Paths of one answer at most.
pub(crate) const GLOB_PATHS_MAX: usize = 1_000;
/// Matches of one answer at most.
pub(crate) const GREP_MATCHES_MAX: usize = 500;
/// Bytes of one answer at most.
pub(crate) const OUTPUT_BYTES_MAX: usize = 128 * 1024;
/// Characters of a line that are shown.
pub(crate) const LINE_CHARS_MAX: usize = 500;
/// What all notes together stay below.
const NOTES_BYTES_MAX: usize = 1024;
/// What is left for results.
pub(crate) const RESULTS_BYTES_MAX: usize = OUTPUT_BYTES_MAX - NOTES_BYTES_MAX;
