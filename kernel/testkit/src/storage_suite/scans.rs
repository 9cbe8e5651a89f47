//! Ranges: bytewise order, boundaries, both directions, pages.

use super::steps::{commit, keys, put, puts, scan, write};
use crate::Opened;
use dispatch_contracts::storage::{
    CommitParams, KEY_BYTES_MAX, SCAN_BYTES_MAX, SCAN_LIMIT_MAX, ScanParams, VALUE_BYTES_MAX, after_key,
};

/// Keys in bytewise order, which is not that of any language, nor that of UTF-16.
const ORDERED: &[&str] = &[
    "A", "B", "a", "a\u{1}", "a\u{1}b", "a!", "a/b", "aa", "b", "z", "\u{7f}", "ä", "é", "€", "\u{ffff}",
    "😀",
];

pub(super) async fn check(storage: &Opened) {
    check_first(storage).await;
    a_page_ends_at_the_bytes_that_were_asked_for(storage).await;
    keys_come_without_their_values_when_asked_for(storage).await;
}

pub(super) async fn check_first(storage: &Opened) {
    an_empty_store_has_no_entries(storage).await;
    keys_come_in_bytewise_order(storage).await;
    start_is_inclusive_and_end_is_exclusive(storage).await;
    pages_follow_each_other_without_gap_or_repetition(storage).await;
    a_page_has_a_bounded_number_of_entries(storage).await;
    a_page_goes_on_after_the_longest_key(storage).await;
}

fn range(start: &str, end: &str) -> ScanParams {
    ScanParams { start: start.to_owned(), end: end.to_owned(), ..ScanParams::default() }
}

async fn an_empty_store_has_no_entries(storage: &Opened) {
    for reverse in [false, true] {
        let reply = scan(storage, ScanParams { reverse, ..ScanParams::default() }).await;
        assert_eq!((keys(&reply).len(), reply.more), (0, false), "a fresh store is empty");
    }
}

async fn keys_come_in_bytewise_order(storage: &Opened) {
    let mut shuffled: Vec<_> = ORDERED.iter().map(|key| (*key, "1")).collect();
    shuffled.reverse();
    shuffled.rotate_left(5);
    commit(storage, &puts(&shuffled)).await.expect("they are written");
    let reply = scan(storage, ScanParams::default()).await;
    assert_eq!((keys(&reply), reply.more), (ORDERED.to_vec(), false), "ascending is bytewise");
    let reply = scan(storage, ScanParams { reverse: true, ..ScanParams::default() }).await;
    let descending: Vec<_> = ORDERED.iter().rev().copied().collect();
    assert_eq!((keys(&reply), reply.more), (descending, false), "reverse is the same, backwards");
}

async fn start_is_inclusive_and_end_is_exclusive(storage: &Opened) {
    let cases: &[(&str, &str, &[&str])] = &[
        ("a", "b", &["a", "a\u{1}", "a\u{1}b", "a!", "a/b", "aa"]),
        ("a\u{1}", "aa", &["a\u{1}", "a\u{1}b", "a!", "a/b"]),
        ("\u{7f}", "€", &["\u{7f}", "ä", "é"]),
        ("😀", "", &["😀"]),
        ("", "B", &["A"]),
        ("c", "d", &[]),
        ("b", "b", &[]),
        ("b", "a", &[]),
    ];
    for (start, end, expected) in cases {
        let reply = scan(storage, range(start, end)).await;
        assert_eq!((keys(&reply).as_slice(), reply.more), (*expected, false), "[{start:?}, {end:?})");
        let reply = scan(storage, ScanParams { reverse: true, ..range(start, end) }).await;
        let reversed: Vec<_> = expected.iter().rev().copied().collect();
        assert_eq!((keys(&reply), reply.more), (reversed, false), "[{start:?}, {end:?}) in reverse");
    }
}

async fn pages_follow_each_other_without_gap_or_repetition(storage: &Opened) {
    for limit in [1, 3, ORDERED.len() - 1, ORDERED.len()] {
        let ascending = all_pages(storage, limit, false).await;
        assert_eq!(ascending, ORDERED, "ascending pages of {limit}");
        let mut descending = all_pages(storage, limit, true).await;
        descending.reverse();
        assert_eq!(descending, ORDERED, "descending pages of {limit}");
    }
    let exact = scan(storage, ScanParams { limit: ORDERED.len(), ..ScanParams::default() }).await;
    assert!(!exact.more, "a page that holds the last entry has no more after it");
}

async fn all_pages(storage: &Opened, limit: usize, reverse: bool) -> Vec<String> {
    let mut all = Vec::new();
    let mut params = ScanParams { limit, reverse, ..ScanParams::default() };
    loop {
        let reply = scan(storage, params.clone()).await;
        assert!(reply.entries.len() <= limit, "a page has at most `limit` entries");
        all.extend(reply.entries.iter().map(|entry| entry.key.clone()));
        let (Some(last), true) = (all.last(), reply.more) else { return all };
        assert_eq!(reply.entries.len(), limit, "small entries fill a page that has more after it");
        if reverse {
            params.end = last.clone();
        } else {
            params.start = after_key(last);
        }
    }
}

