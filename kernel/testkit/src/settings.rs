//! Keeps `src/settings.json`, which `export!(…, settings)` embeds, equal to the settings type that it is made from.
//!
//! It must not know any extension.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde_json::Value;
use std::path::Path;

/// Makes the test that keeps `src/settings.json` what `$settings` says, and in which `UPDATE=1` writes it.
///
/// `$settings` derives `JsonSchema` and denies unknown fields; every key has a doc comment. Bounds are
/// `#[schemars(range(min = …, max = …))]`; `#[schemars(extend("x-reload" = true))]` marks a key that `instance.v1/reload`
/// reaches, `#[schemars(extend("writeOnly" = true))]` a secret, `#[schemars(extend("x-kept" = true))]` a path at which
/// the instance keeps what no tool may reach.
#[macro_export]
macro_rules! settings_test {
    ($settings:ty) => {
        #[test]
        fn the_settings_file_is_what_their_type_says() {
            $crate::settings::hold::<$settings>(env!("CARGO_MANIFEST_DIR"));
        }
    };
}

/// Panics unless the file is what the type says.
#[expect(clippy::disallowed_methods, reason = "`UPDATE=1` is asked for by whoever runs the tests")]
pub fn hold<T: JsonSchema>(crate_dir: &str) {
    let schema = schema_of::<T>();
    each_key(&schema, "", &mut |name, key| {
        assert!(key["description"].is_string(), "the key `{name}` has no doc comment: say what it means");
    });
    let text = format!("{schema:#}\n");
    let path = Path::new(crate_dir).join("src/settings.json");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &text).expect("the checkout is writable");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == text,
        "{} is not what the settings type says; run this test with UPDATE=1 and look at the diff",
        path.display()
    );
}

/// The schema in one piece, without what only repeats the type's own text.
fn schema_of<T: JsonSchema>() -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.inline_subschemas = true;
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
    for word in ["$schema", "title", "description"] {
        schema.remove(word);
    }
    // A table without keys.
    schema.ensure_object().entry("properties").or_insert_with(|| Value::Object(serde_json::Map::new()));
    let schema: Schema = schema;
    let value = schema.to_value();
    assert!(value["additionalProperties"] == false, "the settings type must deny unknown fields");
    value
}

fn each_key(schema: &Value, above: &str, look: &mut impl FnMut(&str, &Value)) {
    for (name, key) in schema["properties"].as_object().into_iter().flatten() {
        let name = format!("{above}{name}");
        look(&name, key);
        each_key(key, &format!("{name}."), look);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Not shown.
    #[derive(JsonSchema, Default, serde::Serialize, serde::Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Toy {
        /// How long.
        #[schemars(range(min = 1, max = 9), extend("x-reload" = true))]
        wait_ms: u64,
        /// Below.
        inner: Inner,
    }

    #[derive(JsonSchema, Default, serde::Serialize, serde::Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Inner {
        key: Option<String>,
    }

    #[test]
    fn a_schema_stands_in_one_piece_with_its_bounds_and_defaults() {
        let schema = schema_of::<Toy>();
        assert_eq!(schema["properties"]["wait_ms"]["default"], 0);
        assert_eq!(schema["properties"]["wait_ms"]["maximum"], 9);
        assert_eq!(schema["properties"]["wait_ms"]["x-reload"], true);
        assert_eq!(schema["properties"]["inner"]["properties"]["key"]["type"][0], "string");
    }

    #[test]
    #[should_panic(expected = "the key `inner.key` has no doc comment")]
    fn a_key_that_nobody_explains_is_refused() {
        hold::<Toy>("/nowhere");
    }
}
