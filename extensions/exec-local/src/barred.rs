//! What no file verb reaches: the host's own directories, and the places where a person's secrets lie.
//!
//! It must not know verbs. What decides is where a thing really lies, once it has been looked at and before it is opened:
//! links, `..` and names in /proc lead to the same answer, and so does a directory that is mounted twice. A second
//! descriptor on a database of this very process would, closed, drop the locks of the first; a look does not.
//! A hard link is the file itself under a name outside: only a program can make one.

use crate::seen::{lies_at, real_path};
use crate::sensitive::{AT_HOME, OF_THE_MACHINE};
use dispatch_sdk::Fault;
use dispatch_sdk::contracts::exec::RootsReply;
use dispatch_sdk::contracts::kernel::Dirs;
use dispatch_sdk::fault::INVALID;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Most directories of cut output that are told to a reader that opens files itself.
const OUTPUT_DIRS_MAX: usize = 64;
/// Their name below `<cache>/<instance>`.
const OUTPUT: &str = "output";

/// What is kept out of reach, as the host and the build say.
pub(crate) struct Bars {
    /// The instance whose configuration opens secret places.
    instance: String,
    /// Named paths, and what each is.
    named: Vec<(PathBuf, Kind)>,
    cache: Option<PathBuf>,
}

/// What stands at a path, for all that lies below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Own,
    /// What the host runs: read by whoever likes, and changed by nobody.
    Code,
    Sensitive,
    /// The build lets tools in.
    Open,
}

/// For what a path is looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Read,
    Write,
}

impl Bars {
    /// `open` are the secret places, or parts of them, that the build lets tools into; `~/` is `home`.
    ///
    /// Errors: `invalid`, naming the instance and the place.
    pub(crate) fn new(
        instance: &str,
        dirs: &Dirs,
        home: Option<&Path>,
        open: &[String],
    ) -> Result<Self, Fault> {
        let own = [&dirs.config, &dirs.data, &dirs.state, &dirs.cache, &dirs.run];
        let own = own.into_iter().filter(|dir| !dir.is_empty()).map(|dir| (PathBuf::from(dir), Kind::Own));
        // Beside a database lie its log and its locks.
        let beside = |kept: &String| ["", "-wal", "-shm", "-journal"].map(|end| format!("{kept}{end}"));
        let kept = dirs.kept.iter().flat_map(beside).map(|path| (PathBuf::from(path), Kind::Own));
        let code = dirs.code.iter().map(|path| (PathBuf::from(path), Kind::Code));
        let own = own.chain(kept).chain(code);
        let at_home = home.into_iter().flat_map(|home| AT_HOME.iter().map(|place| home.join(place)));
        let sensitive: Vec<PathBuf> = at_home.chain(OF_THE_MACHINE.iter().map(PathBuf::from)).collect();
        let mut opened = Vec::new();
        for place in open {
            let path = match (place.strip_prefix("~/"), home) {
                (Some(below), Some(home)) => home.join(below),
                // Without a home nothing in it is kept out of reach.
                (Some(_), None) => continue,
                (None, _) => PathBuf::from(place),
            };
            if !sensitive.iter().any(|kept| path.starts_with(kept)) {
                let known: Vec<String> = AT_HOME.iter().map(|place| format!("~/{place}")).collect();
                return Err(Fault::new(
                    INVALID,
                    format!(
                        "`{instance}`: `sensitive_allow` names `{}`, which is not kept out of reach; these are: {}, {}",
                        place.escape_debug(),
                        known.join(", "),
                        OF_THE_MACHINE.join(", ")
                    ),
                ));
            }
            opened.push((path, Kind::Open));
        }
        let named =
            own.chain(sensitive.into_iter().map(|path| (path, Kind::Sensitive))).chain(opened).collect();
        let cache = (!dirs.cache.is_empty()).then(|| PathBuf::from(&dirs.cache));
        Ok(Self { instance: instance.to_owned(), named, cache })
    }

    /// Where all of it really lies at this moment.
    pub(crate) fn now(&self, way: Way) -> Barred {
        let mut lookups = Lookups::default();
        let (mut places, mut ids) = (Vec::with_capacity(self.named.len()), HashMap::new());
        for (path, kind) in &self.named {
            let (place, id) = lookups.look(path);
            ids.extend(id.map(|id| (id, place.clone())));
            places.push((place, *kind));
        }
        let cache = self.cache.as_deref().map(|cache| lookups.look(cache).0);
        Barred { instance: self.instance.clone(), way, places, ids, cache }
    }
}

/// What is out of reach now.
pub(crate) struct Barred {
    instance: String,
    way: Way,
    places: Vec<(PathBuf, Kind)>,
    /// The same places by device and inode: they may be mounted elsewhere as well.
    ids: HashMap<Id, PathBuf>,
    cache: Option<PathBuf>,
}

/// Why something is out of reach.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) message: String,
    pub(crate) is_sensitive: bool,
}

impl Barred {
    /// Whether what was looked at may be reached.
    ///
    /// Errors: the system's; one made of [`Refusal`].
    pub(crate) fn check(&self, seen: impl AsFd) -> io::Result<()> {
        self.check_path(&real_path(seen)?)
    }

    /// The same for a name in a directory, whether there is something or not.
    pub(crate) fn check_name(&self, dir: impl AsFd, name: &OsStr) -> io::Result<()> {
        self.check_path(&real_path(dir)?.join(name))
    }

