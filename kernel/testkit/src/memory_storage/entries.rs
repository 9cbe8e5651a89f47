//! Keys, values and versions of one namespace.

use dispatch_contracts::Fault;
use dispatch_contracts::fault::{CONFLICT, INVALID, TOO_LARGE};
use dispatch_contracts::storage::{
    COMMIT_ITEMS_MAX, CommitParams, Entry, KEY_BYTES_MAX, Require, SCAN_BYTES_MAX, SCAN_LIMIT_MAX,
    ScanParams, ScanReply, VALUE_BYTES_MAX,
};
use serde_json::json;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
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

pub(super) fn check_key(key: &str) -> Result<(), Fault> {
    if key.len() > KEY_BYTES_MAX {
        let len = key.len();
        return Err(Fault::new(INVALID, format!("a key has {len} bytes, at most {KEY_BYTES_MAX} go")));
    }
    check_bound(key)
}

/// A scan's bound may be longer than a key: what comes after the longest key is.
fn check_bound(key: &str) -> Result<(), Fault> {
    if key.contains('\0') {
        return Err(Fault::new(INVALID, format!("the key `{}` holds a NUL", key.escape_debug())));
    }
    Ok(())
}

pub(super) fn check_commit(params: &CommitParams) -> Result<(), Fault> {
    let items = params.require.len() + params.put.len() + params.delete.len();
    if items > COMMIT_ITEMS_MAX {
        return Err(Fault::new(
            TOO_LARGE,
            format!("a commit has {items} items, at most {COMMIT_ITEMS_MAX} go"),
        ));
    }
    params.require.iter().try_for_each(|require| check_key(&require.key))?;
    params.delete.iter().try_for_each(|key| check_key(key))?;
    for put in &params.put {
        check_key(&put.key)?;
        let len = put.value.get().len();
        if len > VALUE_BYTES_MAX {
            let message = format!("the value of `{}` has {len} bytes, at most {VALUE_BYTES_MAX} go", put.key);
            return Err(Fault::new(TOO_LARGE, message));
        }
    }
    Ok(())
}

impl Entries {
    pub(super) fn get(&self, key: &str) -> Option<Entry> {
        self.kept.get(key).map(|kept| kept.entry(key))
    }

    pub(super) fn scan(&self, params: &ScanParams) -> Result<ScanReply, Fault> {
        check_bound(&params.start)?;
        check_bound(&params.end)?;
        let limit = match params.limit {
            0 => SCAN_LIMIT_MAX,
            limit => limit.min(SCAN_LIMIT_MAX),
        };
        if !params.end.is_empty() && params.start >= params.end {
            return Ok(ScanReply { entries: Vec::new(), more: false });
        }
        let end = match params.end.as_str() {
            "" => Bound::Unbounded,
            end => Bound::Excluded(end),
        };
        let range = self.kept.range::<str, _>((Bound::Included(params.start.as_str()), end));
        Ok(if params.reverse { page(range.rev(), limit) } else { page(range, limit) })
    }

    /// Writes all or nothing.
    pub(super) fn commit(&mut self, params: CommitParams) -> Result<Vec<u64>, Fault> {
        for Require { key, version } in &params.require {
            let found = self.kept.get(key).map(|kept| kept.version);
            if found != *version {
                let message = format!("`{key}` has version {found:?}, not {version:?}; read it again");
                return Err(Fault::new(CONFLICT, message).with_detail(json!({ "key": key })));
            }
        }
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
}

impl Kept {
    fn entry(&self, key: &str) -> Entry {
        Entry { key: key.to_owned(), value: self.value.clone(), version: self.version }
    }
}

fn page<'a>(range: impl Iterator<Item = (&'a String, &'a Kept)>, limit: usize) -> ScanReply {
    let mut reply = ScanReply { entries: Vec::new(), more: false };
    let mut bytes = 0;
    for (key, kept) in range {
        bytes += kept.value.get().len();
        // A value is far smaller than a page, so the first one always fits.
        if reply.entries.len() == limit || bytes > SCAN_BYTES_MAX {
            reply.more = true;
            break;
        }
        reply.entries.push(kept.entry(key));
    }
    reply
}
