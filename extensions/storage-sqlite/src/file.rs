//! Opens connections to the store's file: makes it, refuses what is not ours, and sets what a connection needs.
//!
//! The file is never opened by other means than SQLite while it may be in use: closing a second descriptor would drop
//! the process's locks on it (<https://www.sqlite.org/howtocorrupt.html>, section 2.2).

use crate::backup::{Copy, Existing, sync_dir_of};
use crate::checkpoint::WAL_BYTES_KEPT;
use crate::connection::{BUSY_STEP, BUSY_WAIT_MAX, Company, connect, connect_in, open_reader};
use crate::names::{beside, identity};
use crate::restore;
use crate::schema::{self, Found};
use crate::settings::{Settings, Synchronous};
use crate::trouble::{fault_of, is_busy, log_alone, vanished};
use dispatch_sdk::contracts::storage::NO_SPACE;
use dispatch_sdk::{Fault, fault};
use rusqlite::{Connection, OpenFlags};
use std::fs::{DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::Path;
use std::thread;
use std::time::Instant;
use tracing::info;

/// Earlier versions can damage a file when two connections meet at a reset of the WAL.
const SQLITE_VERSION_MIN: i32 = 3_051_003;
const FILE_MODE: u32 = 0o600;
const DIR_MODE: u32 = 0o700;

/// Opens the file for writing; makes it, its directory and its tables if they are missing.
///
/// On a full disk where nobody else has it open there is no room for the index of its log: then it is opened alone, so
/// that what only reads can be done.
///
/// Errors: `corrupt`, `invalid`, `unavailable` as [`schema::look`]; `io`, `no_space`. The file is then as it was.
pub(crate) fn open(settings: &Settings) -> Result<(Connection, Company), Fault> {
    refuse_old_library(rusqlite::version_number())?;
    match open_in(settings, Company::Others) {
        Err(full) if full.is(NO_SPACE) => {
            let alone = open_in(settings, Company::Nobody)?;
            info!(path = %settings.path.display(), "the disk is full: the store is opened alone, to be read");
            Ok((alone, Company::Nobody))
        }
        opened => Ok((opened?, Company::Others)),
    }
}

fn open_in(settings: &Settings, company: Company) -> Result<Connection, Fault> {
    let path = &settings.path;
    let found = match std::fs::metadata(path) {
        Ok(metadata) if !metadata.is_file() => {
            let message = format!("cannot open the store `{}`: it is not a regular file", path.display());
            return Err(Fault::new(fault::INVALID, message));
        }
        Ok(metadata) if metadata.len() > 0 => look_first(path, company)?,
        Ok(_) => {
            refuse_log_alone(path)?;
            Found::Empty
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            refuse_log_alone(path)?;
            make(path).map_err(|error| cannot_make(path, &error))?;
            Found::Empty
        }
        Err(error) => return Err(cannot_make(path, &error)),
    };
    let before = identity(path);
    let mut connection = connect_in(path, OpenFlags::SQLITE_OPEN_READ_WRITE, company)?;
    set_up(settings, &mut connection, found)?;
    if before.is_err() || identity(path) != before {
        return Err(vanished(path, path, "another file lies there"));
    }
    Ok(connection)
}

/// Looks at the log first: another process that makes the store has written its file before there is any.
fn refuse_log_alone(path: &Path) -> Result<(), Fault> {
    let bytes = |name: &Path| std::fs::metadata(name).map_or(0, |metadata| metadata.len());
    let log = beside(path, "-wal");
    match bytes(&log) > 0 && bytes(path) == 0 {
        true => Err(log_alone(path, &log)),
        false => Ok(()),
    }
}

fn refuse_old_library(version: i32) -> Result<(), Fault> {
    if version >= SQLITE_VERSION_MIN {
        return Ok(());
    }
    let message = format!(
        "this build holds SQLite {version}, which can damage a file when the WAL is reset; build with \
         {SQLITE_VERSION_MIN} or later"
    );
    Err(Fault::new(fault::UNAVAILABLE, message))
}

/// Looks without the right to write, so that a file that is refused stays as it is, byte for byte.
fn look_first(path: &Path, company: Company) -> Result<Found, Fault> {
    let connection = match company {
        Company::Others => connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?,
        // Who may not write is never alone; the log stays as it is all the same.
        Company::Nobody => open_reader(path, company)?,
    };
    schema::look(path, &connection)
}

/// Makes an empty file, which has its name only once nobody here has it open: another thread may open it at once.
fn make(path: &Path) -> io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("/"));
    DirBuilder::new().recursive(true).mode(DIR_MODE).create(dir)?;
    // Its mode is 0600.
    let made = tempfile::Builder::new().prefix(".dispatch-").tempfile_in(dir)?;
    let named = made.into_temp_path().persist_noclobber(path);
    match named.map_err(|refused| refused.error) {
        Ok(()) => File::open(dir)?.sync_all(),
        // Another process made it in this moment.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

fn cannot_make(path: &Path, error: &io::Error) -> Fault {
    Fault::from_io("cannot make the store", path, error)
}

fn set_up(settings: &Settings, connection: &mut Connection, found: Found) -> Result<(), Fault> {
    let path = &settings.path;
    let sqlite = |error: rusqlite::Error| fault_of(path, &error);
    if connection.is_readonly("main").map_err(sqlite)? {
        let message = format!("cannot write the store `{}`: check its owner and mode", path.display());
        return Err(Fault::new(fault::IO, message));
    }
    // The WAL takes the mode of the file, so this comes first.
    tighten(path)?;
    let mode = set_wal(connection).map_err(sqlite)?;
    if mode != "wal" {
        let message = format!(
            "cannot keep the store `{}` with a write-ahead log (SQLite answers `{mode}`): it must lie on a local disk",
            path.display()
        );
        return Err(Fault::new(fault::IO, message));
    }
    let synchronous = match settings.synchronous {
        Synchronous::Full => "FULL",
        Synchronous::Normal => "NORMAL",
    };
    let pragmas = format!(
        "PRAGMA synchronous = {synchronous}; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -4096; \
         PRAGMA wal_autocheckpoint = 0; PRAGMA journal_size_limit = {};",
        WAL_BYTES_KEPT
    );
    connection.execute_batch(&pragmas).map_err(sqlite)?;
    match found {
        Found::Empty => schema::create(path, connection),
        Found::Older(_) => schema::migrate(path, connection, |version| copy_before_upgrade(path, version)),
        Found::Ours => Ok(()),
    }
}

/// Copies a store that is about to become a newer version, to lie beside it: an older program can read the copy alone.
fn copy_before_upgrade(path: &Path, version: i64) -> Result<(), Fault> {
    // Who writes cannot be copied from; another connection reads what is committed.
    let reader = open_reader(path, Company::Others)?;
    let copy = Copy::make(&reader, path)?;
    let aside = restore::set_aside(path, &format!("v{version}"), |aside| copy.name(aside, Existing::Stays))?;
    sync_dir_of(&aside).map_err(|error| Fault::from_io("cannot name the copy", &aside, &error))?;
    info!(path = %path.display(), copy = %aside.display(), version, "the store is upgraded; a copy was made");
    Ok(())
}

/// Turns the write-ahead log on. SQLite does not always wait when two processes do so at once, so this does.
fn set_wal(connection: &Connection) -> rusqlite::Result<String> {
    let since = Instant::now();
    loop {
        match connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0)) {
            Err(error) if is_busy(&error) && since.elapsed() < BUSY_WAIT_MAX => thread::sleep(BUSY_STEP),
            mode => return mode,
        }
    }
}

/// Takes a file that others may read back to its owner alone.
fn tighten(path: &Path) -> Result<(), Fault> {
    let tightened = std::fs::metadata(path).and_then(|metadata| {
        if metadata.permissions().mode() & 0o077 == 0 {
            return Ok(());
        }
        std::fs::set_permissions(path, Permissions::from_mode(FILE_MODE))
    });
    tightened.map_err(|error| Fault::from_io("cannot set the mode of the store", path, &error))
}

#[cfg(test)]
mod tests;
