//! Copies of the store: made by SQLite's online backup, checked, and given their name only when they are whole.
//!
//! It must not know who asks. A copy is made beside its target, in a directory of its own that goes with it however it
//! ends: nothing half-written stays, and the last step is a rename within one file system. What a process that was
//! killed left there goes with the next copy.

use crate::blobs;
use crate::connection::connect;
use crate::entries;
use crate::names::is_part_of;
use crate::schema;
use crate::staging::Staging;
use crate::trouble::{corrupt, fault_of};
use dispatch_sdk::contracts::storage::CORRUPT;
use dispatch_sdk::{Fault, fault};
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use tempfile::TempPath;

const DIR_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;
const COPY_NAME: &str = "copy.db";

/// A checked copy that has no name yet; it goes when it is dropped.
pub(crate) struct Copy {
    dir: Staging,
    target: PathBuf,
}

/// Whether a file that is there already gives way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Existing {
    Stays,
    GivesWay,
}

impl Copy {
    /// Copies the store that `source` has open, as it is at one moment, whoever writes meanwhile; `target` is where the
    /// copy is to lie, in a directory that is made if it is missing.
    ///
    /// Errors: `no_space`, `io`, `corrupt` the copy does not hold; nothing stays of it then.
    pub(crate) fn make(source: &Connection, target: &Path) -> Result<Self, Fault> {
        let failed = |error: &io::Error| Fault::from_io("cannot make the copy", target, error);
        let parent = target.parent().unwrap_or(Path::new("/"));
        DirBuilder::new().recursive(true).mode(DIR_MODE).create(parent).map_err(|e| failed(&e))?;
        let dir = Staging::in_dir(parent).map_err(|e| failed(&e))?;
        let copy = Self { dir, target: target.to_owned() };
        let sqlite = |error: rusqlite::Error| fault_of(target, &error);
        let private = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(copy.path());
        private.map(drop).map_err(|e| failed(&e))?;
        let mut connection = Connection::open(copy.path()).map_err(sqlite)?;
        // It is nobody's yet: a crash leaves a directory to be swept, not a store.
        connection.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;").map_err(sqlite)?;
        copy_pages(source, &mut connection).map_err(sqlite)?;
        // One file, whatever the source is.
        connection.pragma_update(None, "journal_mode", "DELETE").map_err(sqlite)?;
        check(target, &connection)?;
        connection.close().map_err(|(_, error)| sqlite(error))?;
        File::open(copy.path()).and_then(|file| file.sync_all()).map_err(|e| failed(&e))?;
        Ok(copy)
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join(COPY_NAME)
    }

    /// Gives the copy its name, and says how many bytes it has. Errors: `conflict` there is a file already; `io`.
    pub(crate) fn keep(self, existing: Existing) -> Result<u64, Fault> {
        let failed = |error: &io::Error| match error.kind() {
            io::ErrorKind::AlreadyExists => already_there(&self.target),
            _ => Fault::from_io("cannot name the copy", &self.target, error),
        };
        let bytes = std::fs::metadata(self.path()).map_err(|e| failed(&e))?.len();
        self.name(&self.target, existing).map_err(|e| failed(&e))?;
        sync_dir_of(&self.target).map_err(|e| failed(&e))?;
        Ok(bytes)
    }

    /// Tries to give the copy a name in the directory of its target; a copy that did not get it can try another.
    pub(crate) fn name(&self, name: &Path, existing: Existing) -> io::Result<()> {
        let made = TempPath::try_from_path(self.path())?;
        let named = match existing {
            Existing::Stays => made.persist_noclobber(name),
            Existing::GivesWay => made.persist(name),
        };
        named.map_err(|refused| {
            // Dropped, it would take the copy with it.
            let _ = refused.path.keep();
            refused.error
        })
    }
}

