//! What `exec.v1` keeps out of reach: passed over in silence where a walk meets it, refused where it is named.
//!
//! It must not know why; the rule is that of `exec.v1/roots`: of all that lies above a path, or is it, the nearest decides.

use dispatch_sdk::contracts::exec::RootsReply;
use std::collections::HashMap;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Own,
    Sensitive,
    Open,
}

pub(crate) struct Barred {
    places: Vec<(PathBuf, Kind)>,
    /// Those that are there and are not to be read, by device and inode: one may be mounted elsewhere as well.
    ids: HashMap<(u64, u64), PathBuf>,
}

impl Barred {
    pub(crate) fn new(reach: &RootsReply) -> Self {
        let all =
            |paths: &[String], kind| paths.iter().map(|path| (PathBuf::from(path), kind)).collect::<Vec<_>>();
        // The last of the same path decides.
        let mut places = all(&reach.except, Kind::Own);
        places.extend(all(&reach.sensitive, Kind::Sensitive));
        places.extend(all(&reach.except_but, Kind::Open));
        let mut barred = Self { places, ids: HashMap::new() };
        let shut = barred.places.iter().filter(|(place, _)| barred.refuses_name(place).is_some());
        let id = |place: &PathBuf| Some((id_of(&fs::metadata(place).ok()?), place.clone()));
        barred.ids = shut.filter_map(|(place, _)| id(place)).collect();
        barred
    }

    /// Why an absolute path is not to be read, whatever the directories above it are called. If it is a link, that is meant.
    pub(crate) fn refuses(&self, path: &Path) -> Option<String> {
        let by_id = |above: &Path| {
            let found = if above == path { above.symlink_metadata() } else { above.metadata() };
            let place = self.ids.get(&id_of(&found.ok()?))?;
            self.refuses_name(&place.join(path.strip_prefix(above).ok()?))
        };
        self.refuses_name(path).or_else(|| path.ancestors().find_map(by_id))
    }

    fn refuses_name(&self, path: &Path) -> Option<String> {
        let above = self.places.iter().filter(|(place, _)| path.starts_with(place));
        let (place, kind) = above.max_by_key(|(place, _)| place.as_os_str().len())?;
        let place = place.display();
        match kind {
            Kind::Own => Some(format!("the host keeps `{place}` for itself; it is no place of work")),
            Kind::Sensitive => Some(format!("`{place}` is kept out of reach, since secrets lie there")),
            Kind::Open => None,
        }
    }

    /// Whether a walk passes it over that came to it from a directory that may be read.
    pub(crate) fn hides(&self, path: &Path) -> bool {
        let is_shut = |found: Metadata| self.ids.contains_key(&id_of(&found));
        self.refuses_name(path).is_some() || path.symlink_metadata().is_ok_and(is_shut)
    }
}

fn id_of(found: &Metadata) -> (u64, u64) {
    (found.dev(), found.ino())
}
