//! `stat`, `read` and `list`: blocking looks at the file system, bounded in bytes and entries.
//!
//! It must not know calls, nor how far paths reach (`reach.rs`). Only regular files and directories are ever opened.

use crate::barred::Refusal;
use crate::reach::Reach;
use crate::seen::{real_path, reopen};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dispatch_sdk::Fault;
use dispatch_sdk::contracts::exec::{
    FileKind, LIST_ENTRIES_MAX, ListEntry, ListParams, ListReply, READ_BYTES_MAX, ReadParams, ReadReply,
    StatParams, StatReply,
};
use dispatch_sdk::fault::{DENIED, INVALID, NOT_FOUND};
use rustix::fs::{Dir, OFlags, PROC_SUPER_MAGIC};
use serde_json::json;
use std::collections::BinaryHeap;
use std::ffi::OsString;
use std::fs::{File, Metadata};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

pub(crate) fn stat(params: &StatParams, reach: &Reach) -> Result<StatReply, Fault> {
    let path = absolute(&params.cwd, &params.path)?;
    let failed = |e: io::Error| failed("look at", &path, &e);
    let seen = reach.look(&path).map_err(failed)?;
    let real_path = real_path(&seen).map_err(failed)?.to_string_lossy().into_owned();
    let found = File::from(seen).metadata().map_err(failed)?;
    Ok(StatReply {
        kind: kind_of(&found),
        bytes: if found.is_file() { found.len() } else { 0 },
        modified_at: modified_at(&found),
        path: path.to_string_lossy().into_owned(),
        real_path,
    })
}

pub(crate) fn read(params: &ReadParams, reach: &Reach) -> Result<ReadReply, Fault> {
    let path = absolute(&params.cwd, &params.path)?;
    let file = open_regular(&path, reach.look(&path))?;
    let bytes_max = match params.bytes_max {
        0 => READ_BYTES_MAX,
        asked => asked.min(READ_BYTES_MAX),
    };
    // One byte more tells whether these were the last ones; the size cannot (it is 0 for files in /proc).
    let asked = usize::try_from(bytes_max).expect("at most READ_BYTES_MAX") + 1;
    let mut data = read_at(&file, params.offset, asked).map_err(|e| failed("read", &path, &e))?;
    let eof = data.len() < asked;
    data.truncate(asked - 1);
    let file_bytes = file.metadata().map_err(|e| failed("look at", &path, &e))?.len();
    Ok(ReadReply { data: STANDARD.encode(&data), file_bytes, eof })
}

pub(crate) fn list(params: &ListParams, reach: &Reach) -> Result<ListReply, Fault> {
    let path = absolute(&params.cwd, &params.path)?;
    let entries_max = match params.entries_max {
        0 => LIST_ENTRIES_MAX,
        asked => asked.min(LIST_ENTRIES_MAX),
    };
    let failed = |e: io::Error| failed("list", &path, &e);
    let seen = reach.look_at_dir(&path).map_err(failed)?;
    let dir = reopen(seen, OFlags::RDONLY | OFlags::DIRECTORY).map_err(failed)?;
    // The first names in order, whatever order the directory has; a heap keeps a huge directory from costing memory.
    let mut first: BinaryHeap<Vec<u8>> = BinaryHeap::new();
    let mut truncated = false;
    for entry in Dir::new(dir).map_err(|e| failed(e.into()))? {
        let name = entry.map_err(|e| failed(e.into()))?.file_name().to_bytes().to_vec();
        if name == b"." || name == b".." {
            continue;
        }
        first.push(name);
        if first.len() > entries_max {
            first.pop();
            truncated = true;
        }
    }
    let entry = |name: Vec<u8>| {
        // A link to outside is like one to nothing.
        let kind = look(&path.join(OsString::from_vec(name.clone())), reach);
        let kind = kind.as_ref().map_or(FileKind::Other, kind_of);
        ListEntry { name: String::from_utf8_lossy(&name).into_owned(), kind }
    };
    Ok(ListReply { entries: first.into_sorted_vec().into_iter().map(entry).collect(), truncated })
}

