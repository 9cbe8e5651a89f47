//! What SQLite's errors mean to a caller of `storage.v1`.

use dispatch_sdk::contracts::storage::{CORRUPT, NO_SPACE};
use dispatch_sdk::{Fault, fault};
use rusqlite::{Error, ErrorCode, ffi};
use serde_json::json;
use std::io::Write as _;
use std::path::Path;

/// Why a piece of work on the file failed.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// This work alone is refused; the transaction around it is sound.
    Refused(Fault),
    /// SQLite failed; the transaction around it is lost.
    Sqlite(Error),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Sqlite(error)
    }
}

impl Trouble {
    pub(crate) fn into_fault(self, path: &Path) -> Fault {
        match self {
            Self::Refused(fault) => fault,
            Self::Sqlite(error) => fault_of(path, &error),
        }
    }
}

/// The fault that `error` is, met on the store at `path`.
pub(crate) fn fault_of(path: &Path, error: &Error) -> Fault {
    let shown = path.display();
    let (code, extended) = match error {
        Error::SqliteFailure(failure, _) => (failure.code, failure.extended_code),
        // A value of another type than the schema says.
        Error::InvalidColumnType(..)
        | Error::FromSqlConversionFailure(..)
        | Error::IntegralValueOutOfRange(..)
        | Error::QueryReturnedNoRows
        | Error::Utf8Error(..) => return corrupt(path, &error.to_string()),
        _ => return Fault::new(fault::IO, format!("the store `{shown}` failed: {error}")),
    };
    match code {
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => {
            let message = format!("the store `{shown}` is held by another process; try again");
            Fault::new(fault::UNAVAILABLE, message).with_detail(json!({ "reason": "busy" }))
        }
        ErrorCode::DiskFull => no_space(path),
        // The shared index of the WAL could not grow.
        ErrorCode::SystemIoFailure if extended == ffi::SQLITE_IOERR_SHMSIZE => no_space(path),
        // SQLite knows a full disk and not a full quota; it calls that an error of writing.
        ErrorCode::SystemIoFailure
            if WRITING_FAILED.contains(&extended) && is_without_room(path.parent().unwrap_or(path)) =>
        {
            no_space(path)
        }
        ErrorCode::SystemIoFailure if extended == ffi::SQLITE_IOERR_CORRUPTFS => {
            corrupt(path, &error.to_string())
        }
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => corrupt(path, &error.to_string()),
        _ => Fault::new(
            fault::IO,
            format!("the store `{shown}` failed: {error} (SQLite code {extended}); look at the disk"),
        ),
    }
}

const VANISHED: &str = "vanished";
const WRITING_FAILED: [i32; 3] =
    [ffi::SQLITE_IOERR_WRITE, ffi::SQLITE_IOERR_FSYNC, ffi::SQLITE_IOERR_TRUNCATE];
/// What is written to find out whether there is room: some pages.
pub(crate) const PROBE_BYTES: usize = 16 * PROBE_PAGE_BYTES;
const PROBE_PAGE_BYTES: usize = 4096;

/// Whether a file in `dir` cannot grow, for the disk or the quota of its owner is full.
pub(crate) fn is_without_room(dir: &Path) -> bool {
    probe(dir, PROBE_BYTES).is_err_and(|error| Fault::from_io("", dir, &error).is(NO_SPACE))
}

/// Writes a file of so many bytes in `dir`, which is gone at once.
pub(crate) fn probe(dir: &Path, n_bytes: usize) -> std::io::Result<()> {
    let mut file = tempfile::tempfile_in(dir)?;
    let page = [0; PROBE_PAGE_BYTES];
    for _ in 0..n_bytes.div_ceil(PROBE_PAGE_BYTES) {
        file.write_all(&page)?;
    }
    file.sync_all()
}

/// Whether nothing was written because there is no room.
pub(crate) fn is_full(error: &Error) -> bool {
    match error {
        Error::SqliteFailure(failure, _) => {
            failure.code == ErrorCode::DiskFull || failure.extended_code == ffi::SQLITE_IOERR_SHMSIZE
        }
        _ => false,
    }
}

pub(crate) fn is_busy(error: &Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

/// The store at `path` is damaged: `found` says how.
pub(crate) fn corrupt(path: &Path, found: &str) -> Fault {
    let shown = path.display();
    let message = format!(
        "the store `{shown}` is damaged: {found}; it is left as it is: put a backup in its place (`dispatch \
         backup restore FILE`; what is there now is kept aside), or save what is readable with `sqlite3 {shown} .recover`"
    );
    Fault::new(CORRUPT, message).with_detail(json!({ "path": shown.to_string() }))
}

/// Whether `fault` is what [`corrupt`] says: the file is the one that was meant, and cannot be read.
pub(crate) fn is_damage(fault: &Fault) -> bool {
    fault.is(CORRUPT) && fault.detail["reason"] != VANISHED
}

/// One of the files of the store at `path` is not any more under the `name` that it had when it was opened.
pub(crate) fn vanished(path: &Path, name: &Path, found: &str) -> Fault {
    let (shown, name) = (path.display(), name.display());
    let message = format!(
        "the store `{shown}` lost its file: `{name}` was removed or replaced while this host had it open ({found}); \
         nothing more is written or read: find out what did it, look at what lies there now, restart the host"
    );
    Fault::new(CORRUPT, message).with_detail(json!({ "path": shown.to_string(), "reason": VANISHED }))
}

/// The file at `path` is not there, or empty, and its `log` is: SQLite would delete that, and what was written last with it.
pub(crate) fn log_alone(path: &Path, log: &Path) -> Fault {
    let (shown, log) = (path.display(), log.display());
    let message = format!(
        "the store `{shown}` has no file, but its log `{log}` is there and may hold what was written last; nothing is \
         opened: put the file back, or move the log away (then a backup can be put there, or an empty store begins)"
    );
    Fault::new(CORRUPT, message).with_detail(json!({ "path": shown.to_string(), "reason": VANISHED }))
}

pub(crate) fn no_space(path: &Path) -> Fault {
    let message = format!(
        "the disk that holds `{}` is full: nothing was written; make room on the file system of `{}` and try again",
        path.display(),
        path.parent().unwrap_or(path).display()
    );
    Fault::new(NO_SPACE, message)
}
