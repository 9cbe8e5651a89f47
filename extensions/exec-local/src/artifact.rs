//! The whole output of one program in a file, for when less than all of it is emitted.
//!
//! It must not know pipes or calls. Nothing here fails a program: what cannot be kept is given up, with a reason. A file
//! that is written is locked, so that no other program, and no other host with the same directory, clears it away.

use rustix::fs::FlockOperation;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use tokio::task::JoinHandle;

/// Most bytes of one file.
pub(crate) const ARTIFACT_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Most bytes of all files of one instance; the oldest make room. Programs that write at this very moment may each
/// exceed it by `ROOM_BYTES`.
pub(crate) const ARTIFACTS_BYTES_MAX: u64 = 512 * 1024 * 1024;
/// Most files of one instance.
pub(crate) const ARTIFACTS_MAX: usize = 1_000;
/// Bytes that are written at once; output up to here makes no file until it is known to be cut.
const CHUNK_BYTES: usize = 64 * 1024;
/// How many bytes are written between two looks at the directory.
const ROOM_BYTES: u64 = 8 * 1024 * 1024;
/// Most bytes of a reason that is told.
const NOTE_CHARS_MAX: usize = 300;

/// How much is kept.
#[derive(Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) file_bytes_max: u64,
    pub(crate) all_bytes_max: u64,
    pub(crate) files_max: usize,
}

impl Bounds {
    pub(crate) const USUAL: Self = Self {
        file_bytes_max: ARTIFACT_BYTES_MAX,
        all_bytes_max: ARTIFACTS_BYTES_MAX,
        files_max: ARTIFACTS_MAX,
    };
}

/// The output of one program, on its way to a file. Dropped, it leaves none.
pub(crate) struct Artifact {
    path: PathBuf,
    bounds: Bounds,
    /// What is not written yet.
    buffer: Vec<u8>,
    /// Bytes that were taken, those of `buffer` too.
    bytes: u64,
    /// More came than may be kept.
    is_full: bool,
    writer: Writer,
}

enum Writer {
    Idle(Option<Growing>),
    /// One chunk is being written, where it may block.
    Busy(JoinHandle<io::Result<Growing>>),
    GivenUp(String),
}

/// What became of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) file: Option<String>,
    pub(crate) note: String,
}

impl Artifact {
    pub(crate) fn new(path: PathBuf, bounds: Bounds) -> Self {
        let writer = Writer::Idle(None);
        Self { path, bounds, buffer: Vec::new(), bytes: 0, is_full: false, writer }
    }

    /// For a host without a place for it.
    pub(crate) fn nowhere() -> Self {
        let given_up = Writer::GivenUp("this host has no cache directory".to_owned());
        Self { writer: given_up, ..Self::new(PathBuf::new(), Bounds::USUAL) }
    }

    /// One that writes to a file the test has opened.
    #[cfg(test)]
    pub(crate) fn onto(path: PathBuf, file: File) -> Self {
        let growing = Growing { file, path: path.clone(), bytes: 1, is_kept: false };
        Self { writer: Writer::Idle(Some(growing)), ..Self::new(path, Bounds::USUAL) }
    }

    /// Takes what the program wrote; call `settle` before the next piece, or memory has no bound.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if matches!(self.writer, Writer::GivenUp(_)) {
            return;
        }
        let room = self.bounds.file_bytes_max - self.bytes;
        let taken = bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX));
        self.is_full |= taken < bytes.len();
        self.buffer.extend_from_slice(&bytes[..taken]);
        self.bytes += taken as u64;
    }

    /// Waits until there is room for a next piece. Dropping this future loses nothing.
    pub(crate) async fn settle(&mut self) {
        if self.buffer.len() >= CHUNK_BYTES {
            self.written().await;
            self.begin();
        }
    }

    /// Ends it: `is_cut` says that the program's output was not passed on whole, so that the file is of use.
    pub(crate) async fn finish(mut self, is_cut: bool, wait: Duration) -> Kept {
        let in_time = tokio::time::timeout(wait, async {
            self.written().await;
            if is_cut {
                if self.is_full {
                    let file_bytes_max = self.bounds.file_bytes_max;
                    let note = format!("\n[… only the first {file_bytes_max} bytes are kept …]\n");
                    self.buffer.extend_from_slice(note.as_bytes());
                }
                self.begin();
                self.written().await;
            }
        });
        let in_time = in_time.await.is_ok();
        if !is_cut {
            return Kept::default();
        }
        let given_up = |why: &str| Kept { file: None, note: format!("its output was not kept: {why}") };
        match &mut self.writer {
            Writer::Idle(Some(growing)) if in_time => {
                if !growing.is_still_there() {
                    return given_up("it was cleared away for others");
                }
                growing.is_kept = true;
                let file_bytes_max = self.bounds.file_bytes_max;
                let note = if self.is_full {
                    format!("it holds only the first {file_bytes_max} bytes")
                } else {
                    String::new()
                };
                Kept { file: Some(self.path.to_string_lossy().into_owned()), note }
            }
            Writer::GivenUp(why) => given_up(why),
            Writer::Idle(_) | Writer::Busy(_) => given_up("the disk is too slow"),
        }
    }

    /// Waits for the chunk that is being written.
    async fn written(&mut self) {
        let Writer::Busy(writing) = &mut self.writer else { return };
        let written = writing.await.unwrap_or_else(|stopped| Err(io::Error::other(stopped)));
        self.writer = match written {
            Ok(growing) => Writer::Idle(Some(growing)),
            Err(error) => {
                self.buffer = Vec::new();
                let why = match error.kind() {
                    io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                        "the disk is full".to_owned()
                    }
                    _ => error.to_string().chars().take(NOTE_CHARS_MAX).collect(),
                };
                tracing::warn!(%error, "the output of a program could not be kept");
                Writer::GivenUp(why)
            }
        };
    }

    /// Begins to write what waits.
    fn begin(&mut self) {
        let Writer::Idle(growing) = &mut self.writer else { return };
        let (growing, chunk) = (growing.take(), std::mem::take(&mut self.buffer));
        let (path, bounds) = (self.path.clone(), self.bounds);
        self.writer = Writer::Busy(tokio::task::spawn_blocking(move || {
            let mut growing = growing.map_or_else(|| Growing::make(path, bounds), Ok)?;
            growing.write(&chunk, bounds)?;
            Ok(growing)
        }));
    }
}

