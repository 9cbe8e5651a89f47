//! When an endpoint asks to be tried again, out of its headers.

use std::time::UNIX_EPOCH;

/// The longest wait an endpoint may ask for, in ms; a longer one is cut to it. It is longer than anybody waits, so that what
/// was cut is not mistaken for a wait that can be kept.
pub(crate) const RETRY_AFTER_MS_MAX: u64 = 7 * 24 * 60 * 60 * 1000;

/// Reads `retry-after-ms` (milliseconds), else `retry-after` (seconds or an HTTP date), into ms from now on.
///
/// A date counts from the answer's own `date` if it has one, because the two clocks may differ.
pub(crate) fn retry_after_ms<'h>(header: impl Fn(&str) -> Option<&'h str>, now_ms: u64) -> Option<u64> {
    let wait_ms = match header("retry-after-ms").and_then(number) {
        Some(wait_ms) => wait_ms,
        None => {
            let text = header("retry-after")?;
            match number(text) {
                Some(seconds) => seconds * 1000.0,
                None => {
                    let sent_ms = header("date").and_then(date_ms).unwrap_or(now_ms);
                    date_ms(text)?.saturating_sub(sent_ms) as f64
                }
            }
        }
    };
    // The cast saturates.
    Some((wait_ms.ceil() as u64).min(RETRY_AFTER_MS_MAX))
}

/// A number of at least 0; `inf` and `nan` are none.
fn number(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0)
}

fn date_ms(text: &str) -> Option<u64> {
    let at = httpdate::parse_http_date(text.trim()).ok()?;
    u64::try_from(at.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok()
}
