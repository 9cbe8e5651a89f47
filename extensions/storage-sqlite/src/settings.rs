//! What the build may say about the store.

use dispatch_sdk::{Config, Fault, fault};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

const FILE_NAME: &str = "dispatch.db";

/// When a commit is on the disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Synchronous {
    /// Before its reply: it survives a power cut.
    #[default]
    Full,
    /// Some time later: it survives the end of the process, not a power cut.
    Normal,
}

/// The store's file, and how it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) path: PathBuf,
    pub(crate) synchronous: Synchronous,
}

/// What a build may write; a wrong key is refused.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Keys {
    /// The store's file, from the data directory on; absent = `dispatch.db` there.
    #[schemars(extend("x-kept" = true))]
    path: Option<PathBuf>,
    /// When a commit is on the disk: before its reply (it survives a power cut), or some time later.
    synchronous: Synchronous,
}

impl Settings {
    /// Reads them; a relative `path` is meant from the data directory.
    pub(crate) fn read(config: &Config) -> Result<Self, Fault> {
        let keys: Keys = config.parse()?;
        let path = Path::new(&config.dirs().data).join(keys.path.unwrap_or_else(|| FILE_NAME.into()));
        if !path.is_absolute() {
            let message = format!(
                "cannot place the store at `{}`: the host has no data directory; set `path` to an absolute one",
                path.display()
            );
            return Err(Fault::new(fault::INVALID, message));
        }
        Ok(Self { path, synchronous: keys.synchronous })
    }

    /// Whether a commit survives a power cut.
    pub(crate) fn durable(&self) -> bool {
        self.synchronous == Synchronous::Full
    }
}