    /// The same for an absolute path without links.
    pub(crate) fn check_path(&self, real: &Path) -> io::Result<()> {
        self.refuses(real)?;
        for above in real.ancestors() {
            let Ok(found) = fs::metadata(above) else { continue };
            if let Some(place) = self.ids.get(&id_of(&found)) {
                self.refuses(&place.join(real.strip_prefix(above).expect("it is an ancestor")))?;
            }
        }
        Ok(())
    }

    /// Whether something may be out of reach in a directory by its name, although the directory is in reach.
    pub(crate) fn is_near(&self, dir: &Path) -> bool {
        self.places.iter().any(|(place, _)| place.starts_with(dir))
    }

    /// The same as `check` for what was found in a directory that is in reach; `named` is its path without links where
    /// the directory `is_near`.
    pub(crate) fn check_in(&self, named: Option<&Path>, found: &fs::Metadata) -> io::Result<()> {
        named.map_or(Ok(()), |named| self.refuses(named))?;
        self.ids.get(&id_of(found)).map_or(Ok(()), |place| self.refuses(place))
    }

    /// The nearest place above decides; where two are the same, the build's word holds.
    fn refuses(&self, real: &Path) -> io::Result<()> {
        if self.way == Way::Write && self.would_be_code(real) {
            let message = format!(
                "`{}` would lie among the host's own libraries; no tool writes there",
                real.display()
            );
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                Refusal { message, is_sensitive: false },
            ));
        }
        let above = self.places.iter().filter(|(place, _)| real.starts_with(place));
        let (place, kind) = match above.max_by_key(|(place, _)| place.as_os_str().len()) {
            None | Some((_, Kind::Open)) => return Ok(()),
            Some((_, Kind::Own)) if self.is_output(real) => return Ok(()),
            Some((_, Kind::Code)) if self.way == Way::Read => return Ok(()),
            Some((place, kind)) => (place.display(), *kind),
        };
        let instance = &self.instance;
        let (message, is_sensitive) = match kind {
            Kind::Sensitive => {
                let how = format!("the build can open it by `{instance}.sensitive_allow`");
                (format!("`{place}` is kept out of reach, since secrets lie there; {how}"), true)
            }
            Kind::Code => (format!("the host runs `{place}`; no tool changes it"), false),
            Kind::Own | Kind::Open => {
                (format!("the host keeps `{place}` for itself; it is no place of work"), false)
            }
        };
        Err(io::Error::new(io::ErrorKind::PermissionDenied, Refusal { message, is_sensitive }))
    }

    /// Whether a library of that name would be found beside those that run.
    fn would_be_code(&self, real: &Path) -> bool {
        let mut code = self.places.iter().filter(|(_, kind)| *kind == Kind::Code);
        real.extension().is_some_and(|extension| extension == "so")
            && code.any(|(place, _)| place.parent() == real.parent())
    }

    /// Output that was cut is there to be read, that of any instance.
    fn is_output(&self, real: &Path) -> bool {
        let below = self.cache.as_ref().and_then(|cache| real.strip_prefix(cache).ok());
        let name = below.and_then(|below| below.components().nth(1));
        self.way == Way::Read && name.is_some_and(|name| name.as_os_str() == OUTPUT)
    }

    /// The same for a reader that opens files itself.
    pub(crate) fn tell(&self, reply: &mut RootsReply) {
        for (place, kind) in &self.places {
            let place = place.to_string_lossy().into_owned();
            match kind {
                Kind::Own => reply.except.push(place),
                Kind::Sensitive => reply.sensitive.push(place),
                Kind::Open => reply.except_but.push(place),
                // Readers may read it.
                Kind::Code => {}
            }
        }
        let instances = self.cache.iter().filter_map(|cache| fs::read_dir(cache).ok()).flatten().flatten();
        let outputs = instances.map(|instance| instance.path().join(OUTPUT));
        let outputs = outputs.filter(|dir| dir.symlink_metadata().is_ok_and(|found| found.is_dir()));
        let outputs = outputs.take(OUTPUT_DIRS_MAX).map(|dir| dir.to_string_lossy().into_owned());
        reply.except_but.extend(outputs);
    }
}

/// Device and inode.
type Id = (u64, u64);

/// Where named places lie: most of some sixty are not there, and have few directories above them, each looked up once.
///
/// It lives as long as one call. What was looked up a moment ago may be another link by now.
#[derive(Default)]
pub(crate) struct Lookups {
    /// Where a directory lies, and whether it is there.
    dirs: HashMap<PathBuf, (PathBuf, bool)>,
}

impl Lookups {
    /// As [`lies_at`], and what is there.
    pub(crate) fn look(&mut self, path: &Path) -> (PathBuf, Option<Id>) {
        if let (Some(dir), Some(name)) = (path.parent(), path.file_name()) {
            let (dir, is_there) = self.dir(dir);
            let place = dir.join(name);
            if !is_there {
                return (place, None);
            }
            match place.symlink_metadata() {
                Ok(found) if !found.is_symlink() => return (place, Some(id_of(&found))),
                Err(e) if e.kind() == io::ErrorKind::NotFound => return (place, None),
                // A link to nothing is something: it leads to where that would be made.
                Ok(_) | Err(_) => {}
            }
        }
        let place = lies_at(path);
        let found = place.metadata().ok();
        (place, found.as_ref().map(id_of))
    }

    fn dir(&mut self, dir: &Path) -> (PathBuf, bool) {
        if let Some(known) = self.dirs.get(dir) {
            return known.clone();
        }
        let (place, id) = self.look(dir);
        let known = (place, id.is_some());
        self.dirs.insert(dir.to_owned(), known.clone());
        known
    }
}

fn id_of(found: &fs::Metadata) -> Id {
    (found.dev(), found.ino())
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Refusal {}
