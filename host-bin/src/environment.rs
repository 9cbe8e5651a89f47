//! The environment, read once, and what in it cannot be meant.
//!
//! It must not know what a variable is for beyond its form.

use crate::exit::Refusal;
use dispatch_compose::nearest;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::Path;

/// Every variable of the host's own begins so.
const OWN: &str = "DISPATCH_";
/// Those that configure an instance begin so.
pub(crate) const SET: &str = "DISPATCH_SET__";
/// The other ones of the host's own.
const KNOWN: [&str; 3] = ["DISPATCH_HOME", "DISPATCH_LOG", "DISPATCH_LOG_FORMAT"];
/// Directories that more than one thing depends on; who alone needs another one looks at it where it is used.
const DIRECTORIES: [&str; 2] = ["DISPATCH_HOME", "HOME"];
/// Variables that name directories, of systemd and of XDG, end so.
const DIRECTORY_ENDINGS: [&str; 3] = ["_DIRECTORY", "_HOME", "_RUNTIME_DIR"];

/// The environment.
#[derive(Debug, Default, Clone)]
pub(crate) struct Environment {
    variables: BTreeMap<String, String>,
    /// Those whose value is no text.
    unreadable: BTreeSet<String>,
}

impl Environment {
    #[expect(clippy::disallowed_methods, reason = "the one place where the environment is read")]
    pub(crate) fn read() -> Self {
        Self::from(std::env::vars_os())
    }

    fn from(all: impl Iterator<Item = (OsString, OsString)>) -> Self {
        let mut environment = Self::default();
        for (name, value) in all {
            let Ok(name) = name.into_string() else { continue };
            match value.into_string() {
                Ok(value) => _ = environment.variables.insert(name, value),
                Err(_) => _ = environment.unreadable.insert(name),
            }
        }
        environment
    }

    /// A variable; an empty one is unset.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Every variable that begins with `prefix` and is not empty, without the prefix.
    pub(crate) fn with_prefix<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        let set = self.variables.iter().filter(|(_, value)| !value.is_empty());
        set.filter_map(move |(name, value)| Some((name.strip_prefix(prefix)?, value.as_str())))
    }

    /// Refuses what would send everything to another place than the one that is meant.
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        let matters = |name: &&String| {
            name.starts_with(OWN)
                || DIRECTORY_ENDINGS.iter().any(|end| name.ends_with(end))
                || *name == "HOME"
        };
        if let Some(name) = self.unreadable.iter().find(matters) {
            return Err(Refusal::config(format!(
                "the value of {name} is not UTF-8; set it anew, or unset it"
            )));
        }
        for name in DIRECTORIES {
            if let Some(dir) = self.get(name).filter(|dir| !Path::new(dir).is_absolute()) {
                return Err(Refusal::config(format!("{name} is `{dir}`, which is not an absolute path")));
            }
        }
        Ok(())
    }

    /// One line for each variable that looks like the host's own and that nobody reads; `named` are read as secrets.
    pub(crate) fn strangers(&self, named: &BTreeSet<String>) -> Vec<String> {
        let unknown = self.with_prefix(OWN).map(|(rest, _)| format!("{OWN}{rest}")).filter(|name| {
            !name.starts_with(SET) && !KNOWN.contains(&name.as_str()) && !named.contains(name)
        });
        unknown.map(|name| format!("the variable {name} is read by nobody; {}", meant(&name))).collect()
    }

    #[cfg(test)]
    pub(crate) fn of(variables: &[(&str, &str)]) -> Self {
        Self::from(variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))))
    }
}

fn meant(name: &str) -> String {
    let form = format!("{SET}INSTANCE__KEY");
    // Only what comes after the common beginning can be a slip.
    let rest = name.strip_prefix(OWN).unwrap_or(name);
    if rest.starts_with("SET") {
        return format!("did you mean `{form}`?");
    }
    let known = KNOWN.iter().filter_map(|known| known.strip_prefix(OWN));
    match nearest(rest, known) {
        Some(near) => format!("did you mean `{OWN}{near}`?"),
        None => format!("the host's own are {}, {form}", KNOWN.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStringExt as _;

    #[test]
    fn a_directory_that_is_relative_is_refused_by_its_name() {
        let refused = |variables: &[(&str, &str)]| Environment::of(variables).check().unwrap_err().message;
        assert_eq!(refused(&[("HOME", "here")]), "HOME is `here`, which is not an absolute path");
        assert!(refused(&[("HOME", "/h"), ("DISPATCH_HOME", "~/x")]).starts_with("DISPATCH_HOME is `~/x`"));
        assert!(Environment::of(&[("HOME", ""), ("DISPATCH_HOME", "/d")]).check().is_ok());
    }

    #[test]
    fn a_value_that_is_no_text_is_refused_where_it_would_matter() {
        let with = |name: &str| {
            let value = OsString::from_vec(vec![b'/', 0xff]);
            Environment::from([(OsString::from(name), value)].into_iter()).check()
        };
        for name in
            ["DISPATCH_HOME", "DISPATCH_SET__A__B", "XDG_STATE_HOME", "STATE_DIRECTORY", "XDG_RUNTIME_DIR"]
        {
            assert!(with(name).unwrap_err().message.contains(name), "{name}");
        }
        assert!(with("LESS").is_ok());
    }

    #[test]
    fn a_variable_of_the_hosts_that_nobody_reads_is_told_with_the_one_that_may_be_meant() {
        let environment = Environment::of(&[
            ("DISPATCH_HOEM", "/x"),
            ("DISPATCH_LOG_FROMAT", "json"),
            ("DISPATCH_SET_TOY__KEY", "1"),
            ("DISPATCH_COLOUR", "red"),
            ("DISPATCH_KEY", "k"),
            ("DISPATCH_LOG", "info"),
            ("DISPATCH_SET__TOY__KEY", "1"),
            ("DISPATCH_EMPTY", ""),
        ]);
        let expected = [
            "the variable DISPATCH_COLOUR is read by nobody; the host's own are DISPATCH_HOME, DISPATCH_LOG, DISPATCH_LOG_FORMAT, DISPATCH_SET__INSTANCE__KEY",
            "the variable DISPATCH_HOEM is read by nobody; did you mean `DISPATCH_HOME`?",
            "the variable DISPATCH_LOG_FROMAT is read by nobody; did you mean `DISPATCH_LOG_FORMAT`?",
            "the variable DISPATCH_SET_TOY__KEY is read by nobody; did you mean `DISPATCH_SET__INSTANCE__KEY`?",
        ];
        assert_eq!(environment.strangers(&["DISPATCH_KEY".to_owned()].into()), expected);
    }
}
