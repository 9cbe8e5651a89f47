//! What a program sees of the host's environment: a short list of harmless variables, never the rest.
//!
//! It must not know any secret's name: what is not on the list does not pass.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

/// Passed on when the host has them; beside these, all of `LC_*`.
pub(crate) const PASSED: [&str; 8] = ["HOME", "LANG", "LOGNAME", "PATH", "SHELL", "TMPDIR", "TZ", "USER"];

/// Set for every program, whatever the host has: how it can tell that no person started it, and that it has no
/// terminal, so that editors, pagers and questions end at once instead of waiting for somebody. A caller's `env` and the
/// build's `env_also` come before them.
const SET: [(&str, &str); 8] = [
    ("AGENT", "dispatch"),
    ("AI_AGENT", "dispatch"),
    ("GIT_EDITOR", "true"),
    ("GIT_PAGER", "cat"),
    ("GIT_TERMINAL_PROMPT", "0"),
    ("MANPAGER", "cat"),
    ("PAGER", "cat"),
    ("TERM", "dumb"),
];

/// The environment every program starts with; `also` names further variables that the build lets through.
#[expect(
    clippy::disallowed_methods,
    reason = "the environment of children is this extension's business; read here alone, and once"
)]
pub(crate) fn scrubbed(also: &[String]) -> BTreeMap<OsString, OsString> {
    let passes = |name: &OsStr| {
        name.to_str().is_some_and(|name| {
            PASSED.contains(&name) || name.starts_with("LC_") || also.iter().any(|other| other == name)
        })
    };
    let mut kept: BTreeMap<OsString, OsString> = SET.map(|(name, value)| (name.into(), value.into())).into();
    kept.extend(std::env::vars_os().filter(|(name, _)| passes(name)));
    kept
}

/// The home of the host's user: what `HOME` says, else the system's list of users.
pub(crate) fn home() -> Option<PathBuf> {
    std::env::home_dir().filter(|home| home.is_absolute())
}
