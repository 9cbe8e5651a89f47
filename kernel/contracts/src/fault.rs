//! Why a call failed, as both sides read it, and the codes that the router itself answers.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::io;
use std::path::Path;

/// A failed call: `code` for programs, `message` for a person, `detail` for both.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fault {
    /// Stable word, listed in the contract or in this file.
    pub code: String,
    /// What was tried, on what, what was found, what to do next; lower case, no full stop.
    pub message: String,
    /// Further facts; `null` when there are none.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub detail: Value,
}

impl Fault {
    /// A fault without detail.
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into(), detail: Value::Null }
    }

    /// What the file system said when `tried` was done to `path`: `no_space` (a full disk or quota), `not_found`, `denied`,
    /// `invalid` (a file where a directory is needed, or the other way round), else `io`.
    pub fn from_io(tried: &str, path: &Path, error: &io::Error) -> Self {
        let said = error.to_string();
        let (code, found, way) = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => (
                crate::storage::NO_SPACE,
                "the disk is full, or the quota is used up",
                "make room and try again",
            ),
            io::ErrorKind::NotFound => (NOT_FOUND, "there is nothing under that name", "check it"),
            io::ErrorKind::PermissionDenied => (
                DENIED,
                "the file system does not allow it",
                "check owner and mode of it and of its directory",
            ),
            io::ErrorKind::ReadOnlyFilesystem => {
                (DENIED, "its file system is read-only", "use another place")
            }
            io::ErrorKind::NotADirectory => {
                (INVALID, "it, or a part of its path, is no directory", "check the path")
            }
            io::ErrorKind::IsADirectory => (INVALID, "it is a directory", "name a file"),
            _ => (IO, said.as_str(), "look at the disk and at the directory"),
        };
        Self::new(code, format!("{tried} `{}`: {found}; {way}", path.display()))
    }

    /// The same fault with `detail`.
    #[must_use]
    pub fn with_detail(mut self, detail: Value) -> Self {
        self.detail = detail;
        self
    }

    /// Whether this is the fault `code`.
    pub fn is(&self, code: &str) -> bool {
        self.code == code
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.message, self.code)
    }
}

impl std::error::Error for Fault {}

/// The call's parameters do not have the verb's shape.
pub const INVALID: &str = "invalid";
/// Nothing under that name.
pub const NOT_FOUND: &str = "not_found";
/// The state changed under the caller: read again and retry.
pub const CONFLICT: &str = "conflict";
/// The policy, a capability or a person said no.
pub const DENIED: &str = "denied";
/// The callee, or what it needs, is not usable now; `detail.reason` says why.
pub const UNAVAILABLE: &str = "unavailable";
/// The call was cancelled before it was done.
pub const CANCELLED: &str = "cancelled";
/// The call's budget, or its limit of silence, ran out.
pub const DEADLINE: &str = "deadline";
/// A limit of calls in flight is reached; `detail.retry_after_ms` says when to come back.
pub const OVERLOADED: &str = "overloaded";
/// Author code panicked; the message holds the panic's.
pub const PANICKED: &str = "panicked";
/// The caller's manifest neither requires nor lists the contract as optional.
pub const NOT_REQUIRED: &str = "not_required";
/// No active instance serves the verb.
pub const NO_SERVICE: &str = "no_service";
/// The instance does not serve the verb of a contract that it provides.
pub const UNKNOWN_VERB: &str = "unknown_verb";
/// A call id that is not open, or not the caller's own.
pub const BAD_CALL: &str = "bad_call";
/// The chain of calls is deeper than `call_depth_max`.
pub const TOO_DEEP: &str = "too_deep";
/// A body or a value is larger than its bound.
pub const TOO_LARGE: &str = "too_large";
/// A defect of the callee: an answer that breaks its own contract.
pub const BROKEN: &str = "broken";
/// Trouble outside: disk, network, another program.
pub const IO: &str = "io";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_and_a_full_quota_are_one_thing_and_the_path_is_named() {
        for (kind, code) in [
            (io::ErrorKind::StorageFull, crate::storage::NO_SPACE),
            (io::ErrorKind::QuotaExceeded, crate::storage::NO_SPACE),
            (io::ErrorKind::NotFound, NOT_FOUND),
            (io::ErrorKind::PermissionDenied, DENIED),
            (io::ErrorKind::ReadOnlyFilesystem, DENIED),
            (io::ErrorKind::NotADirectory, INVALID),
            (io::ErrorKind::IsADirectory, INVALID),
            (io::ErrorKind::Other, IO),
        ] {
            let fault = Fault::from_io("cannot write", Path::new("/data/x"), &kind.into());
            assert_eq!(fault.code, code, "{fault}");
            assert!(fault.message.starts_with("cannot write `/data/x`: "), "{fault}");
            assert!(fault.message.contains("; "), "it says what to do: {fault}");
        }
    }
}
