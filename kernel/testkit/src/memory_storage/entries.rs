//! Keys, values and versions of one namespace.

use dispatch_contracts::Fault;
use dispatch_contracts::storage::{
    CommitParams, DELETE_RANGE_BYTES_MAX, DeleteRangeParams, Entry, Require, ScanParams, ScanReply,
};
use dispatch_sdk::ScanPage;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::collections::btree_map::Range;
use std::ops::Bound;

#[derive(Default)]
pub(super) struct Entries {
    kept: BTreeMap<String, Kept>,
    /// The last version given to any key; never reset, so that no key sees one of its own again.
    last_version: u64,
}

struct Kept {
    value: Box<RawValue>,
    version: u64,
}

impl Entries {
    pub(super) fn get(&self, key: &str) -> Option<Entry> {
        self.kept.get(key).map(|kept| kept.entry(key))
    }

    /// One page; the bounds of `params` are filled in.
    pub(super) fn scan(&self, params: &ScanParams) -> ScanReply {
        let range = self.range(&params.start, &params.end);
        if params.reverse { page(range.rev(), params) } else { page(range, params) }
    }

    /// Deletes the first entries of a range; how many, and whether there are more.
    pub(super) fn delete_range(&mut self, params: &DeleteRangeParams) -> Result<(u64, bool), Fault> {
        params.require.iter().try_for_each(|require| self.check(require))?;
        let first = ScanParams {
            start: params.start.clone(),
            end: params.end.clone(),
            limit: params.limit,
            bytes_max: DELETE_RANGE_BYTES_MAX,
            ..ScanParams::default()
        };
        let page = self.scan(&first);
        for entry in &page.entries {
            self.kept.remove(&entry.key);
        }
        Ok((page.entries.len() as u64, page.more))
    }

    /// Writes all or nothing.
    pub(super) fn commit(&mut self, params: CommitParams) -> Result<Vec<u64>, Fault> {
        params.require.iter().try_for_each(|require| self.check(require))?;
        for key in &params.delete {
            self.kept.remove(key);
        }
        let put = params.put.into_iter().map(|put| {
            self.last_version += 1;
            self.kept.insert(put.key, Kept { value: put.value, version: self.last_version });
            self.last_version
        });
        Ok(put.collect())
    }

    fn check(&self, require: &Require) -> Result<(), Fault> {
        require.check(self.kept.get(&require.key).map(|kept| kept.version))
    }

    fn range(&self, start: &str, end: &str) -> Range<'_, String, Kept> {
        let end = match end {
            "" => Bound::Unbounded,
            // A range that ends before it begins holds nothing; the map would panic.
            end => Bound::Excluded(end.max(start)),
        };
        self.kept.range::<str, _>((Bound::Included(start), end))
    }
}

impl Kept {
    fn entry(&self, key: &str) -> Entry {
        Entry { key: key.to_owned(), value: self.value.clone(), version: self.version }
    }

    fn key_only(&self, key: &str) -> Entry {
        Entry { key: key.to_owned(), value: RawValue::NULL.to_owned(), version: self.version }
    }
}

fn page<'a>(range: impl Iterator<Item = (&'a String, &'a Kept)>, params: &ScanParams) -> ScanReply {
    let mut page = ScanPage::new(params);
    for (key, kept) in range {
        if !page.take(if params.keys_only { kept.key_only(key) } else { kept.entry(key) }) {
            break;
        }
    }
    page.reply()
}
