//! Ids of tool calls in the form that every server takes: nine of `[A-Za-z0-9]`, the strictest that was seen.
//!
//! Source: Mistral's API and the chat templates of its models, 2026-11: "must be a-z, A-Z, 0-9, with a length of 9".

const LENGTH: usize = 9;
const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// An id made of `text`: the same one each time, and another one for another text but for a chance of 1 in 10^16.
pub(crate) fn nine(text: &str) -> String {
    // FNV-1a, then the finaliser of SplitMix64: both are fixed for ever, unlike the hasher of the standard library.
    let fold = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let mut hash = text.bytes().fold(0xcbf2_9ce4_8422_2325, fold);
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^= hash >> 31;
    let mut id = String::with_capacity(LENGTH);
    for _ in 0..LENGTH {
        id.push(char::from(ALPHABET[(hash % 62) as usize]));
        hash /= 62;
    }
    id
}

/// Whether an id has that form already.
pub(crate) fn is_nine(id: &str) -> bool {
    id.len() == LENGTH && id.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::{is_nine, nine};
    use std::collections::HashSet;

    #[test]
    fn ids_are_nine_letters_and_digits_the_same_each_time_and_all_different() {
        assert_eq!(nine("call_PTLP8xhu3uwZk4l3nlnrrJha"), nine("call_PTLP8xhu3uwZk4l3nlnrrJha"));
        let ids: HashSet<String> = (0..100_000).map(|n| nine(&format!("call_{n}"))).collect();
        assert_eq!(ids.len(), 100_000);
        assert!(ids.iter().all(|id| is_nine(id)));
        assert!(!is_nine("call_1234") && !is_nine("abc") && is_nine("aB3456789"));
        // Conversations hold them: they must never become others.
        assert_eq!(nine(""), "FxQfzWoQA");
    }
}
