//! The extensions a build can choose from: their manifests, and the libraries these came from.
//!
//! It must not know how they were found.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use crate::manifest::Manifest;

/// One extension that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownExtension {
    /// What it says about itself.
    pub manifest: Manifest,
    /// The file its manifest came from.
    pub library: PathBuf,
    /// The schema of its configuration, unread; absent in a library of before there was one.
    pub settings: Option<Arc<[u8]>>,
}

/// All extensions that were found, by id; two files for one id are kept, for the resolution to name both.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    by_id: BTreeMap<String, Vec<KnownExtension>>,
}

impl Catalog {
    /// Makes an empty catalog.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an extension; the same file a second time changes nothing.
    ///
    /// A library that a build names with `path` is added under that very path, or under one below it.
    pub fn add(&mut self, manifest: Manifest, library: impl Into<PathBuf>) {
        self.add_known(KnownExtension { manifest, library: library.into(), settings: None });
    }

    /// The same, of an extension that may have told its settings.
    pub fn add_known(&mut self, extension: KnownExtension) {
        let known = self.by_id.entry(extension.manifest.id.clone()).or_default();
        if known.iter().all(|other| other.library != extension.library) {
            known.push(extension);
        }
    }

    /// All files found for an id, in the order they were added.
    pub fn candidates(&self, id: &str) -> &[KnownExtension] {
        self.by_id.get(id).map_or(&[], Vec::as_slice)
    }

    /// All files found for an id that are `path` or lie below it.
    pub(crate) fn candidates_at(&self, id: &str, path: &Path) -> Vec<&KnownExtension> {
        let path = straight(path);
        self.candidates(id).iter().filter(|known| straight(&known.library).starts_with(&path)).collect()
    }

    /// The ids of all extensions, sorted.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.by_id.keys().map(String::as_str)
    }

    /// The ids of the extensions that provide a contract, sorted.
    pub(crate) fn providers_of(&self, contract: &str) -> Vec<&str> {
        let provides = |known: &KnownExtension| known.manifest.provides.iter().any(|name| name == contract);
        self.by_id.iter().filter(|(_, known)| known.iter().any(provides)).map(|(id, _)| id.as_str()).collect()
    }
}

/// The path without `.` and `..`, by its letters alone: a resolution does not touch the disk.
fn straight(path: &Path) -> PathBuf {
    let mut straight = PathBuf::new();
    for part in path.components() {
        let named = matches!(straight.components().next_back(), Some(Component::Normal(_)));
        match part {
            Component::CurDir => {}
            Component::ParentDir if named => {
                straight.pop();
            }
            part => straight.push(part),
        }
    }
    straight
}
