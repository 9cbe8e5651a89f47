//! Configuration layers: build < user `config.toml` < project `.dispatch/config.toml` < environment `DISPATCH_SET__…` <
//! `--set`. Every value keeps who said it, so that `config explain` can tell.

use crate::argv::{Environment, Invocation};
use crate::config_file::{FILE, believe, read_file, unreadable};
use crate::environment::SET as PREFIX;
use crate::exit::Refusal;
use crate::key_kind::{holds_login, is_secret};
use crate::project::{Project, TrustedSettings};
use crate::project_files::forbidden;
use crate::secrets;
use dispatch_compose::{BuildList, ConfigFile, Plan, nearest, parse_value};
use dispatch_contracts::kernel::Dirs;
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::path::Path;

/// Deepest key of a variable or of `--set`.
const KEY_PARTS_MAX: usize = 8;

/// A layer; the later wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Layer {
    Build,
    User,
    Project,
    Variable,
    Set,
}

impl Layer {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Build => "build",
            Self::User => "user",
            Self::Project => "project",
            Self::Variable => "variable",
            Self::Set => "set",
        }
    }
}

/// One value that one layer gives one key.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Assignment {
    pub(crate) instance: String,
    pub(crate) keys: Vec<String>,
    pub(crate) value: Value,
    pub(crate) layer: Layer,
    /// `<file>:<line>`, the variable, or `--set`.
    pub(crate) place: String,
}

/// Everything that anybody set, the later wins.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Layers {
    pub(crate) assignments: Vec<Assignment>,
    /// What is said of no instance of this build.
    pub(crate) strangers: Vec<Stranger>,
}

/// A table of a configuration file, or a variable, that no instance of this build takes: one of another build, or a slip.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Stranger {
    pub(crate) instance: String,
    /// `<file>:<line>`, or the variable.
    pub(crate) place: String,
    /// The instance of this build that may be meant, as it is written there.
    pub(crate) near: Option<String>,
    /// It is a variable.
    pub(crate) in_environment: bool,
}

impl Stranger {
    /// One line about it and what to do.
    pub(crate) fn note(&self) -> String {
        let near = match &self.near {
            Some(near) => format!("did you mean `{near}`?"),
            None => "it is read by no instance of this build".to_owned(),
        };
        format!("{}: the build has no instance `{}`; {near}", self.place, self.instance)
    }
}

impl Layers {
    /// What the build list itself says.
    pub(crate) fn of_build(build: &BuildList) -> Self {
        let mut assignments = Vec::new();
        for entry in &build.entries {
            for (keys, place) in &entry.config_places {
                let value = keys.iter().try_fold(None, |at: Option<&Value>, key| {
                    at.map_or_else(|| entry.config.get(key), |value| value.get(key)).map(Some)
                });
                let Some(Some(value)) = value else { continue };
                assignments.push(Assignment {
                    instance: entry.id.value.clone(),
                    keys: keys.clone(),
                    value: value.clone(),
                    layer: Layer::Build,
                    place: format!("{}:{}", place.file().display(), place.line()),
                });
            }
        }
        Self { assignments, strangers: Vec::new() }
    }

    /// Adds every later layer.
    pub(crate) fn add_all(
        &mut self,
        plan: &Plan,
        invocation: &Invocation,
        dirs: &Dirs,
        project: &Project,
    ) -> Result<(), Refusal> {
        let known: Vec<&str> = plan.instances.iter().map(|instance| instance.id.as_str()).collect();
        let user = Path::new(&dirs.config).join(FILE);
        believe(&user)?;
        if let Some(file) = read_file(&user)? {
            self.take(&known, Layer::User, file);
        }
        if let Project::Trusted { settings: Some(TrustedSettings { path, bytes }), .. } = project {
            self.project(&known, path, bytes)?;
        }
        self.variables(&known, &invocation.environment)?;
        self.set(&known, &invocation.options.set)
    }

    /// Every variable that any layer names as a secret, also where a later one overrides it: what it holds is a key all
    /// the same.
    pub(crate) fn variables_named(&self) -> BTreeSet<String> {
        let mut named = BTreeSet::new();
        for assignment in &self.assignments {
            // Files say their values one by one: `api_key.env = "NAME"`.
            let of_a_file =
                assignment.keys.len() > 1 && assignment.keys.last().is_some_and(|key| key == "env");
            match assignment.value.as_str().filter(|_| of_a_file) {
                Some(name) => _ = named.insert(name.to_owned()),
                None => secrets::names(&assignment.value, &mut named),
            }
        }
        named
    }

