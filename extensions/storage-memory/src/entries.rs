//! Keys, values and versions of one namespace. Keys compare as their bytes do.

use crate::room::{ITEM_BYTES, Room};
use dispatch_sdk::contracts::storage::{
    CommitParams, DELETE_RANGE_BYTES_MAX, DeleteRangeParams, Entry, Require, ScanParams, ScanReply,
};
use dispatch_sdk::{Fault, ScanPage};
use serde_json::value::RawValue;
use std::collections::btree_map::Range;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;

#[derive(Default)]
pub(crate) struct Entries {
    kept: BTreeMap<String, Kept>,
    /// The last version given to any key; it never falls, so that no key has the same one twice.
    last_version: u64,
}

struct Kept {
    value: Box<RawValue>,
    version: u64,
}

impl Kept {
    fn entry(&self, key: &str) -> Entry {
        Entry { key: key.to_owned(), value: self.value.clone(), version: self.version }
    }

    fn key_only(&self, key: &str) -> Entry {
        Entry { key: key.to_owned(), value: RawValue::NULL.to_owned(), version: self.version }
    }
}

impl Entries {
    pub(crate) fn get(&self, key: &str) -> Option<Entry> {
        self.kept.get(key).map(|kept| kept.entry(key))
    }

    /// One page; the bounds of `params` are filled in.
    pub(crate) fn scan(&self, params: &ScanParams) -> ScanReply {
        let range = self.range(&params.start, &params.end);
        if params.reverse { page(range.rev(), params) } else { page(range, params) }
    }

    /// Deletes the first entries of a range; how many, and whether there are more.
    pub(crate) fn delete_range(
        &mut self,
        params: &DeleteRangeParams,
        room: &mut Room,
    ) -> Result<(u64, bool), Fault> {
        params.require.iter().try_for_each(|require| self.check(require))?;
        let mut n_bytes_left = DELETE_RANGE_BYTES_MAX;
        let mut first: Vec<String> = Vec::new();
        let mut more = false;
        for (key, kept) in self.range(&params.start, &params.end) {
            let n_bytes = kept.value.get().len();
            if first.len() == params.limit || n_bytes > n_bytes_left {
                more = true;
                break;
            }
            n_bytes_left -= n_bytes;
            first.push(key.clone());
        }
        for key in &first {
            if let Some(kept) = self.kept.remove(key) {
                room.give_back(n_bytes(key, &kept.value));
            }
        }
        Ok((first.len() as u64, more))
    }

    /// Writes all or nothing, and answers the versions of the puts. A key that is both deleted and put is put.
    pub(crate) fn commit(&mut self, params: CommitParams, room: &mut Room) -> Result<Vec<u64>, Fault> {
        params.require.iter().try_for_each(|require| self.check(require))?;
        let (coming, going) = self.exchanged(&params);
        room.exchange(coming, going)?;
        for key in &params.delete {
            self.kept.remove(key);
        }
        let versions = params.put.into_iter().map(|put| {
            self.last_version += 1;
            self.kept.insert(put.key, Kept { value: put.value, version: self.last_version });
            self.last_version
        });
        Ok(versions.collect())
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

    /// Room that the entries of a commit will take, and that of those which it replaces or deletes.
    fn exchanged(&self, params: &CommitParams) -> (u64, u64) {
        // Of several puts of one key the last stays.
        let put: HashMap<&str, u64> =
            params.put.iter().map(|put| (put.key.as_str(), n_bytes(&put.key, &put.value))).collect();
        let touched: BTreeSet<&str> =
            params.delete.iter().map(String::as_str).chain(put.keys().copied()).collect();
        let before = touched.iter().filter_map(|key| Some(n_bytes(key, &self.kept.get(*key)?.value)));
        (put.values().sum(), before.sum())
    }
}

fn n_bytes(key: &str, value: &RawValue) -> u64 {
    (key.len() + value.get().len()) as u64 + ITEM_BYTES
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