async fn a_page_has_a_bounded_number_of_entries(storage: &Opened) {
    let many = (0..=SCAN_LIMIT_MAX).map(|i| put(&format!("many/{i:05}"), "1")).collect();
    commit(storage, &CommitParams { put: many, ..CommitParams::default() }).await.expect("they are written");
    let reply = scan(storage, range("many/", "many0")).await;
    assert_eq!((reply.entries.len(), reply.more), (SCAN_LIMIT_MAX, true), "limit 0 is the largest");
    let rest = scan(storage, range(&after_key(&reply.entries[SCAN_LIMIT_MAX - 1].key), "many0")).await;
    assert_eq!((keys(&rest), rest.more), (vec!["many/01000"], false));
    let beyond = ScanParams { limit: usize::MAX, reverse: true, ..range("many/", "many0") };
    let reply = scan(storage, beyond).await;
    assert_eq!((reply.entries.len(), reply.more), (SCAN_LIMIT_MAX, true), "a larger limit is the largest");
}

async fn a_page_goes_on_after_the_longest_key(storage: &Opened) {
    let longest = format!("page/{}", "k".repeat(KEY_BYTES_MAX - "page/".len()));
    write(storage, &longest, "1").await;
    write(storage, "page/l", "2").await;
    let reply = scan(storage, range(&after_key(&longest), "page0")).await;
    assert_eq!(keys(&reply), ["page/l"], "a bound of a scan may be longer than a key");
}

async fn a_page_ends_at_the_bytes_that_were_asked_for(storage: &Opened) {
    let value = format!("\"{}\"", "v".repeat(98));
    let three = [("size/1", &*value), ("size/2", &*value), ("size/3", &*value)];
    commit(storage, &puts(&three)).await.expect("they are written");
    for (bytes_max, n_entries) in [(1, 1), (99, 1), (100, 1), (199, 1), (200, 2), (300, 3), (usize::MAX, 3)] {
        for reverse in [false, true] {
            let asked = ScanParams { bytes_max, reverse, ..range("size/", "size0") };
            let reply = scan(storage, asked).await;
            let found = (reply.entries.len(), reply.more);
            assert_eq!(found, (n_entries, n_entries < 3), "{bytes_max} bytes, reverse {reverse}");
        }
    }
}

async fn keys_come_without_their_values_when_asked_for(storage: &Opened) {
    let whole = scan(storage, range("", "b")).await;
    let bare = scan(storage, ScanParams { keys_only: true, ..range("", "b") }).await;
    let expected: Vec<_> = whole.entries.iter().map(|e| (e.key.as_str(), "null", e.version)).collect();
    let found: Vec<_> = bare.entries.iter().map(|e| (e.key.as_str(), e.value.get(), e.version)).collect();
    assert_eq!(found, expected, "keys and versions are the same");
    // Their keys are counted then: 3 entries of 6 bytes each.
    let asked = ScanParams { keys_only: true, bytes_max: 13, ..range("size/", "size0") };
    let reply = scan(storage, asked).await;
    assert_eq!((keys(&reply), reply.more), (vec!["size/1", "size/2"], true));
}

/// Entries of a fresh store whose values fill one page to the byte, then do not fit into it.
pub(super) async fn check_page_bytes(storage: &Opened) {
    let value = format!("\"{}\"", "v".repeat(VALUE_BYTES_MAX - 2));
    let n_exact = SCAN_BYTES_MAX / VALUE_BYTES_MAX;
    for i in 0..10 {
        if i == n_exact {
            let reply = scan(storage, ScanParams::default()).await;
            assert_eq!((reply.entries.len(), reply.more), (n_exact, false), "a page may be full to the byte");
        }
        write(storage, &format!("large/{i}"), &value).await;
    }
    for reverse in [false, true] {
        let reply = scan(storage, ScanParams { reverse, ..ScanParams::default() }).await;
        let bytes: usize = reply.entries.iter().map(|entry| entry.value.get().len()).sum();
        assert!(bytes <= SCAN_BYTES_MAX, "a page has at most {SCAN_BYTES_MAX} bytes of values, not {bytes}");
        assert!(reply.more && !reply.entries.is_empty(), "a page cut by its bytes says that there is more");
        let last = reply.entries[reply.entries.len() - 1].key.clone();
        let rest = if reverse { range("", &last) } else { range(&after_key(&last), "") };
        let rest = scan(storage, ScanParams { reverse, ..rest }).await;
        assert_eq!(reply.entries.len() + rest.entries.len(), 10, "the next page holds the rest");
    }
}
