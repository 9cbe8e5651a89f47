//! One page of a scan, filled by a store entry by entry up to the bounds of its parameters.
//!
//! It must not know any store.

use dispatch_contracts::storage::{Entry, ScanParams, ScanReply};

/// A page while it is filled. It has one entry at least, however large that is.
#[derive(Debug)]
pub struct ScanPage<'a> {
    params: &'a ScanParams,
    n_bytes: usize,
    reply: ScanReply,
}

impl<'a> ScanPage<'a> {
    /// The bounds of `params` are filled in ([`ScanParams::bounded`]).
    pub fn new(params: &'a ScanParams) -> Self {
        Self { params, n_bytes: 0, reply: ScanReply { entries: Vec::new(), more: false } }
    }

    /// Takes the entry that comes next, in the order of the scan; false when it belongs to the next page.
    pub fn take(&mut self, entry: Entry) -> bool {
        self.n_bytes += if self.params.keys_only { entry.key.len() } else { entry.value.get().len() };
        let is_full = self.reply.entries.len() == self.params.limit || self.n_bytes > self.params.bytes_max;
        if is_full && !self.reply.entries.is_empty() {
            self.reply.more = true;
            return false;
        }
        self.reply.entries.push(entry);
        true
    }

    /// What was taken, and whether there is more.
    pub fn reply(self) -> ScanReply {
        self.reply
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::value::to_raw_value;

    fn filled(params: ScanParams, values: &[&str]) -> (usize, bool) {
        let mut page = ScanPage::new(&params);
        let entries = values.iter().map(|value| Entry {
            key: "key".to_owned(),
            value: to_raw_value(value).expect("a string always encodes"),
            version: 1,
        });
        entries.map_while(|entry| page.take(entry).then_some(())).count();
        let ScanReply { entries, more } = page.reply();
        (entries.len(), more)
    }

    #[test]
    fn a_page_ends_at_the_first_of_its_bounds_and_never_empty() {
        let bounds = |limit, bytes_max| ScanParams { limit, bytes_max, ..ScanParams::default() };
        // `"four"` with its quotes has six bytes.
        assert_eq!(filled(bounds(2, 100), &["four"; 3]), (2, true));
        assert_eq!(filled(bounds(3, 100), &["four"; 3]), (3, false));
        assert_eq!(filled(bounds(9, 12), &["four"; 3]), (2, true));
        assert_eq!(filled(bounds(9, 5), &["four"; 2]), (1, true));
        let keys = ScanParams { keys_only: true, ..bounds(9, 6) };
        assert_eq!(filled(keys, &["four"; 3]), (2, true), "only keys count, of three bytes each");
    }
}
