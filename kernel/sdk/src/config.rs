//! What an instance was opened with.

use dispatch_contracts::Fault;
use dispatch_contracts::fault::INVALID;
use dispatch_contracts::kernel::{Dirs, OpenParams};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::fmt;

/// Shortest value that is sought in a message as it stands; a shorter one is sought in quotes alone.
const PLAIN_BYTES_MIN: usize = 8;

/// The configuration of one instance.
#[derive(Clone)]
pub struct Config {
    pub(crate) params: OpenParams,
}

/// Values are left out: some are secrets.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config").field("instance", &self.params.instance).finish_non_exhaustive()
    }
}

impl Config {
    /// Reads the configuration as `T`; a missing configuration is `{}`.
    ///
    /// Errors: `invalid`, naming the instance and the key, and never a text of the configuration, which may be a secret.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, Fault> {
        let value = match &self.params.config {
            Value::Null => Value::Object(serde_json::Map::new()),
            value => value.clone(),
        };
        serde_json::from_value(value).map_err(|e| {
            let why = without_values(e.to_string(), &self.params.config);
            Fault::new(INVALID, format!("cannot read the configuration of `{}`: {why}", self.params.instance))
        })
    }

    /// Instance id of the build.
    pub fn instance(&self) -> &str {
        &self.params.instance
    }

    /// The same instance with another configuration, as `instance.v1/reload` brings it.
    pub fn with(&self, config: Value) -> Self {
        Self { params: OpenParams { config, ..self.params.clone() } }
    }

    /// Directories of the host.
    pub fn dirs(&self) -> &Dirs {
        &self.params.dirs
    }
}

/// The message with each text of the configuration replaced by the key it stands at.
fn without_values(mut message: String, config: &Value) -> String {
    let mut texts = Vec::new();
    collect(config, "", &mut texts);
    // A text may be part of another one.
    texts.sort_by_key(|(_, text)| std::cmp::Reverse(text.len()));
    for (key, text) in texts {
        let shown = format!("(the value of `{key}`)");
        message = message.replace(&format!("{text:?}"), &shown);
        if text.len() >= PLAIN_BYTES_MIN {
            message = message.replace(&format!("`{text}`"), &shown).replace(text, &shown);
        }
    }
    message
}

fn collect<'a>(value: &'a Value, key: &str, texts: &mut Vec<(String, &'a str)>) {
    let below = |name: &str| if key.is_empty() { name.to_owned() } else { format!("{key}.{name}") };
    match value {
        Value::String(text) if !text.is_empty() => texts.push((key.to_owned(), text)),
        Value::Array(items) => {
            for (n, item) in items.iter().enumerate() {
                collect(item, &below(&n.to_string()), texts);
            }
        }
        Value::Object(map) => {
            for (name, inner) in map {
                collect(inner, &below(name), texts);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use serde_json::json;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read by serde")]
    struct Wanted {
        #[serde(default)]
        wait_ms: u64,
        #[serde(default)]
        effect: Option<Effect>,
        #[serde(default)]
        nested: Option<Box<Wanted>>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Effect {
        Read,
        Write,
    }

    fn config(config: Value) -> Config {
        let params = json!({ "instance": "toy", "config": config });
        Config { params: serde_json::from_value(params).expect("parameters") }
    }

    fn refused(value: Value) -> String {
        config(value).parse::<Wanted>().expect_err("it is wrong").message
    }

    #[test]
    fn a_wrong_configuration_names_its_key_and_never_shows_a_text_that_may_be_a_secret() {
        let before = "cannot read the configuration of `toy`: ";
        let secret = "sk-\"quoted\"-secret";
        assert_eq!(
            refused(json!({ "nested": { "wait_ms": secret } })),
            format!("{before}invalid type: string (the value of `nested.wait_ms`), expected u64")
        );
        assert_eq!(
            refused(json!({ "effect": "sk-in-the-wrong-place" })),
            format!("{before}unknown variant (the value of `effect`), expected `read` or `write`")
        );
        assert_eq!(
            refused(json!({ "wiat_ms": 1 })),
            format!("{before}unknown field `wiat_ms`, expected one of `wait_ms`, `effect`, `nested`")
        );
        assert_eq!(
            refused(json!({ "wait_ms": ["sk-secret-in-a-list"] })),
            format!("{before}invalid type: sequence, expected u64")
        );
    }

    #[test]
    fn what_is_printed_of_a_configuration_holds_none_of_its_values() {
        let shown = format!("{:?}", config(json!({ "api_key": "sk-secret" })));
        assert_eq!(shown, "Config { instance: \"toy\", .. }");
    }
}
