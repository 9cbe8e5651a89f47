//! Values that are too large to be one of the store's: they are kept as blobs, and what stands in their place names them.
//!
//! `{"blob":"<sha256>","bytes":n}` is neither a row nor a message. The blob is whole before the commit that names it; one
//! whose commit failed is left over, under the name of its content.

use crate::blobs::{download, upload};
use dispatch_sdk::contracts::storage::{BLOB_BYTES_MAX, CORRUPT, Entry, Put};
use dispatch_sdk::{Fault, Host, fault};
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use std::borrow::Cow;

/// Values of more bytes become blobs.
pub(crate) const SPILL_BYTES: usize = 512 * 1024;
/// Most bytes of values in one commit; the largest become blobs until the rest is less.
const COMMIT_BYTES: usize = 8 * 1024 * 1024;

/// What stands in the place of a value.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Spilled {
    blob: String,
    bytes: u64,
}

/// How a reference begins, as it is written here.
const SPILLED_START: &str = "{\"blob\":\"";
/// Most bytes of a reference.
const SPILLED_BYTES_MAX: usize = 128;

impl Spilled {
    fn of(value: &RawValue) -> Option<Self> {
        let text = value.get();
        if text.len() > SPILLED_BYTES_MAX || !text.starts_with(SPILLED_START) {
            return None;
        }
        serde_json::from_str(text).ok()
    }
}

/// Bytes of the value that an entry stands for.
pub(crate) fn bytes_of(entry: &Entry) -> usize {
    let bytes = Spilled::of(&entry.value).map(|spilled| usize::try_from(spilled.bytes).unwrap_or(usize::MAX));
    bytes.unwrap_or(entry.value.get().len())
}

/// Makes blobs of the values that are too large, and of the largest others while they are too much for one commit.
///
/// Errors: `too_large` above what a blob holds; those of the store.
pub(crate) async fn spill(host: &Host, puts: &mut [Put]) -> Result<(), Fault> {
    let len = |put: &Put| put.value.get().len();
    let mut bytes: usize = puts.iter().map(len).sum();
    if bytes <= SPILL_BYTES {
        return Ok(());
    }
    let mut largest: Vec<&mut Put> = puts.iter_mut().collect();
    largest.sort_by_key(|put| std::cmp::Reverse(len(put)));
    for put in largest {
        if len(put) <= SPILL_BYTES && (bytes <= COMMIT_BYTES || len(put) <= SPILLED_BYTES_MAX) {
            break;
        }
        bytes -= len(put);
        spill_one(host, put).await?;
        bytes += len(put);
    }
    Ok(())
}

async fn spill_one(host: &Host, put: &mut Put) -> Result<(), Fault> {
    let text = put.value.get();
    let bytes = text.len() as u64;
    if bytes > BLOB_BYTES_MAX {
        let message =
            format!("the value of `{}` has {bytes} bytes, at most {BLOB_BYTES_MAX} can be kept", put.key);
        return Err(Fault::new(fault::TOO_LARGE, message));
    }
    let blob = upload(host, text.as_bytes()).await?;
    put.value = to_raw_value(&Spilled { blob, bytes }).expect("a string and a number always encode");
    Ok(())
}

/// The value that an entry stands for.
///
/// Errors: `corrupt` when its blob is not there or is no JSON; those of the store.
pub(crate) async fn whole<'a>(host: &Host, entry: &'a Entry) -> Result<Cow<'a, RawValue>, Fault> {
    let Some(spilled) = Spilled::of(&entry.value) else { return Ok(Cow::Borrowed(&entry.value)) };
    let corrupt = |what: &str| {
        let message = format!("the blob `{}` of the entry `{}` {what}", spilled.blob, entry.key);
        Fault::new(CORRUPT, message)
    };
    let bytes_max = usize::try_from(BLOB_BYTES_MAX).unwrap_or(usize::MAX);
    let bytes = match download(host, &spilled.blob, bytes_max).await {
        Err(fault) if fault.is(fault::NOT_FOUND) => return Err(corrupt("is not there")),
        Err(fault) if fault.is(fault::BROKEN) => return Err(corrupt("comes in parts that are no base64")),
        downloaded => downloaded?,
    };
    let text = String::from_utf8(bytes).map_err(|_| corrupt("is no text"))?;
    RawValue::from_string(text).map(Cow::Owned).map_err(|_| corrupt("is no JSON"))
}
