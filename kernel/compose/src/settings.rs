//! The keys of an instance's configuration, as its library tells them without being run: a JSON Schema.
//!
//! It must not know any key, and it never repeats a value, which may be a secret.
//! The schema is what `schemars` makes of the settings type, in one piece; beside the standard words it may say
//! `x-reload: true` of a key that `instance.v1/reload` reaches, `writeOnly: true` of a secret,
//! and `x-kept: true` of a path at which the instance keeps what is nobody's place of work.

mod keys;
mod misfit;

pub use keys::SettingsKey;
pub use misfit::Misfit;

use serde_json::Value;

/// The most bytes of a library's settings schema.
pub const SETTINGS_BYTES_MAX: usize = 64 * 1024;

/// What a library says of its configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    schema: Value,
}

impl Settings {
    /// Reads the schema: a JSON object that describes a table.
    ///
    /// Errors: what is wrong with it, in a few words.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        if bytes.len() > SETTINGS_BYTES_MAX {
            return Err(format!("{} bytes long, at most {SETTINGS_BYTES_MAX}", bytes.len()));
        }
        let schema: Value = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
        match schema["type"].as_str() {
            Some("object") => Ok(Self { schema }),
            _ => Err("it describes no table".to_owned()),
        }
    }

    /// Every key, tables walked through, in the schema's order.
    pub fn keys(&self) -> Vec<SettingsKey> {
        keys::of(&self.schema)
    }

    /// Everything in `config` that does not fit; empty = it fits.
    ///
    /// A value that stands for another one (`{ env = "NAME" }`) counts as a text of which nothing is known.
    pub fn misfits(&self, config: &Value) -> Vec<Misfit> {
        misfit::find(&self.schema, &self.keys(), config)
    }
}

#[cfg(test)]
mod tests;
