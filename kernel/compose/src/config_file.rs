//! A configuration file: a table for each instance, its values one by one with their places.
//!
//! It must not know which instances there are, nor what a value means. Such a file may be written by anybody and may
//! hold keys: it is read within bounds, and whoever shows its problems leaves the line's text out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::build_list::to_json;
use crate::document::{self, Reader, Wrong};
use crate::problem::{Problems, shown};
use crate::source::{Place, Source};

/// The longest configuration file that is read, in bytes.
pub const CONFIG_BYTES_MAX: usize = 256 << 10;
/// The longest single value that is read, in bytes.
const VALUE_BYTES_MAX: usize = 64 << 10;

/// What a configuration file says, in the order of its keys.
#[derive(Debug, Clone)]
pub struct ConfigFile {
    /// The file.
    pub path: PathBuf,
    /// Every value; a table stands as the values in it.
    pub values: Vec<ConfigValue>,
}

/// One value of one instance.
#[derive(Debug, Clone)]
pub struct ConfigValue {
    /// The table it stands in.
    pub instance: String,
    /// The keys that lead to it; never empty.
    pub keys: Vec<String>,
    /// No table, unless an empty one.
    pub value: Value,
    /// Where it is written.
    pub place: Place,
}

impl ConfigFile {
    /// Reads a file of at most [`CONFIG_BYTES_MAX`] bytes, or tells all that is wrong with it.
    pub fn read(path: &Path) -> Result<Self, Problems> {
        Self::of(&Source::read(path, CONFIG_BYTES_MAX)?)
    }

    /// The same of bytes that were read already.
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Self, Problems> {
        Self::of(&Source::from_bytes(path, bytes, CONFIG_BYTES_MAX)?)
    }

    fn of(source: &Arc<Source>) -> Result<Self, Problems> {
        let document = document::parse(source).map_err(Problems)?;
        let mut reader = Reader::new(source);
        let mut values = Vec::new();
        for (instance, table) in document.get_ref().iter() {
            let instance = instance.get_ref().to_string();
            let DeValue::Table(table) = table.get_ref() else {
                let message = format!("`{}` is not a table", shown(&instance));
                let help = format!("write `[{}]` and keys below it", shown(&instance));
                reader.refuse(&table.span(), Wrong::new(message).help(help));
                continue;
            };
            each_value(table, &mut Vec::new(), &mut |keys, value| {
                let place = reader.place(value.span());
                let json = to_json(&mut reader, value);
                let (instance, keys) = (instance.clone(), keys.to_vec());
                values.extend(json.map(|value| ConfigValue { instance, keys, value, place }));
            });
        }
        Problems(reader.finish()).none_or(|| Self { path: source.path.clone(), values })
    }
}

/// Reads one TOML value, as it stands after `=`; `None` if it is none, or nests too deep, or is a date.
pub fn parse_value(text: &str) -> Option<Value> {
    // Anything after a line's end would be another key.
    if text.contains(['\n', '\r']) {
        return None;
    }
    let line = format!("v = {text}");
    let source = Source::from_bytes(Path::new("value"), line.as_bytes(), VALUE_BYTES_MAX).ok()?;
    let document = document::parse(&source).ok()?;
    let value = document.get_ref().get("v").filter(|_| document.get_ref().len() == 1)?;
    if matches!(value.get_ref(), DeValue::Datetime(_)) {
        return None;
    }
    let mut reader = Reader::new(&source);
    let json = to_json(&mut reader, value);
    json.filter(|_| reader.finish().is_empty())
}

/// The places of the values in a table, by the keys that lead to them.
pub(crate) fn places(reader: &Reader, table: &DeTable<'_>) -> BTreeMap<Vec<String>, Place> {
    let mut places = BTreeMap::new();
    each_value(table, &mut Vec::new(), &mut |keys, value| {
        places.insert(keys.to_vec(), reader.place(value.span()));
    });
    places
}

/// Visits every value that is no table, and every empty table. The document's own bound keeps the recursion shallow.
fn each_value(
    table: &DeTable<'_>,
    keys: &mut Vec<String>,
    visit: &mut impl FnMut(&[String], &Spanned<DeValue<'_>>),
) {
    for (key, value) in table.iter() {
        keys.push(key.get_ref().to_string());
        match value.get_ref() {
            DeValue::Table(inner) if !inner.is_empty() => each_value(inner, keys, visit),
            _ => visit(keys, value),
        }
        keys.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(text: &str) -> Result<Vec<(String, String, Value, usize)>, String> {
        let source = Source::from_bytes(Path::new("config.toml"), text.as_bytes(), CONFIG_BYTES_MAX);
        let file = source.and_then(|source| ConfigFile::of(&source)).map_err(|e| e.to_string())?;
        let flat = |v: ConfigValue| (v.instance, v.keys.join("."), v.value, v.place.line());
        Ok(file.values.into_iter().map(flat).collect())
    }

    #[test]
    fn every_value_has_its_instance_its_keys_and_its_line() {
        let text = "[a]\nx = 1\n\n[a.b]\ny = [1, { z = 2 }]\nnone = {}\n[c-d]\nk = { env = \"K\" }\n";
        let line =
            |instance: &str, keys: &str, value, line| (instance.to_owned(), keys.to_owned(), value, line);
        let expected = vec![
            line("a", "b.none", json!({}), 6),
            line("a", "b.y", json!([1, { "z": 2 }]), 5),
            line("a", "x", json!(1), 2),
            line("c-d", "k.env", json!("K"), 8),
        ];
        let mut found = read(text).unwrap();
        found.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
        assert_eq!(found, expected);
    }

    #[test]
    fn a_file_that_does_not_hold_is_refused_whole_with_every_place() {
        let problems = read("top = 1\n[a]\nx = 1e999\ny = \n").unwrap_err();
        assert!(problems.contains(":4:"), "{problems}");
        let problems = read("top = 1\n[a]\nx = inf\n").unwrap_err();
        assert!(problems.contains("`top` is not a table") && problems.contains(":3:"), "{problems}");
    }

    #[test]
    fn brackets_within_brackets_are_refused_and_not_followed_to_the_end_of_the_stack() {
        let deep = format!("[a]\nx = {}{}\n", "[".repeat(13_000), "]".repeat(13_000));
        assert!(read(&deep).is_err());
        assert_eq!(parse_value(&deep[8..deep.len() - 1]), None);
        assert!(read(&format!("[a]\n{}.x = 1\n", vec!["k"; 5_000].join("."))).is_err());
    }

    #[test]
    fn one_value_alone_is_read_and_nothing_beside_it() {
        assert_eq!(parse_value("[1, \"a\"]"), Some(json!([1, "a"])));
        assert_eq!(parse_value("{ env = \"KEY\" }"), Some(json!({ "env": "KEY" })));
        for none in ["2026-01-01", "1\nw = 2", "", "[1", "inf", "http://x"] {
            assert_eq!(parse_value(none), None, "{none}");
        }
    }
}
