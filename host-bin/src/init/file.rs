//! Keys of one table put into a configuration file, everything else in it kept as it is.
//!
//! It must not know what a key means.

use crate::exit::Refusal;
use dispatch_compose::ConfigFile;
use serde_json::{Map, Value};
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// The text of the file at `path`, of which `known` tells, with `settings` in the table of `instance`.
///
/// Errors: the file says one of them in a form that is not changed here; the person is told the line.
pub(super) fn merged(
    path: &Path,
    known: Option<&ConfigFile>,
    instance: &str,
    settings: &[(&str, Value)],
) -> Result<String, Refusal> {
    let cannot = |what: String| Refusal::config(format!("cannot change {}: {what}", path.display()));
    let text = match known {
        Some(_) => fs::read_to_string(path).map_err(|e| cannot(e.to_string()))?,
        None => String::new(),
    };
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let of_instance = || known.iter().flat_map(|file| &file.values).filter(|v| v.instance == instance);
    let mut new = Vec::new();
    for (key, value) in settings {
        let line = format!("{key} = {}", in_toml(value));
        let Some(at) = of_instance().find(|v| v.keys[0] == *key).map(|v| v.place.line() - 1) else {
            new.push(line);
            continue;
        };
        let rest = lines[at].trim().strip_prefix(*key).map(str::trim_start);
        let plain = rest
            .is_some_and(|rest| rest.starts_with('=') && !rest.contains("\"\"\"") && !rest.contains("'''"));
        if !plain {
            return Err(cannot(format!(
                "line {} says `{key}` in a form of its own; change it there",
                at + 1
            )));
        }
        lines[at] = line;
    }
    if !new.is_empty() {
        let header = format!("[{instance}]");
        match lines.iter().position(|line| line.trim_start().starts_with(&header)) {
            Some(at) => _ = lines.splice(at + 1..at + 1, new),
            None => {
                lines.extend((!lines.is_empty()).then(String::new));
                lines.push(header);
                lines.extend(new);
            }
        }
    }
    let merged = lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    check(path, known, &merged, instance, settings).map_err(cannot)?;
    Ok(merged)
}

/// That the new text says what it should, and says all else as before.
fn check(
    path: &Path,
    known: Option<&ConfigFile>,
    merged: &str,
    instance: &str,
    settings: &[(&str, Value)],
) -> Result<(), String> {
    let file = ConfigFile::parse(path, merged.as_bytes())
        .map_err(|_| format!("`{instance}` stands there in a form of its own; change it by hand"))?;
    let mut wanted = known.map(tables).unwrap_or_default();
    let table = wanted.entry(instance).or_insert_with(|| Value::Object(Map::new()));
    for (key, value) in settings {
        table[*key] = value.clone();
    }
    (tables(&file) == wanted)
        .then_some(())
        .ok_or_else(|| format!("`{instance}` stands there in several places"))
}

/// What a file says, table by table.
fn tables(file: &ConfigFile) -> Map<String, Value> {
    let mut tables = Map::new();
    for value in &file.values {
        let mut at = tables.entry(value.instance.clone()).or_insert_with(|| Value::Object(Map::new()));
        for key in &value.keys {
            at = &mut at[key.as_str()];
        }
        *at = value.value.clone();
    }
    tables
}

/// A text or `{ env = "NAME" }` as TOML writes it.
pub(super) fn in_toml(value: &Value) -> String {
    match value.get("env") {
        Some(name) => format!("{{ env = {name} }}"),
        // A JSON text is a TOML text as well.
        None => value.to_string(),
    }
}

/// Whole or not at all, for this user alone.
pub(super) fn write(path: &Path, text: &str) -> Result<(), Refusal> {
    let cannot = |e: std::io::Error| Refusal::failed(format!("cannot write {}: {e}", path.display()));
    // A link of the user's stays a link.
    let path = &fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let new = path.with_extension("toml.new");
    let _ = fs::remove_file(&new);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new).map_err(cannot)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(cannot)?;
    fs::rename(&new, path).map_err(cannot)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(text: &str) -> Result<String, String> {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("config.toml");
        fs::write(&path, text).unwrap();
        let known = ConfigFile::read(&path).unwrap();
        let settings =
            [("base_url", json!("http://h/v1")), ("model", json!("m")), ("api_key", json!({ "env": "KEY" }))];
        merged(&path, Some(&known), "toy", &settings).map_err(|refusal| refusal.message)
    }

    const TABLE: &str = "[toy]\nbase_url = \"http://h/v1\"\nmodel = \"m\"\napi_key = { env = \"KEY\" }\n";

    #[test]
    fn what_is_there_stays_as_it_is() {
        assert_eq!(of("").unwrap(), TABLE);
        assert_eq!(of("# mine\n[a]\nb = 1\n").unwrap(), format!("# mine\n[a]\nb = 1\n\n{TABLE}"));
        let old = "[toy] # mine\nother = 1 # kept\nmodel = \"old\"\napi_key = \"sk\"\n[a]\nb = 1\n";
        let new = "[toy] # mine\nbase_url = \"http://h/v1\"\nother = 1 # kept\nmodel = \"m\"\napi_key = { env = \"KEY\" }\n[a]\nb = 1\n";
        assert_eq!(of(old).unwrap(), new);
    }

    #[test]
    fn a_form_that_is_not_understood_is_left_to_the_person() {
        for text in ["toy.model = \"x\"\n", "[toy]\nmodel = \"\"\"\nx\"\"\"\n", "toy = { other = 1 }\n"] {
            let message = of(text).unwrap_err();
            assert!(message.contains("cannot change "), "{message}");
        }
    }
}
