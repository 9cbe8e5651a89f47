//! Whether the files that are open are still those under their names.
//!
//! A program that copies, cleans or restores may remove or replace them, and so may SQLite in another process, once
//! something in this one has opened and closed the file past SQLite, which drops the locks. What is committed then
//! goes into files without a name and is gone with the process. Names are looked up, never opened, for that reason.

use crate::connection::Company;
use crate::trouble::vanished;
use dispatch_sdk::Fault;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// A file whatever its name: device and inode.
pub(crate) type Identity = (u64, u64);

/// What the store's files were called when they were opened: the file, its log, the log's index if that is a file.
#[derive(Debug)]
pub(crate) struct Names {
    path: PathBuf,
    company: Company,
    files: Vec<(PathBuf, Identity)>,
}

impl Names {
    /// Remembers the files of a store that a connection has open and has read.
    pub(crate) fn of(path: &Path, company: Company) -> Result<Self, Fault> {
        let identify = |ending: &str| {
            let name = beside(path, ending);
            let identity = identity(&name).map_err(|found| vanished(path, &name, &found))?;
            Ok((name, identity))
        };
        let endings: &[&str] = match company {
            Company::Others => &["", "-wal", "-shm"],
            Company::Nobody => &["", "-wal"],
        };
        let files = endings.iter().map(|ending| identify(ending)).collect::<Result<_, Fault>>()?;
        Ok(Self { path: path.to_owned(), company, files })
    }

    /// Who else may have the files open.
    pub(crate) fn company(&self) -> Company {
        self.company
    }

    /// Errors: `corrupt` a name is gone, or another file has it.
    pub(crate) fn check(&self) -> Result<(), Fault> {
        self.files.iter().try_for_each(|(name, opened)| match identity(name) {
            Ok(found) if found == *opened => Ok(()),
            Ok(_) => Err(vanished(&self.path, name, "another file lies there")),
            Err(found) => Err(vanished(&self.path, name, &found)),
        })
    }
}

/// Whether `name` leads to the store at `path`, its log or the log's index.
pub(crate) fn is_part_of(name: &Path, path: &Path) -> bool {
    let found = identity(name);
    found.is_ok() && ["", "-wal", "-shm"].iter().any(|ending| identity(&beside(path, ending)) == found)
}

/// The file's name with `ending` behind it.
pub(crate) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// Which file lies under `name`, or what was found instead.
pub(crate) fn identity(name: &Path) -> Result<Identity, String> {
    std::fs::metadata(name).map(|meta| (meta.dev(), meta.ino())).map_err(|error| error.to_string())
}
