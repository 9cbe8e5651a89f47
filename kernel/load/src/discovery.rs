//! Finds extensions: `*.so` files with the `.dispatch` section, in a place or as `<place>/<id>/*.so`.
//!
//! It must not run a byte of what it finds. The embedded manifest counts; an `extension.toml` beside it must be equal.

use crate::section::{Section, SectionError};
use dispatch_compose::Manifest;
use dispatch_compose::{Catalog, KnownExtension};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Most entries looked at in one place.
const ENTRIES_MAX: usize = 4096;

/// Most libraries without a section that are remembered.
const PLAIN_MAX: usize = 1024;

/// What was found.
#[derive(Debug, Default)]
pub struct Found {
    /// Extensions that can be resolved.
    pub catalog: Catalog,
    /// Files that look like extensions and are none, one line each.
    pub rejected: Vec<String>,
    /// Libraries that are no extensions: other people's, or one that forgot to say that it is; at most
    /// a thousand.
    pub plain: Vec<PathBuf>,
}

/// Looks in every place, in order. A place that does not exist is empty.
pub fn find_extensions(places: &[PathBuf]) -> Found {
    let mut found = Found::default();
    let mut seen = BTreeSet::new();
    for place in places {
        for file in libraries_of(place) {
            let real = fs::canonicalize(&file.path).unwrap_or_else(|_| file.path.clone());
            if seen.insert(real) {
                take(&mut found, &file);
            }
        }
    }
    found
}

/// A library file, and the id that its own directory demands.
struct Candidate {
    path: PathBuf,
    id: Option<String>,
}

/// A place may be a file itself, a directory of libraries, or a directory of `<id>/*.so`.
fn libraries_of(place: &Path) -> Vec<Candidate> {
    if place.is_file() {
        return vec![Candidate { path: place.to_owned(), id: None }];
    }
    let mut files = Vec::new();
    for path in sorted(place) {
        if is_library(&path) {
            files.push(Candidate { path, id: None });
        } else if path.is_dir() {
            let id = path.file_name().map(|name| name.to_string_lossy().into_owned());
            let inner = sorted(&path).into_iter().filter(|file| is_library(file));
            files.extend(inner.map(|path| Candidate { path, id: id.clone() }));
        }
    }
    files
}

fn sorted(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let mut paths: Vec<PathBuf> =
        entries.take(ENTRIES_MAX).filter_map(Result::ok).map(|e| e.path()).collect();
    paths.sort();
    paths
}

fn is_library(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "so") && path.is_file()
}

fn take(found: &mut Found, candidate: &Candidate) {
    let file = &candidate.path;
    let section = match Section::read(file) {
        Ok(section) => section,
        // Other people's libraries may lie beside ours.
        Err(SectionError::Absent) => {
            if found.plain.len() < PLAIN_MAX {
                found.plain.push(file.clone());
            }
            return;
        }
        Err(e) => {
            let name = file.file_stem().unwrap_or_default().to_string_lossy();
            found.rejected.push(e.describe(&name, file));
            return;
        }
    };
    let manifest = match Manifest::parse(file, &section.manifest) {
        Ok(manifest) => manifest,
        Err(problems) => return found.rejected.push(problems.to_string()),
    };
    if candidate.id.as_ref().is_some_and(|id| *id != manifest.id) {
        // A directory of something else that holds a library of ours, such as a build's intermediate files.
        return;
    }
    match differs_from_its_file(file, &manifest.id, &section.manifest) {
        Some(problem) => found.rejected.push(problem),
        None => {
            let (library, settings) = (file.clone(), section.settings.map(Into::into));
            found.catalog.add_known(KnownExtension { manifest, library, settings });
        }
    }
}

/// `<id>/extension.toml` beside `<id>/*.so` must be what the library embeds.
fn differs_from_its_file(library: &Path, id: &str, embedded: &[u8]) -> Option<String> {
    let dir = library.parent()?;
    if dir.file_name()?.to_str()? != id {
        return None;
    }
    let beside = dir.join("extension.toml");
    let bytes = fs::read(&beside).ok()?;
    (bytes != embedded).then(|| {
        format!(
            "cannot use `{id}`: {} differs from the manifest embedded in {}; build it again, or copy both together",
            beside.display(),
            library.display()
        )
    })
}
