//! `write`: a regular file is made or replaced whole, or nothing changes.
//!
//! It must not know calls. The new content is written to a file without a name, which takes one when it is whole: a hard
//! link to the old content keeps the old content, and set-id bits are not carried over. All of it happens by names in
//! one opened directory, so that nothing that is renamed meanwhile leads it elsewhere.

use crate::files::{absolute, failed, open_regular};
use crate::reach::Reach;
use crate::seen::{LINKS_MAX, LOOK};
use crate::unnamed::Unnamed;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dispatch_sdk::contracts::exec::{IfExists, WRITE_BYTES_MAX, WriteParams, WriteReply};
use dispatch_sdk::fault::{CONFLICT, INVALID, IO, TOO_LARGE};
use dispatch_sdk::{Fault, hex};
use rustix::fs::FlockOperation;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::ffi::OsString;
use std::fs::{File, Metadata, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Most bytes of a file that is hashed before it is replaced.
const HASHED_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Bytes that are hashed at once.
const CHUNK_BYTES: usize = 64 * 1024;
/// How often a directory's lock is tried, and the pause between.
const LOCK_TRIES_MAX: usize = 200;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// Writes; `id` is unique and names the temporary file.
pub(crate) fn write(params: &WriteParams, id: &str, reach: &Reach) -> Result<WriteReply, Fault> {
    let path = absolute(&params.cwd, &params.path)?;
    let too_large = || {
        let path = path.display();
        Fault::new(TOO_LARGE, format!("cannot write `{path}`: the content is over {WRITE_BYTES_MAX} bytes"))
    };
    if params.data.len() > WRITE_BYTES_MAX.div_ceil(3) * 4 {
        return Err(too_large());
    }
    let data = STANDARD.decode(&params.data).map_err(|e| {
        Fault::new(INVALID, format!("cannot write `{}`: `data` is no base64: {e}", path.display()))
    })?;
    if data.len() > WRITE_BYTES_MAX {
        return Err(too_large());
    }
    let mut target = Target {
        if_exists: params.if_exists,
        expect_sha256: params.expect_sha256.as_deref(),
        ..Target::find(&path, &params.path, reach)?
    };
    // Before anything is made; the same is looked at again just before the rename.
    target.check()?;
    if params.make_dirs {
        target.make_dir(reach)?;
    }
    let created = target.replace(id, |file| file.write_all(&data))?;
    Ok(WriteReply {
        path: target.path.to_string_lossy().into_owned(),
        bytes: data.len() as u64,
        sha256: hex(&Sha256::digest(&data)),
        created,
    })
}

/// The file to replace, and on which conditions.
pub(crate) struct Target<'a> {
    /// Where it was found, for people.
    pub(crate) path: PathBuf,
    /// The directory it lies in; absent while that is not there.
    pub(crate) dir: Option<OwnedFd>,
    /// Its name there.
    pub(crate) name: OsString,
    pub(crate) if_exists: IfExists,
    pub(crate) expect_sha256: Option<&'a str>,
}

