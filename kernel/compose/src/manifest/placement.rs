//! Where an instance can run.
//!
//! It must not know how one is started there.

use std::fmt::{self, Display, Formatter};

use crate::document::{Wrong, quoted};
use crate::problem::shown;

/// Where an instance runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Placement {
    /// In the host's own process, over vtables.
    InProcess,
    /// In a child process of the host's binary, over frames.
    Process,
    /// As a program of its own in any language, over lines of JSON.
    Executable,
    /// In a WebAssembly runtime.
    Wasm,
}

impl Placement {
    const ALL: [Self; 4] = [Self::InProcess, Self::Process, Self::Executable, Self::Wasm];

    /// The name as files write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::InProcess => "in-process",
            Self::Process => "process",
            Self::Executable => "executable",
            Self::Wasm => "wasm",
        }
    }

    pub(crate) fn parse(text: &str) -> Result<Self, Wrong> {
        Self::ALL.into_iter().find(|placement| placement.name() == text).ok_or_else(|| {
            let known = quoted(&Self::ALL.map(Self::name));
            Wrong::new(format!("`{}` is not a placement", shown(text)))
                .help(format!("placements are {known}"))
        })
    }
}

impl Display for Placement {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
