//! The bearer token: made once, read from its file at each request, compared in constant time.
//!
//! It must not know HTTP. Nothing is kept between two requests, so that a rotation holds at once whatever the clock of
//! the file system shows; reading 64 bytes of a cached file costs a few microseconds.

use crate::config::{Settings, TOKEN_BYTES_MIN};
use dispatch_sdk::fault::{DENIED, IO};
use dispatch_sdk::{Fault, hex};
use rustix::fs::{FileType, OFlags};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use subtle::ConstantTimeEq;
use tracing::{info, warn};

/// Random bytes of a new token.
const RANDOM_BYTES: usize = 32;
/// Most bytes that are read of a token file.
const FILE_BYTES_MAX: u64 = 4_096;

/// Where the token comes from.
pub(crate) struct Tokens {
    /// `<data>/<instance>`.
    directory: PathBuf,
    /// What was last said about a file that cannot be used, so that it is said once.
    complained: Mutex<Option<String>>,
}

impl Tokens {
    pub(crate) fn new(directory: PathBuf) -> Self {
        Self { directory, complained: Mutex::default() }
    }

    /// The file that holds the token; `None` when the configuration does.
    pub(crate) fn file(&self, settings: &Settings) -> Option<PathBuf> {
        match (&settings.token, &settings.token_file) {
            (Some(_), _) => None,
            (None, Some(file)) => Some(file.clone()),
            (None, None) => Some(self.directory.join("token")),
        }
    }

    /// Makes the file if there is none, and looks whether it can be used.
    pub(crate) fn ensure(&self, settings: &Settings) -> Result<(), Fault> {
        let Some(file) = self.file(settings) else { return Ok(()) };
        match read(&file) {
            Err(Trouble::Missing) => {
                make(&file)?;
                info!(file = %file.display(), "made a token for the HTTP listener");
                Ok(())
            }
            Err(trouble) => Err(trouble.into_fault(&file)),
            Ok(_) => Ok(()),
        }
    }

    /// Whether the token can be used now; changes nothing.
    pub(crate) fn look(&self, settings: &Settings) -> Result<String, Fault> {
        let Some(file) = self.file(settings) else { return Ok("given in the configuration".to_owned()) };
        match read(&file) {
            Ok(_) => Ok(format!("in `{}`, for this user alone", file.display())),
            Err(Trouble::Missing) if settings.token_file.is_none() => {
                Ok(format!("will be made in `{}`", file.display()))
            }
            Err(trouble) => Err(trouble.into_fault(&file)),
        }
    }

    /// Whether `shown` is the token as it is now. With a file that cannot be used, nothing is.
    pub(crate) fn admits(&self, settings: &Settings, shown: &[u8]) -> bool {
        match &settings.token {
            Some(token) => equal(token.0.as_bytes(), shown),
            None => self.current(settings).is_some_and(|token| equal(token.as_bytes(), shown)),
        }
    }

    fn current(&self, settings: &Settings) -> Option<String> {
        let file = self.file(settings)?;
        match read(&file) {
            Ok(token) => {
                self.is_news(None);
                Some(token)
            }
            Err(trouble) => {
                let message = trouble.into_fault(&file).message;
                if self.is_news(Some(&message)) {
                    warn!("{message}; nobody gets in meanwhile");
                }
                None
            }
        }
    }

    /// Whether it stands otherwise than at the last request.
    fn is_news(&self, message: Option<&str>) -> bool {
        let mut complained = self.complained.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = complained.as_deref() != message;
        if is_news {
            *complained = message.map(str::to_owned);
        }
        is_news
    }
}

fn equal(token: &[u8], shown: &[u8]) -> bool {
    token.ct_eq(shown).into()
}

/// Why a token file cannot be used.
enum Trouble {
    Missing,
    Unreadable(std::io::Error),
    NoFile,
    OthersFile { uid: u32 },
    Open { mode: u32 },
    Short { n_bytes: usize },
}

impl Trouble {
    fn into_fault(self, file: &Path) -> Fault {
        let at = format!("cannot use the token file `{}`", file.display());
        match self {
            Self::Missing => Fault::new(IO, format!("{at}: it is not there; make one with mode 0600")),
            Self::Unreadable(e) => Fault::new(IO, format!("{at}: {e}")),
            Self::NoFile => Fault::new(IO, format!("{at}: it is no file, or a link; name the file itself")),
            Self::OthersFile { uid } => {
                Fault::new(DENIED, format!("{at}: it belongs to user {uid}; make one of this user's own"))
            }
            Self::Open { mode } => {
                let message = format!("{at}: others may read or change it (mode {mode:04o}); `chmod 600` it");
                Fault::new(DENIED, message)
            }
            Self::Short { n_bytes } => {
                let message = format!(
                    "{at}: it holds {n_bytes} bytes, a token has at least {TOKEN_BYTES_MIN}; write a longer one"
                );
                Fault::new(DENIED, message)
            }
        }
    }
}

fn read(path: &Path) -> Result<String, Trouble> {
    // Links are not followed and a pipe is not waited for: others may have planted one.
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let mut file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == ErrorKind::NotFound => return Err(Trouble::Missing),
        Err(e) if e.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
            return Err(Trouble::NoFile);
        }
        Err(e) => return Err(Trouble::Unreadable(e)),
    };
    check(&file)?;
    let mut text = String::new();
    Read::by_ref(&mut file).take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(Trouble::Unreadable)?;
    let token = text.trim();
    if token.len() < TOKEN_BYTES_MIN {
        return Err(Trouble::Short { n_bytes: token.len() });
    }
    Ok(token.to_owned())
}

fn check(file: &File) -> Result<(), Trouble> {
    let found = file.metadata().map_err(Trouble::Unreadable)?;
    if FileType::from_raw_mode(found.mode()) != FileType::RegularFile {
        return Err(Trouble::NoFile);
    }
    let own = rustix::process::geteuid().as_raw();
    if found.uid() != own && found.uid() != 0 {
        return Err(Trouble::OthersFile { uid: found.uid() });
    }
    let mode = found.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(Trouble::Open { mode });
    }
    Ok(())
}

/// Writes a new token: whole or not at all, and never readable by others.
fn make(path: &Path) -> Result<(), Fault> {
    let failed = |what: &str, e: &dyn std::fmt::Display| {
        Fault::new(IO, format!("cannot make the token file `{}`: {what}: {e}", path.display()))
    };
    if let Some(directory) = path.parent() {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
        made.map_err(|e| failed("its directory", &e))?;
    }
    let mut random = [0; RANDOM_BYTES];
    getrandom::fill(&mut random).map_err(|e| failed("no random bytes", &e))?;
    let token = hex(&random);
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}", std::process::id()));
    let beside = PathBuf::from(beside);
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        file.write_all(token.as_bytes())?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        std::fs::rename(&beside, path)
    };
    write().map_err(|e| {
        // What is left of the attempt is ours and holds no token in use.
        let _ = std::fs::remove_file(&beside);
        failed("writing", &e)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_the_file_is_said_once_until_it_changes() {
        let tokens = Tokens::new(PathBuf::from("/nowhere"));
        let said = [Some("gone"), Some("gone"), Some("short"), None, None, Some("gone")];
        let news: Vec<_> = said.into_iter().map(|message| tokens.is_news(message)).collect();
        assert_eq!(news, [true, false, true, true, false, true]);
    }
}
