//! Token counts under the names that servers give them.

use dispatch_sdk::contracts::provider::Usage;
use serde_json::Value;

const INPUT: [&str; 2] = ["/prompt_tokens", "/input_tokens"];
const OUTPUT: [&str; 2] = ["/completion_tokens", "/output_tokens"];
const CACHE_READ: [&str; 5] = [
    "/prompt_tokens_details/cached_tokens",
    "/cache_read_tokens",
    "/cache_read_input_tokens",
    "/prompt_cache_hit_tokens",
    "/cached_tokens",
];
const CACHE_WRITE: [&str; 3] =
    ["/prompt_tokens_details/cache_write_tokens", "/cache_write_tokens", "/cache_creation_input_tokens"];

/// Reads a `usage` object; `None` if it counts nothing.
pub(super) fn read(usage: &Value) -> Option<Usage> {
    let count = |names: &[&str]| names.iter().find_map(|name| usage.pointer(name).and_then(number));
    let (input, output) = (count(&INPUT), count(&OUTPUT));
    if input.is_none() && output.is_none() {
        return None;
    }
    Some(Usage {
        input_tokens: input.unwrap_or(0),
        output_tokens: output.unwrap_or(0),
        cache_read_tokens: count(&CACHE_READ),
        cache_write_tokens: count(&CACHE_WRITE),
    })
}

/// Some servers count in floats.
fn number(value: &Value) -> Option<u64> {
    let float = || value.as_f64().filter(|n| *n >= 0.0).map(|n| n as u64);
    value.as_u64().or_else(float)
}
