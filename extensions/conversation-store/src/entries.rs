//! Rows and messages read from their entries. One that cannot be read is told once, here, and left out by all.

use crate::mending::Outline;
use crate::row::Row;
use crate::spill;
use dispatch_sdk::contracts::storage::{CORRUPT, Entry};
use dispatch_sdk::{Fault, Host};
use serde_json::value::RawValue;
use tracing::warn;

/// Reads a row, or says in the log that it cannot be read.
pub(crate) async fn read_row(host: &Host, entry: &Entry) -> Result<Option<Row>, Fault> {
    let row = match spill::whole(host, entry).await {
        Ok(value) => Row::read(entry, &value),
        Err(fault) if fault.is(CORRUPT) => None,
        Err(fault) => return Err(fault),
    };
    if row.is_none() {
        warn!(key = entry.key, "a row of the log cannot be read; it is left out");
    }
    Ok(row)
}

/// Reads a message and what mending looks at in it, or says in the log that it cannot be read.
pub(crate) async fn read_message(
    host: &Host,
    entry: &Entry,
) -> Result<Option<(Outline, Box<RawValue>)>, Fault> {
    let message = match spill::whole(host, entry).await {
        Ok(value) => Outline::read(&value).map(|outline| (outline, value.into_owned())),
        Err(fault) if fault.is(CORRUPT) => None,
        Err(fault) => return Err(fault),
    };
    if message.is_none() {
        warn!(key = entry.key, "a message cannot be read; it is left out");
    }
    Ok(message)
}
