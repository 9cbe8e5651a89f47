//! What an instance was opened with.

use dispatch_contracts::Fault;
use dispatch_contracts::fault::INVALID;
use dispatch_contracts::kernel::{Dirs, OpenParams};
use serde::de::DeserializeOwned;

/// The configuration of one instance.
#[derive(Debug, Clone)]
pub struct Config {
    pub(crate) params: OpenParams,
}

impl Config {
    /// Reads the configuration as `T`; a missing configuration is `{}`.
    ///
    /// Errors: `invalid`, naming the instance and the key.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, Fault> {
        let value = match &self.params.config {
            serde_json::Value::Null => serde_json::Value::Object(serde_json::Map::new()),
            value => value.clone(),
        };
        serde_json::from_value(value).map_err(|e| {
            Fault::new(INVALID, format!("cannot read the configuration of `{}`: {e}", self.params.instance))
        })
    }

    /// Instance id of the build.
    pub fn instance(&self) -> &str {
        &self.params.instance
    }

    /// Directories of the host.
    pub fn dirs(&self) -> &Dirs {
        &self.params.dirs
    }
}
