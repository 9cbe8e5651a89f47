//! The `AGENTS.md` files of a project, from its git root down to the working directory.
//!
//! It must not know the prompt around them, nor read a byte of a file in a directory that nobody trusts, or of one that a
//! link leads to out of that root, nor use one that is not as it was when somebody trusted it. A file that is missing is
//! fine; one that cannot be read is skipped.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dispatch_sdk::contracts::exec::{FileKind, Read, ReadParams, Stat, StatParams};
use dispatch_sdk::contracts::kernel::{Trusted, TrustedParams};
use dispatch_sdk::fault::{NO_SERVICE, NOT_FOUND};
use dispatch_sdk::{Fault, Host, hex};
use sha2::{Digest as _, Sha256};
use std::path::Path;

/// Most bytes of all files together.
pub(crate) const AGENTS_BYTES_MAX: usize = 64 * 1024;
/// Most bytes of one file: a longer one is trusted by nobody.
const FILE_BYTES_MAX: usize = 256 * 1024;
/// Most directories between the working directory and the root that are looked at.
const DEPTH_MAX: usize = 64;
const NAME: &str = "AGENTS.md";

/// What the files say, and which of them were not asked.
#[derive(Debug, Default)]
pub(crate) struct Agents {
    /// The files' text, each under its path, root first; empty when there is none.
    pub(crate) text: String,
    /// Paths of files that nobody trusts, or not as they are, root first.
    pub(crate) untrusted: Vec<String>,
}

/// Reads the files that a person trusts.
///
/// Errors: those of the router; what the file system answers is no error.
pub(crate) async fn read(host: &Host, cwd: &str) -> Result<Agents, Fault> {
    let Agents { mut text, mut untrusted } = Agents::default();
    let mut bytes_left = AGENTS_BYTES_MAX;
    let dirs = directories(host, cwd).await?;
    let Some(root) = dirs.first() else { return Ok(Agents::default()) };
    let root = real_path(host, cwd, root).await?;
    for dir in dirs {
        let path = Path::new(dir).join(NAME).to_string_lossy().into_owned();
        if !trusted(host, dir, None).await? {
            if is_there(host, cwd, &path).await? {
                untrusted.push(path);
            }
            continue;
        }
        let Some(real) = real_path(host, cwd, &path).await? else { continue };
        if root.as_ref().is_none_or(|root| !Path::new(&real).starts_with(root)) {
            // What a person trusts is the project: a link leads to what nobody has seen, and may change any time.
            tracing::warn!(
                path,
                real,
                "an instruction file leads out of its project; the prompt is without it"
            );
            continue;
        }
        let Some(data) = file(host, cwd, &real).await? else { continue };
        if !trusted(host, dir, Some(&data)).await? {
            untrusted.push(path);
            continue;
        }
        let (found, cut) = cut_to(&data, bytes_left);
        bytes_left -= found.len();
        let found = found.trim();
        if !found.is_empty() {
            text.push_str(&format!("\nInstructions from {path}:\n\n{found}\n"));
        }
        if cut {
            text.push_str(&format!(
                "\n[instructions are cut here: more than {AGENTS_BYTES_MAX} bytes in all; read the rest of {path} \
                 and of those below it when you need it]\n"
            ));
            break;
        }
    }
    Ok(Agents { text, untrusted })
}

/// Whether what lies in `dir`, or the file in it with these bytes, may instruct. A host that cannot tell is trouble and no
/// yes.
async fn trusted(host: &Host, dir: &str, data: Option<&[u8]>) -> Result<bool, Fault> {
    let (file, sha256) = match data {
        None => Default::default(),
        Some(data) => (NAME.to_owned(), hex(&Sha256::digest(data))),
    };
    host.call(Trusted, &TrustedParams { dir: dir.to_owned(), file, sha256 }).await.map(|reply| reply.trusted)
}

/// Whether there is anything that would have been read; its content is nobody's business.
async fn is_there(host: &Host, cwd: &str, path: &str) -> Result<bool, Fault> {
    match host.call(Stat, &StatParams { path: path.to_owned(), cwd: cwd.to_owned() }).await {
        Ok(_) => Ok(true),
        Err(fault) if is_of_the_file_system(&fault) => Ok(false),
        Err(fault) => Err(fault),
    }
}

/// Where it really lies; none if there is nothing, it may not be looked at, or nobody can tell.
async fn real_path(host: &Host, cwd: &str, path: &str) -> Result<Option<String>, Fault> {
    match host.call(Stat, &StatParams { path: path.to_owned(), cwd: cwd.to_owned() }).await {
        Ok(found) if found.real_path.is_empty() => {
            tracing::warn!(path, "nobody can tell where this really lies; no instructions are read there");
            Ok(None)
        }
        Ok(found) => Ok(Some(found.real_path)),
        Err(fault) if is_of_the_file_system(&fault) => {
            if !fault.is(NOT_FOUND) {
                tracing::warn!(fault = %fault, "an instruction file cannot be read; the prompt is without it");
            }
            Ok(None)
        }
        Err(fault) => Err(fault),
    }
}

/// From the git root, or from `cwd` itself outside a repository, down to `cwd`.
async fn directories<'a>(host: &Host, cwd: &'a str) -> Result<Vec<&'a str>, Fault> {
    let mut upward = Vec::new();
    for dir in Path::new(cwd).ancestors().take(DEPTH_MAX).filter_map(Path::to_str) {
        upward.push(dir);
        let path = Path::new(dir).join(".git").to_string_lossy().into_owned();
        match host.call(Stat, &StatParams { path, cwd: cwd.to_owned() }).await {
            // A file in a worktree or a submodule.
            Ok(found) if found.kind != FileKind::Other => {
                upward.reverse();
                return Ok(upward);
            }
            Ok(_) => {}
            // Nobody serves files: there are none.
            Err(fault) if fault.is(NO_SERVICE) => return Ok(Vec::new()),
            Err(fault) if is_of_the_file_system(&fault) => {}
            Err(fault) => return Err(fault),
        }
    }
    upward.truncate(1);
    Ok(upward)
}

/// The bytes of a file, at most one more than can be trusted; none if it cannot be read.
async fn file(host: &Host, cwd: &str, path: &str) -> Result<Option<Vec<u8>>, Fault> {
    let bytes_max = FILE_BYTES_MAX as u64 + 1;
    let params = ReadParams { path: path.to_owned(), cwd: cwd.to_owned(), offset: 0, bytes_max };
    let read = match host.call(Read, &params).await {
        Ok(read) => read,
        Err(fault) if is_of_the_file_system(&fault) => {
            if !fault.is(NOT_FOUND) {
                tracing::warn!(fault = %fault, "an instruction file cannot be read; the prompt is without it");
            }
            return Ok(None);
        }
        Err(fault) => return Err(fault),
    };
    let Ok(data) = STANDARD.decode(&read.data) else {
        tracing::warn!(path, "an instruction file came as no base64; the prompt is without it");
        return Ok(None);
    };
    Ok(Some(data))
}

/// The text of at most `bytes_max` bytes, and whether there are more.
fn cut_to(data: &[u8], bytes_max: usize) -> (String, bool) {
    let mut text = String::from_utf8_lossy(data).into_owned();
    let cut = text.len() > bytes_max;
    text.truncate(text.floor_char_boundary(bytes_max));
    (text, cut)
}

fn is_of_the_file_system(fault: &Fault) -> bool {
    ["not_found", "denied", "invalid", "io"].contains(&fault.code.as_str())
}
