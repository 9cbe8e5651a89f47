//! What changed, as a unified diff of bounded length.

use similar::TextDiff;
use std::time::Duration;

/// Most bytes of a diff.
pub(crate) const DIFF_BYTES_MAX: usize = 8 * 1024;
/// After this long the diff is made more coarsely.
const DIFF_TIME: Duration = Duration::from_millis(500);
/// Lines around a change.
const CONTEXT_LINES: usize = 3;

pub(crate) fn diff(path: &str, before: &str, after: &str) -> String {
    let changes = TextDiff::configure().timeout(DIFF_TIME).diff_lines(before, after);
    let whole = changes.unified_diff().context_radius(CONTEXT_LINES).header(path, path).to_string();
    // Line endings stay as they were; the diff need not show them.
    let mut shown = whole.replace("\r\n", "\n");
    if shown.len() > DIFF_BYTES_MAX {
        shown.truncate(shown.floor_char_boundary(DIFF_BYTES_MAX));
        shown.push_str("\n[… the rest of the diff is left out …]\n");
    }
    shown
}