    /// Tables named by instance; those of other builds are left alone, and told of.
    fn take(&mut self, known: &[&str], layer: Layer, file: ConfigFile) {
        for value in file.values {
            let place = format!("{}:{}", file.path.display(), value.place.line());
            if known.contains(&value.instance.as_str()) {
                let (instance, keys, value) = (value.instance, value.keys, value.value);
                self.assignments.push(Assignment { instance, keys, value, layer, place });
            } else if self.strangers.iter().all(|stranger| stranger.instance != value.instance) {
                let near = nearest(&value.instance, known.iter().copied()).map(|near| format!("[{near}]"));
                self.strangers.push(Stranger {
                    instance: value.instance,
                    place,
                    near,
                    in_environment: false,
                });
            }
        }
    }

    /// What a project may say, and nothing beyond.
    fn project(&mut self, known: &[&str], path: &Path, bytes: &[u8]) -> Result<(), Refusal> {
        let file = ConfigFile::parse(path, bytes).map_err(|problems| unreadable(path, &problems))?;
        file.values.iter().try_for_each(|value| forbidden(path, value))?;
        self.take(known, Layer::Project, file);
        Ok(())
    }

    fn variables(&mut self, known: &[&str], environment: &Environment) -> Result<(), Refusal> {
        for (name, value) in environment.with_prefix(PREFIX) {
            let (instance, key) = name.split_once("__").ok_or_else(|| {
                Refusal::config(format!("`{PREFIX}{name}` is not of the form {PREFIX}INSTANCE__KEY"))
            })?;
            let keys: Vec<String> = key.split("__").map(str::to_lowercase).collect();
            if keys.iter().any(String::is_empty) || keys.len() > KEY_PARTS_MAX {
                return Err(Refusal::config(format!(
                    "`{PREFIX}{name}` names no key; write {PREFIX}INSTANCE__KEY"
                )));
            }
            let wanted = instance.to_lowercase();
            let place = format!("{PREFIX}{name}");
            let Some(found) = known.iter().find(|id| id.replace('-', "_") == wanted) else {
                // Variables are shared between builds, so this may be meant for another one.
                let instance = wanted.replace('_', "-");
                let near = nearest(&instance, known.iter().copied())
                    .map(|near| format!("{PREFIX}{}__{key}", near.to_uppercase().replace('-', "_")));
                self.strangers.push(Stranger { instance, place, near, in_environment: true });
                continue;
            };
            let instance = (*found).to_owned();
            let value = value_of(value);
            self.assignments.push(Assignment { instance, keys, value, layer: Layer::Variable, place });
        }
        Ok(())
    }

    fn set(&mut self, known: &[&str], set: &[String]) -> Result<(), Refusal> {
        for assignment in set {
            let (path, value) = assignment.split_once('=').ok_or_else(|| {
                Refusal::usage(format!("`--set {assignment}` is not of the form INSTANCE.KEY=VALUE"))
            })?;
            let mut keys = path.split('.').map(str::to_owned);
            let instance = keys.next().unwrap_or_default();
            let keys: Vec<String> = keys.collect();
            if keys.is_empty() || keys.iter().any(String::is_empty) || keys.len() > KEY_PARTS_MAX {
                return Err(Refusal::usage(format!(
                    "`--set {path}=…` names no key; write INSTANCE.KEY=VALUE"
                )));
            }
            if !known.contains(&instance.as_str()) {
                return Err(Refusal::usage(format!(
                    "`--set {path}=…`: the build has no instance `{instance}`; it has {}",
                    known.join(", ")
                )));
            }
            let (value, place) = (value_of(value), "--set".to_owned());
            self.assignments.push(Assignment { instance, keys, value, layer: Layer::Set, place });
        }
        Ok(())
    }
}

/// Variables of this layer whose value is a credential.
pub(crate) fn secret_variables(environment: &Environment) -> BTreeSet<String> {
    let keys = |name: &str| name.split_once("__").map(|(_, key)| key.to_lowercase());
    let secret = |name: &str| keys(name).is_some_and(|key| is_secret(&key.split("__").collect::<Vec<_>>()));
    let named = environment.with_prefix(PREFIX).filter(|(name, value)| secret(name) || holds_login(value));
    named.map(|(name, _)| format!("{PREFIX}{name}")).collect()
}

