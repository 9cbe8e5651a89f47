//! What a program sees of the host's environment: a short list of harmless variables, never the rest.
//!
//! It must not know any secret's name: what is not on the list does not pass.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

/// Passed on when the host has them; beside these, all of `LC_*`.
pub(crate) const PASSED: [&str; 9] =
    ["HOME", "LANG", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "TZ", "USER"];

/// How a program can tell that no person started it.
const MARKS: [(&str, &str); 2] = [("AGENT", "dispatch"), ("AI_AGENT", "dispatch")];

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
    let mut kept: BTreeMap<_, _> = std::env::vars_os().filter(|(name, _)| passes(name)).collect();
    kept.extend(MARKS.map(|(name, value)| (name.into(), value.into())));
    kept
}