impl Target<'_> {
    /// Follows the links at the end of a path; the last one may point to nothing.
    pub(crate) fn find(path: &Path, asked: &str, reach: &Reach) -> Result<Self, Fault> {
        let refused =
            |found: &str| Err(Fault::new(INVALID, format!("cannot write `{}`: {found}", path.display())));
        let mut at = path.to_owned();
        for _ in 0..=LINKS_MAX {
            let (Some(parent), Some(name)) = (at.parent(), at.file_name()) else {
                return refused("it names a directory, not a file");
            };
            if asked.ends_with('/') {
                return refused("it names a directory, not a file");
            }
            let failed = |e: io::Error| failed("write", path, &e);
            let dir = match reach.look_at_dir(parent) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => None,
                dir => Some(dir.map_err(failed)?),
            };
            let link = dir.as_ref().map(|dir| rustix::fs::readlinkat(dir, name, Vec::new()));
            match link {
                Some(Ok(link)) => {
                    at.pop();
                    at.push(OsString::from_vec(link.into_bytes()));
                }
                // It is no link, or not there; what else may be wrong is said by `check`.
                None | Some(Err(_)) => {
                    if let Some(dir) = &dir {
                        reach.check_name(dir, name).map_err(failed)?;
                    }
                    let (name, if_exists) = (name.to_owned(), IfExists::Fail);
                    return Ok(Self { path: at, dir, name, if_exists, expect_sha256: None });
                }
            }
        }
        refused(&format!("it leads over more than {LINKS_MAX} links"))
    }

    fn make_dir(&mut self, reach: &Reach) -> Result<(), Fault> {
        if self.dir.is_none() {
            let dir = self.path.parent().expect("a path with a file name has a parent");
            self.dir = Some(reach.make_dirs(dir).map_err(|e| failed("make the directory", dir, &e))?);
        }
        Ok(())
    }

    /// Replaces it by what `fill` writes; answers whether there was no file before.
    pub(crate) fn replace(
        &self,
        id: &str,
        fill: impl FnOnce(&mut File) -> io::Result<()>,
    ) -> Result<bool, Fault> {
        let before = self.check()?;
        let failed = |e: io::Error| failed("write", &self.path, &e);
        let dir = self.dir.as_ref().ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
        // What replaces a private file is private from its first byte on.
        let mode = if before.is_some() { 0o600 } else { 0o644 };
        let mut new = Unnamed::make(dir, id, Mode::from_raw_mode(mode)).map_err(failed)?;
        fill(new.file()).map_err(failed)?;
        if let Some(before) = &before {
            keep_owner_and_mode(new.file(), before).map_err(failed)?;
        }
        new.file().sync_all().map_err(failed)?;
        let lock = self.lock(dir)?;
        let before = self.check()?;
        if let Some(before) = &before {
            // It may be another file than at the first look.
            keep_owner_and_mode(new.file(), before).map_err(failed)?;
        }
        let named = match self.if_exists {
            IfExists::Fail => new.name_anew(&self.name),
            // One that came this very moment is replaced like any other; one that was expected is another matter.
            IfExists::Replace => new.name_over(&self.name, lock.as_ref().is_some_and(|lock| lock.is_held)),
        };
        match named {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                return Err(self.conflict("a file came meanwhile"));
            }
            named => named.map_err(failed)?,
        }
        // The file is there whatever this answers; some file systems cannot.
        if let Some(Err(error)) = lock.map(|lock| lock.dir.sync_all()) {
            tracing::warn!(%error, "a directory could not be synced after a write");
        }
        Ok(before.is_none())
    }

    /// What is there now, if it is a file that may be replaced; `None` = nothing is there.
    fn check(&self) -> Result<Option<Metadata>, Fault> {
        let nothing = || io::Error::from(io::ErrorKind::NotFound);
        let found = self.look().unwrap_or_else(|| Err(nothing()));
        let found = match found.and_then(|seen| File::from(seen).metadata()) {
            Ok(found) => found,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                return match self.expect_sha256 {
                    None => Ok(None),
                    Some(_) => Err(self.conflict("there is no file any more")),
                };
            }
            Err(e) => return Err(failed("write", &self.path, &e)),
        };
        if !found.is_file() {
            let found = if found.is_dir() { "a directory" } else { "a device, socket, pipe or link" };
            let message = format!("cannot write `{}`: it is {found}, not a file", self.path.display());
            return Err(Fault::new(INVALID, message));
        }
        if self.if_exists == IfExists::Fail {
            return Err(self.conflict(&format!("there is a file of {} bytes already", found.len())));
        }
        if let Some(expected) = self.expect_sha256 {
            let now = self.sha256()?;
            if now.is_none_or(|now| !now.eq_ignore_ascii_case(expected)) {
                return Err(self.conflict("it holds something else than expected; read it again"));
            }
        }
        Ok(Some(found))
    }

    /// Looks at it, never at what it links to; `None` = its directory is not there.
    fn look(&self) -> Option<io::Result<OwnedFd>> {
        let dir = self.dir.as_ref()?;
        let seen = rustix::fs::openat(dir, &self.name, LOOK | OFlags::NOFOLLOW, Mode::empty());
        Some(seen.map_err(io::Error::from))
    }

    fn conflict(&self, found: &str) -> Fault {
        let message = format!("cannot write `{}`: {found}", self.path.display());
        // What cannot be read or is too large has no hash to tell.
        let sha256 = self.sha256().ok().flatten();
        Fault::new(CONFLICT, message).with_detail(json!({ "sha256": sha256 }))
    }

    /// Keeps other writers of this kind, in this host and in others, out of the directory; `None` = it cannot be opened.
    fn lock(&self, dir: &OwnedFd) -> Result<Option<Locked>, Fault> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let Ok(file) = rustix::fs::openat(dir, ".", flags, Mode::empty()) else { return Ok(None) };
        for _ in 0..LOCK_TRIES_MAX {
            match rustix::fs::flock(file.as_fd(), FlockOperation::NonBlockingLockExclusive) {
                Err(Errno::WOULDBLOCK) => std::thread::sleep(LOCK_PAUSE),
                // A file system without locks: the check just before the rename is all there is.
                locked => return Ok(Some(Locked { is_held: locked.is_ok(), dir: file.into() })),
            }
        }
        let waited_ms = LOCK_PAUSE.as_millis() * LOCK_TRIES_MAX as u128;
        let path = self.path.display();
        let message =
            format!("cannot write `{path}`: another program has locked its directory for {waited_ms} ms");
        Err(Fault::new(IO, message))
    }

    /// Hash of what is there; `None` when there is more than `HASHED_BYTES_MAX`.
    fn sha256(&self) -> Result<Option<String>, Fault> {
        let nothing = || Err(io::ErrorKind::NotFound.into());
        let file = open_regular(&self.path, self.look().unwrap_or_else(nothing))?;
        let mut file = file.take(HASHED_BYTES_MAX + 1);
        let (mut hash, mut chunk) = (Sha256::new(), vec![0; CHUNK_BYTES]);
        loop {
            match file.read(&mut chunk) {
                Ok(0) => break,
                Ok(n) => hash.update(&chunk[..n]),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(failed("read", &self.path, &e)),
            }
        }
        Ok((file.limit() > 0).then(|| hex(&hash.finalize())))
    }
}

/// A directory that no other writer of this kind changes; unless the file system knows no locks.
struct Locked {
    dir: File,
    is_held: bool,
}

fn keep_owner_and_mode(file: &File, before: &Metadata) -> io::Result<()> {
    let now = file.metadata()?;
    if (now.uid(), now.gid()) != (before.uid(), before.gid()) {
        // Only root may give files away; for others the file changes hands, as with every editor.
        let _ = std::os::unix::fs::fchown(file, Some(before.uid()), Some(before.gid()));
    }
    file.set_permissions(Permissions::from_mode(before.mode() & 0o777))
}