/// Those of `--set` whose value is a credential.
pub(crate) fn secret_words(set: &[String]) -> BTreeSet<String> {
    let keys = |path: &str| path.split('.').skip(1).map(str::to_owned).collect::<Vec<_>>();
    let secret = |word: &&String| {
        word.split_once('=').is_some_and(|(path, value)| is_secret(&keys(path)) || holds_login(value))
    };
    set.iter().filter(secret).cloned().collect()
}

/// Merges everything above the build into the plan.
pub(crate) fn apply(plan: &mut Plan, layers: &Layers) {
    for assignment in layers.assignments.iter().filter(|a| a.layer != Layer::Build) {
        let found = plan.instances.iter_mut().find(|instance| instance.id == assignment.instance);
        if let Some(instance) = found {
            put(&mut instance.config, &assignment.keys, assignment.value.clone());
        }
    }
}

/// Puts a value at a key, making tables on the way. An empty table takes nothing away from one that is there.
fn put(config: &mut Value, keys: &[String], value: Value) {
    let Some((first, rest)) = keys.split_first() else {
        if !(config.is_object() && value.as_object().is_some_and(Map::is_empty)) {
            *config = value;
        }
        return;
    };
    if !config.is_object() {
        *config = Value::Object(Map::new());
    }
    if let Value::Object(map) = config {
        put(map.entry(first.clone()).or_insert(Value::Null), rest, value);
    }
}

/// A TOML value if it is one, else the text itself: `3`, `true`, `["a"]`, `{ env = "KEY" }`, `http://…`.
fn value_of(text: &str) -> Value {
    // Only forms that no plain text has are read as TOML, so that a date or `inf` stays what was typed.
    let first = text.trim_start().chars().next().unwrap_or(' ');
    let structured =
        matches!(first, '[' | '{' | '"' | '\'' | '-' | '+' | '0'..='9') || matches!(text, "true" | "false");
    let parsed = if structured { parse_value(text) } else { None };
    parsed.unwrap_or_else(|| Value::String(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_login_in_an_address_is_a_secret_whatever_its_key_is_called() {
        let set =
            ["a.proxy=http://me:pass@proxy.example:1", "a.base_url=http://proxy.example/v1", "a.api_key=k"];
        let words = secret_words(&set.map(str::to_owned));
        assert_eq!(words.into_iter().collect::<Vec<_>>(), [set[2], set[0]]);
        let environment = Environment::of(&[
            ("DISPATCH_SET__A__PROXY", "http://me:pass@proxy.example:1"),
            ("DISPATCH_SET__A__MODEL", "m"),
        ]);
        assert_eq!(
            secret_variables(&environment).into_iter().collect::<Vec<_>>(),
            ["DISPATCH_SET__A__PROXY"]
        );
    }

    #[test]
    fn values_are_toml_where_they_look_like_it_and_text_elsewhere() {
        assert_eq!(value_of("http://127.0.0.1:9/v1"), json!("http://127.0.0.1:9/v1"));
        assert_eq!(value_of("12"), json!(12));
        assert_eq!(value_of("true"), json!(true));
        assert_eq!(value_of("{ env = \"KEY\" }"), json!({ "env": "KEY" }));
        assert_eq!(value_of("127.0.0.1:80"), json!("127.0.0.1:80"));
        assert_eq!(value_of("2026-01-01"), json!("2026-01-01"));
        assert_eq!(value_of("sk-abc"), json!("sk-abc"));
    }

    #[test]
    fn a_value_of_brackets_alone_stays_text_and_ends_no_stack() {
        let deep = "[".repeat(100_000);
        assert_eq!(value_of(&deep), json!(deep));
    }

    #[test]
    fn a_later_layer_changes_only_the_keys_it_names() {
        let mut config = json!({ "a": { "b": 1, "c": 2 }, "d": 3 });
        let keys = |keys: &[&str]| -> Vec<String> { keys.iter().map(|&key| key.to_owned()).collect() };
        put(&mut config, &keys(&["a", "b"]), json!(9));
        put(&mut config, &keys(&["a"]), json!({}));
        put(&mut config, &keys(&["d", "e"]), json!(4));
        put(&mut config, &keys(&["a", "f"]), json!({ "env": "KEY" }));
        assert_eq!(config, json!({ "a": { "b": 9, "c": 2, "f": { "env": "KEY" } }, "d": { "e": 4 } }));
    }
}
