//! One `[[extension]]` of a build list.
//!
//! It must not know the extension's manifest.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use semver::VersionReq;
use serde_json::{Map, Value};
use toml::de::DeTable;

use super::config::table_to_json;
use crate::config_file;
use crate::document::{Reader, Wrong};
use crate::manifest::{Capability, Placement, id};
use crate::problem::shown;
use crate::source::{Place, Placed};

/// The most worker threads of one instance.
pub const WORKERS_MAX: u32 = 16;

const KEYS: [&str; 9] =
    ["id", "from", "version", "path", "placement", "required", "grant", "workers", "config"];

/// One instance as the build configures it; `None` where the build does not say.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The instance's id.
    pub id: Placed<String>,
    /// The extension it is made from, if it has another id than the instance.
    pub from: Option<Placed<String>>,
    /// The versions that will do.
    pub version: Option<Placed<VersionReq>>,
    /// The library, or the directory it lies in; relative paths already start at the build list's directory.
    pub path: Option<Placed<PathBuf>>,
    /// Where it runs.
    pub placement: Option<Placed<Placement>>,
    /// Whether the host refuses to run without it.
    pub required: Option<bool>,
    /// The capabilities it gets; absent = all that its manifest lists.
    pub grant: Option<Vec<Placed<Capability>>>,
    /// Threads of its runtime, 1 to [`WORKERS_MAX`].
    pub workers: Option<u32>,
    /// Its configuration.
    pub config: Map<String, Value>,
    /// Where each value of it is written, by the keys that lead there.
    pub config_places: BTreeMap<Vec<String>, Place>,
}

impl Entry {
    /// The id of the extension it is made from.
    pub fn extension(&self) -> &Placed<String> {
        self.from.as_ref().unwrap_or(&self.id)
    }

    pub(super) fn read(
        reader: &mut Reader,
        table: &DeTable<'_>,
        span: &Range<usize>,
        file: &Path,
    ) -> Option<Self> {
        reader.unknown_keys(table, &KEYS);
        reader.needed(table, "id", span, "\"the-extension\"");
        let id_read = reader.text(table, "id", id);
        let directory = file.parent().unwrap_or(Path::new(""));
        let path = |text: &str| match text {
            "" => Err(Wrong::new("an empty path names no library")),
            text => Ok(directory.join(text)),
        };
        let from = reader.text(table, "from", id);
        let version = reader.text(table, "version", requirement);
        let path = reader.text(table, "path", path);
        let placement = reader.text(table, "placement", Placement::parse);
        let required = reader.flag(table, "required");
        let grant = table.contains_key("grant").then(|| reader.texts(table, "grant", Capability::parse));
        let workers = reader.count(table, "workers", 1..=WORKERS_MAX).map(|placed| placed.value);
        let written = reader.table(table, "config");
        let config_places = written.map(|config| config_file::places(reader, config)).unwrap_or_default();
        let config = written.map(|config| table_to_json(reader, config)).unwrap_or_default();
        let id = id_read?;
        Some(Self { id, from, version, path, placement, required, grant, workers, config, config_places })
    }

    /// Takes over every key that `later` speaks of; `config` key by key as well.
    pub(super) fn take_over(&mut self, later: Self) {
        let Self { id, from, version, path, placement, required, grant, workers, config, config_places } =
            later;
        self.id = id;
        self.from = from.or(self.from.take());
        self.version = version.or(self.version.take());
        self.path = path.or(self.path.take());
        self.placement = placement.or(self.placement.take());
        self.required = required.or(self.required);
        self.grant = grant.or(self.grant.take());
        self.workers = workers.or(self.workers);
        // A key of the table is taken over whole, and the places in it with it.
        self.config_places.retain(|keys, _| !keys.first().is_some_and(|first| config.contains_key(first)));
        self.config_places.extend(config_places);
        self.config.extend(config);
    }
}

fn requirement(text: &str) -> Result<VersionReq, Wrong> {
    VersionReq::parse(text).map_err(|error| {
        let wrong = Wrong::new(format!("`{}` is not a version requirement: {error}", shown(text)));
        wrong.help("write it as `1.2`, `>=1.2, <3` or `*`")
    })
}
