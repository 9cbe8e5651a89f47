//! What an extension may touch outside itself: `fs:data`, `net:*`, `secret:API_KEY`, `exec`.
//!
//! It must not know how a capability is enforced.

use std::fmt::{self, Display, Formatter};

use crate::document::{Wrong, quoted};
use crate::nearest::nearest;
use crate::problem::shown;

/// The longest capability, in bytes.
const CAPABILITY_BYTES_MAX: usize = 256;

/// A family of capabilities and what stands after its colon.
struct Family {
    name: &'static str,
    /// `None`: the family stands alone.
    target: Option<Target>,
}

struct Target {
    example: &'static str,
    accepts: fn(&str) -> bool,
}

const FAMILIES: [Family; 6] = [
    Family { name: "clock", target: None },
    Family { name: "exec", target: None },
    Family { name: "fs", target: Some(Target { example: "fs:data", accepts: is_path_below_a_place }) },
    Family { name: "identity", target: None },
    Family { name: "net", target: Some(Target { example: "net:api.example.com", accepts: is_host }) },
    Family { name: "secret", target: Some(Target { example: "secret:API_KEY", accepts: is_variable }) },
];

/// One capability, `<family>` or `<family>:<target>`; a trailing `*` in a target stands for anything.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Capability(String);

impl Capability {
    pub(crate) fn parse(text: &str) -> Result<Self, Wrong> {
        let (name, target) = match text.split_once(':') {
            Some((name, target)) => (name, Some(target)),
            None => (text, None),
        };
        let Some(family) = FAMILIES.iter().find(|family| family.name == name) else {
            let wrong = Wrong::new(format!("`{}` is not a capability", shown(text)));
            let names = FAMILIES.map(|family| family.name);
            return Err(wrong.help(match nearest(name, names) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known families: {}", quoted(&names)),
            }));
        };
        let wrong = || Wrong::new(format!("`{}` is not a capability", shown(text)));
        match (&family.target, target) {
            (None, None) => Ok(Self(text.to_owned())),
            (None, Some(_)) => Err(wrong().help(format!("`{name}` stands alone"))),
            (Some(expected), Some(target)) if is_accepted(expected, target, text) => {
                Ok(Self(text.to_owned()))
            }
            (Some(expected), _) => {
                let path = if name == "fs" { ", a path below a named place, without `..`" } else { "" };
                Err(wrong().help(format!("write it as `{}`{path}", expected.example)))
            }
        }
    }

    /// The part before the colon: `fs` of `fs:data`.
    pub fn family(&self) -> &str {
        self.0.split_once(':').map_or(&self.0, |(family, _)| family)
    }

    /// The part after the colon, if the family has one: `data` of `fs:data`.
    pub fn target(&self) -> Option<&str> {
        self.0.split_once(':').map(|(_, target)| target)
    }

    /// Whether holding `self` allows to be given the secret `name`.
    pub fn covers_secret(&self, name: &str) -> bool {
        self.covers(&Self(format!("secret:{name}")))
    }

    /// Whether holding `self` allows all that `asked` does: `secret:*` covers `secret:KEY`, `fs:data` covers `fs:data/x`.
    pub fn covers(&self, asked: &Self) -> bool {
        let rest = |held: &str| asked.0.strip_prefix(held);
        if let Some(prefix) = self.0.strip_suffix('*') {
            return rest(prefix).is_some();
        }
        match rest(&self.0) {
            Some("") => true,
            Some(below) => self.family() == "fs" && below.starts_with('/'),
            None => false,
        }
    }
}

impl Display for Capability {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for Capability {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

fn is_accepted(expected: &Target, target: &str, text: &str) -> bool {
    let stem = target.strip_suffix('*').unwrap_or(target);
    text.len() <= CAPABILITY_BYTES_MAX && !target.is_empty() && (stem.is_empty() || (expected.accepts)(stem))
}

/// `data`, `workspace/out`, `data/` (before a `*`); never absolute, never upward.
fn is_path_below_a_place(stem: &str) -> bool {
    let path = stem.strip_suffix('/').unwrap_or(stem);
    path.split('/').all(|part| {
        !matches!(part, "" | "." | "..")
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
    })
}

/// A host name or address, with or without a port.
fn is_host(stem: &str) -> bool {
    stem.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'[' | b']'))
}

fn is_variable(stem: &str) -> bool {
    !stem.starts_with(|c: char| c.is_ascii_digit())
        && stem.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
