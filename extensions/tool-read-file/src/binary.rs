//! Whether the beginning of a file is text.

/// How much of a file is looked at.
const LOOKED_AT_BYTES: usize = 8 * 1024;
/// A file with more than one byte in so many that is no UTF-8 is not text; one in an old encoding has fewer.
const INVALID_ONE_IN: usize = 4;

pub(crate) fn is_binary(beginning: &[u8]) -> bool {
    let looked_at = &beginning[..beginning.len().min(LOOKED_AT_BYTES)];
    let n_invalid: usize = looked_at.utf8_chunks().map(|chunk| chunk.invalid().len()).sum();
    looked_at.contains(&0) || n_invalid * INVALID_ONE_IN > looked_at.len()
}