/// A file that grows. Dropped, it is removed unless it is to be kept.
struct Growing {
    file: File,
    path: PathBuf,
    bytes: u64,
    is_kept: bool,
}

impl Growing {
    fn make(path: PathBuf, bounds: Bounds) -> io::Result<Self> {
        let dir = path.parent().expect("a file lies in a directory");
        make_dir(dir)?;
        make_room(dir, ROOM_BYTES.min(bounds.file_bytes_max), bounds)?;
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        let growing = Self { file, path, bytes: 0, is_kept: false };
        // A file system without locks: then only what is written at this very moment may be cleared away.
        let _ = rustix::fs::flock(&growing.file, FlockOperation::NonBlockingLockExclusive);
        Ok(growing)
    }

    fn write(&mut self, chunk: &[u8], bounds: Bounds) -> io::Result<()> {
        let after = self.bytes + chunk.len() as u64;
        if self.bytes / ROOM_BYTES != after / ROOM_BYTES {
            let dir = self.path.parent().expect("a file lies in a directory");
            make_room(dir, ROOM_BYTES.min(bounds.file_bytes_max), bounds)?;
        }
        self.bytes = after;
        self.file.write_all(chunk)
    }

    fn is_still_there(&self) -> bool {
        self.file.metadata().is_ok_and(|found| found.nlink() > 0)
    }
}

impl Drop for Growing {
    fn drop(&mut self) {
        if !self.is_kept {
            // It may be gone already; what stays is cleared away as the oldest.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Makes the directory of the files, for this user alone.
pub(crate) fn make_dir(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// Removes the oldest files until `needed` more bytes, and one more file, keep to the bounds.
fn make_room(dir: &Path, needed: u64, bounds: Bounds) -> io::Result<()> {
    let mut files = files_of(dir)?;
    files.sort();
    let mut bytes: u64 = files.iter().map(|(_, _, bytes)| bytes).sum();
    let mut n_files = files.len();
    let mut oldest = files.into_iter();
    while bytes + needed > bounds.all_bytes_max || n_files >= bounds.files_max {
        let Some((_, path, its_bytes)) = oldest.next() else {
            return Err(io::Error::other("the output of other programs takes all the room there is"));
        };
        if clear(&path)? {
            bytes -= its_bytes;
            n_files -= 1;
        }
    }
    Ok(())
}

fn files_of(dir: &Path) -> io::Result<Vec<(SystemTime, PathBuf, u64)>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        // One that another host has just cleared away is no trouble.
        let Ok(found) = path.symlink_metadata() else { continue };
        if found.is_file() && path.extension().is_some_and(|extension| extension == "log") {
            files.push((found.modified()?, path, found.len()));
        }
    }
    Ok(files)
}

/// Removes a file; false when a program still writes it.
fn clear(path: &Path) -> io::Result<bool> {
    let gone = |e: &io::Error| e.kind() == io::ErrorKind::NotFound;
    let file = match File::open(path) {
        Err(e) if gone(&e) => return Ok(true),
        file => file?,
    };
    if rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        return Ok(false);
    }
    match std::fs::remove_file(path) {
        Err(e) if !gone(&e) => Err(e),
        Ok(()) | Err(_) => Ok(true),
    }
}

/// Whether a file can be made there and is removed again.
pub(crate) fn try_dir(dir: &Path, id: &str) -> io::Result<()> {
    make_dir(dir)?;
    let growing = Growing::make(dir.join(format!("check-{id}.log")), Bounds::USUAL)?;
    let mut read = [0];
    // What is written is read back by another descriptor.
    (&growing.file).write_all(b"x")?;
    File::open(&growing.path)?.read_exact(&mut read)
}