/// What is there, links followed; nothing is opened.
fn look(path: &Path, reach: &Reach) -> io::Result<Metadata> {
    File::from(reach.look(path)?).metadata()
}

/// The absolute path of `path`, seen from `cwd`.
pub(crate) fn absolute(cwd: &str, path: &str) -> Result<PathBuf, Fault> {
    let refused = |what: &str, found: &str| Err(Fault::new(INVALID, format!("{what}, not `{found}`")));
    if !Path::new(cwd).is_absolute() {
        return refused("the working directory has to be an absolute path", cwd);
    }
    if path.is_empty() || path.as_bytes().contains(&0) {
        return refused("a path has to be text without NUL", &path.escape_debug().to_string());
    }
    // What does not depend on it may be reached from a directory that is gone.
    if !Path::new(path).is_absolute() && !Path::new(cwd).is_dir() {
        let message =
            format!("there is no working directory `{cwd}`, or none any more: `{path}` leads nowhere");
        return Err(Fault::new(NOT_FOUND, message));
    }
    Ok(Path::new(cwd).join(path))
}

/// Opens what was looked at, if it is a regular file: a FIFO would block for ever, and opening a device may already act
/// on it.
pub(crate) fn open_regular(path: &Path, seen: io::Result<OwnedFd>) -> Result<File, Fault> {
    let failed = |e: io::Error| failed("read", path, &e);
    let seen = File::from(seen.map_err(failed)?);
    let found = seen.metadata().map_err(failed)?;
    if !found.is_file() {
        let found = if found.is_dir() { "a directory" } else { "a device, socket or pipe" };
        let message = format!("cannot read `{}`: it is {found}, not a file", path.display());
        return Err(Fault::new(INVALID, message));
    }
    // Read by this process, such files show this process: its environment with its keys, its memory.
    let place = rustix::fs::fstatfs(&seen).map_err(|e| failed(e.into()))?;
    if place.f_type == PROC_SUPER_MAGIC {
        let message = format!(
            "`{}` shows the host's own process and is not read; a program can be run instead",
            path.display()
        );
        return Err(Fault::new(DENIED, message));
    }
    let file = reopen(seen, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY).map_err(failed)?;
    Ok(file.into())
}

fn read_at(file: &File, offset: u64, bytes_max: usize) -> io::Result<Vec<u8>> {
    let size = usize::try_from(file.metadata()?.len().saturating_sub(offset)).unwrap_or(usize::MAX);
    let mut data = vec![0; bytes_max.min(size.saturating_add(1).max(READ_STEP_BYTES))];
    let mut n = 0;
    loop {
        if n == data.len() {
            if n == bytes_max {
                return Ok(data);
            }
            data.resize(bytes_max.min(n + READ_STEP_BYTES), 0);
        }
        match file.read_at(&mut data[n..], offset.saturating_add(n as u64)) {
            Ok(0) => {
                data.truncate(n);
                return Ok(data);
            }
            Ok(more) => n += more,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

/// How much room a file gets that is larger than it says.
const READ_STEP_BYTES: usize = 64 * 1024;

fn kind_of(found: &Metadata) -> FileKind {
    if found.is_file() {
        FileKind::File
    } else if found.is_dir() {
        FileKind::Directory
    } else {
        FileKind::Other
    }
}

fn modified_at(found: &Metadata) -> u64 {
    u64::try_from(found.mtime() * 1000 + found.mtime_nsec() / 1_000_000).unwrap_or(0)
}

/// What the file system said, or why something is out of reach.
pub(crate) fn failed(tried: &str, path: &Path, error: &io::Error) -> Fault {
    match error.get_ref().and_then(|source| source.downcast_ref::<Refusal>()) {
        None => Fault::from_io(&format!("cannot {tried}"), path, error),
        Some(refusal) => {
            let fault = Fault::new(DENIED, format!("cannot {tried} `{}`: {refusal}", path.display()));
            if refusal.is_sensitive { fault.with_detail(json!({ "sensitive": true })) } else { fault }
        }
    }
}