/// Copies the store at `store` to `target`; says how many bytes the copy has.
///
/// Errors: `conflict` there is a file already and it is to stay; `invalid` it is the store itself, or no file;
/// `not_found` the store holds nothing;
/// as [`Copy::make`].
pub(crate) fn create(
    store: &Path,
    source: &Connection,
    target: &Path,
    existing: Existing,
) -> Result<u64, Fault> {
    match std::fs::metadata(target) {
        Ok(_) if is_part_of(target, store) => {
            let message = format!("`{}` is the store itself; name another file", target.display());
            return Err(Fault::new(fault::INVALID, message));
        }
        Ok(found) if !found.is_file() => {
            let message = format!("cannot back up to `{}`: it is not a regular file", target.display());
            return Err(Fault::new(fault::INVALID, message));
        }
        Ok(_) if existing == Existing::Stays => return Err(already_there(target)),
        // What is wrong with it is met when it is written.
        Ok(_) | Err(_) => {}
    }
    refuse_nothing(store, source)?;
    Copy::make(source, target)?.keep(existing)
}

/// Errors: `not_found` nothing was ever written to the store: whoever wants a copy means another one.
fn refuse_nothing(store: &Path, source: &Connection) -> Result<(), Fault> {
    let is_empty = entries::counter(source)
        .and_then(|counter| Ok(counter == 0 && !blobs::any(source)?))
        .map_err(|error| fault_of(store, &error))?;
    if !is_empty {
        return Ok(());
    }
    let message =
        format!("there is nothing to back up: nothing was ever written to the store `{}`", store.display());
    Err(Fault::new(fault::NOT_FOUND, message))
}

/// Copies the backup at `from` to lie where `store` is, not yet under its name. The backup is only read.
///
/// Errors: `not_found`; `invalid` another program's database; `unavailable` a newer version's; `corrupt`.
pub(crate) fn of_backup(from: &Path, store: &Path) -> Result<Copy, Fault> {
    let found = std::fs::metadata(from).map_err(|e| Fault::from_io("cannot read the backup", from, &e))?;
    if !found.is_file() || is_part_of(from, store) {
        let message =
            format!("`{}` is no backup: it is the store itself, or no regular file", from.display());
        return Err(Fault::new(fault::INVALID, message));
    }
    let copied = connect(from, OpenFlags::SQLITE_OPEN_READ_ONLY).and_then(|connection| {
        match schema::look(from, &connection)? {
            schema::Found::Empty => Err(corrupt(from, "it holds nothing")),
            schema::Found::Ours | schema::Found::Older(_) => Copy::make(&connection, store),
        }
    });
    copied.map_err(|found| match found.is(CORRUPT) {
        // What is said of a damaged store would be bad advice here.
        true => {
            let message = format!(
                "`{}` is no backup of a store, or it is damaged; nothing was changed: choose another one",
                from.display()
            );
            Fault::new(CORRUPT, message).with_detail(found.detail)
        }
        false => found,
    })
}

/// All pages in one step: a snapshot that no writer disturbs, and that disturbs none.
fn copy_pages(source: &Connection, target: &mut Connection) -> rusqlite::Result<()> {
    let backup = Backup::new(source, target)?;
    match backup.step(-1)? {
        StepResult::Done => Ok(()),
        _ => Err(rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY), None)),
    }
}

/// Every page, every index, and that it is ours.
fn check(target: &Path, connection: &Connection) -> Result<(), Fault> {
    let found: String = connection
        .query_row("PRAGMA integrity_check(1)", (), |row| row.get(0))
        .map_err(|error| fault_of(target, &error))?;
    if found != "ok" {
        return Err(corrupt(target, &format!("what was copied does not hold: {found}")));
    }
    schema::look(target, connection).map(drop)
}

fn already_there(target: &Path) -> Fault {
    let message =
        format!("`{}` is there already and was left as it is; choose another name", target.display());
    Fault::new(fault::CONFLICT, message)
}

pub(crate) fn sync_dir_of(path: &Path) -> io::Result<()> {
    File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
}
