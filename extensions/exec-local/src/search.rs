//! `search`: files by their names, and lines by a pattern, on one page that is bounded in hits, bytes and time.
//!
//! It must not know calls, nor how far paths reach (`reach.rs`).

pub(crate) mod folder;
pub(crate) mod found;
pub(crate) mod globs;
mod ignored;
pub(crate) mod lines;
mod stop;
pub(crate) mod walk;

use self::folder::{Folder, Seen, is_proc, open, top};
use self::found::Page;
use self::globs::Globs;
use self::lines::{Lines, Looked};
pub(crate) use self::stop::Stop;
use self::walk::{Scope, Walked, walk};
use crate::files::{absolute, failed};
use crate::reach::Reach;
use crate::seen::real_path;
use dispatch_sdk::Fault;
use dispatch_sdk::contracts::exec::{FileKind, SearchParams, SearchReply};
use dispatch_sdk::fault::{DENIED, INVALID};
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// Searches until the page is full, everything was looked at, or `stop` is reached.
pub(crate) fn search(params: &SearchParams, reach: &Reach, stop: &Stop) -> Result<SearchReply, Fault> {
    let globs = Globs::new(&params.include, &params.exclude)?;
    let lines = params.lines.as_ref().map(Lines::new).transpose()?;
    let path = absolute(&params.cwd, &params.path)?;
    let failed = |e: io::Error| failed("search", &path, &e);
    let refused =
        |code, found: &str| Err(Fault::new(code, format!("cannot search `{}`: {found}", path.display())));
    let seen = File::from(reach.look(&path).map_err(failed)?);
    let found = seen.metadata().map_err(failed)?;
    if !found.is_dir() && !found.is_file() {
        return refused(INVALID, "it is a device, socket or pipe");
    }
    if is_proc(&seen).map_err(failed)? {
        return refused(DENIED, "what lies in /proc is the host's own, not a tool's");
    }
    let real = real_path(&seen).map_err(failed)?;
    let cwd = Path::new(&params.cwd).canonicalize().unwrap_or_else(|_| PathBuf::from(&params.cwd));
    let mut search = Search { cwd: &cwd, stop, lines, page: Page::new(params), n_binary: 0 };
    if found.is_dir() {
        let top = top(&real, &cwd, reach.confines(&real));
        let (hidden, ignored) = (params.hidden, params.ignored);
        let scope = Scope { hidden, ignored, top: &top, ..Scope::all(&globs, stop) };
        let root = Folder::new(seen.into(), real, reach.barred()).map_err(failed)?;
        let walked =
            walk(root, &scope, |folder, name, path, walked| search.visit(folder, name, path, walked));
        return Ok(search.answer(FileKind::Directory, walked));
    }
    if search.lines.is_none() {
        return refused(INVALID, "it is a file, and names are sought in a directory; name one");
    }
    let mut walked = Walked { stopped: stop.reached(), ..Walked::default() };
    if walked.stopped.is_none() {
        // Nothing follows, whether it has been enough or not.
        let _ = search.look_into(open(seen).map_err(failed)?, &real, &mut walked);
    }
    if search.n_binary > 0 {
        return refused(INVALID, "it is a binary file");
    }
    Ok(search.answer(FileKind::File, walked))
}

/// One search on its way.
struct Search<'a> {
    /// What paths are shown relative to.
    cwd: &'a Path,
    stop: &'a Stop,
    /// Absent = names are sought.
    lines: Option<Lines>,
    page: Page,
    n_binary: u64,
}

impl Search<'_> {
    fn visit(
        &mut self,
        folder: &Folder<'_>,
        name: &OsStr,
        path: &Path,
        walked: &mut Walked,
    ) -> ControlFlow<()> {
        let seen = folder.look(name);
        if self.lines.is_none() {
            let fits = seen.is_err() || self.page.push_file(shown(self.cwd, path));
            return if fits { ControlFlow::Continue(()) } else { ControlFlow::Break(()) };
        }
        match seen.and_then(Seen::open_regular) {
            Ok(Some(file)) => return self.look_into(file, path, walked),
            Ok(None) => {}
            // Out of reach, and passed over in silence.
            Err(e) if e.raw_os_error().is_none() => {}
            Err(_) => walked.n_unread += 1,
        }
        ControlFlow::Continue(())
    }

    fn look_into(&mut self, file: File, path: &Path, walked: &mut Walked) -> ControlFlow<()> {
        let Some(lines) = &mut self.lines else { return ControlFlow::Continue(()) };
        match lines.look_into(file, shown(self.cwd, path), self.stop, &mut self.page) {
            Looked::ToItsEnd => {}
            Looked::Binary => self.n_binary += 1,
            Looked::NotToItsEnd => {
                walked.stopped = self.stop.reached();
                walked.n_unread += u64::from(walked.stopped.is_none());
            }
            Looked::Enough => return ControlFlow::Break(()),
        }
        if walked.stopped.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn answer(self, kind: FileKind, walked: Walked) -> SearchReply {
        SearchReply {
            kind,
            files: self.page.files,
            n_hits: self.page.n_hits,
            more: self.page.more,
            stopped: walked.stopped,
            n_unread: walked.n_unread,
            n_binary: self.n_binary,
            n_too_large: walked.n_too_large,
            ignores_cut: walked.ignores_cut,
        }
    }
}

/// Below the working directory relative, otherwise absolute.
fn shown(cwd: &Path, path: &Path) -> String {
    let below = path.strip_prefix(cwd).ok().filter(|below| !below.as_os_str().is_empty());
    below.unwrap_or(path).to_string_lossy().into_owned()
}
