//! `extension.toml`: what an extension says about itself, parsed at the door and trusted afterwards.
//!
//! It must not know the build that uses the extension, nor whether its library loads.

mod capability;
mod contributes;
mod name;
mod placement;

use std::path::Path;
use std::sync::Arc;

use dispatch_contracts::bounds::CALLS_IN_FLIGHT_DEFAULT;
use semver::Version;
use toml::de::DeTable;

use crate::contract_kind::ContractKind;
use crate::document::{self, Reader, Wrong};
use crate::problem::{Problems, shown};
use crate::source::{Source, plain};

pub use capability::Capability;
pub use contributes::Contributes;
pub(crate) use name::{contract, id};
pub use placement::Placement;

/// The longest manifest that is read, in bytes.
pub const MANIFEST_BYTES_MAX: usize = 64 << 10;
/// The longest summary, in characters.
pub const SUMMARY_CHARS_MAX: usize = 200;
/// The highest `calls_in_flight_max` a manifest may ask for.
pub const CALLS_IN_FLIGHT_MAX: u32 = 65_536;
/// The highest `topic_queue_max` a manifest may ask for.
pub const TOPIC_QUEUE_MAX: u32 = 65_536;

const KEYS: [&str; 13] = [
    "id",
    "version",
    "summary",
    "provides",
    "requires",
    "optional",
    "subscribes",
    "contributes",
    "capabilities",
    "placements",
    "kernel_min",
    "listed",
    "limits",
];

/// What an extension says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// `[a-z][a-z0-9-]{0,62}`.
    pub id: String,
    /// Its own version.
    pub version: Version,
    /// One line for people, at most [`SUMMARY_CHARS_MAX`] characters.
    pub summary: String,
    /// Contracts it serves, `<name>.v<major>`.
    pub provides: Vec<String>,
    /// Contracts that must be active before it starts.
    pub requires: Vec<String>,
    /// Contracts it uses when present; none of them is in `requires`.
    pub optional: Vec<String>,
    /// Topics it listens to.
    pub subscribes: Vec<String>,
    /// Names it contributes, as written: `{instance}` and a trailing `*` are not yet expanded.
    pub contributes: Contributes,
    /// What it may touch outside itself.
    pub capabilities: Vec<Capability>,
    /// Where it can run; never empty.
    pub placements: Vec<Placement>,
    /// The oldest kernel that has every verb it needs.
    pub kernel_min: Option<Version>,
    /// Whether a list of what there is shows it, also where no build uses it. A toy for tests is not.
    pub listed: bool,
    /// Bounds of its queues.
    pub limits: QueueLimits,
}

/// Bounds of an instance's queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueLimits {
    /// Calls it serves at once, 1 to [`CALLS_IN_FLIGHT_MAX`].
    pub calls_in_flight_max: u32,
    /// Topic items that wait for it, 1 to [`TOPIC_QUEUE_MAX`].
    pub topic_queue_max: u32,
}

impl Default for QueueLimits {
    fn default() -> Self {
        Self { calls_in_flight_max: CALLS_IN_FLIGHT_DEFAULT, topic_queue_max: 4096 }
    }
}

impl Manifest {
    /// Reads a manifest from a regular file of at most [`MANIFEST_BYTES_MAX`].
    pub fn read(path: &Path) -> Result<Self, Problems> {
        Self::from_source(&Source::read(path, MANIFEST_BYTES_MAX)?)
    }

    /// Parses a manifest found elsewhere, such as in a library; `path` is how problems name it.
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Self, Problems> {
        Self::from_source(&Source::from_bytes(path, bytes, MANIFEST_BYTES_MAX)?)
    }

    fn from_source(source: &Arc<Source>) -> Result<Self, Problems> {
        let document = document::parse(source).map_err(Problems)?;
        let mut reader = Reader::new(source);
        let manifest = read_keys(&mut reader, document.get_ref());
        let problems = reader.finish();
        match manifest {
            Some(manifest) if problems.is_empty() => Ok(manifest),
            _ => Err(Problems(problems)),
        }
    }
}

/// Reads every key, so that every problem is told; `None` if a needed one is missing or wrong.
fn read_keys(reader: &mut Reader, table: &DeTable<'_>) -> Option<Manifest> {
    reader.unknown_keys(table, &KEYS);
    for (key, example) in
        [("id", "\"my-extension\""), ("version", "\"0.1.0\""), ("summary", "\"What it does.\"")]
    {
        reader.needed(table, key, &(0..0), example);
    }
    let id = reader.text(table, "id", name::id);
    let version = reader.text(table, "version", version);
    let summary = reader.text(table, "summary", summary);
    let provides = plain(reader.texts(table, "provides", provided));
    let requires = reader.texts(table, "requires", name::contract);
    let optional = reader.texts(table, "optional", name::contract);
    for contract in &optional {
        if requires.iter().any(|required| required.value == contract.value) {
            let message = format!("`{}` is both in `requires` and in `optional`", contract.value);
            reader.refuse(&contract.place.span, Wrong::new(message).help("keep one of the two"));
        }
    }
    let subscribes = plain(reader.texts(table, "subscribes", name::topic));
    let contributes = Contributes::read(reader, table);
    let capabilities = plain(reader.texts(table, "capabilities", Capability::parse));
    let placements = placements(reader, table);
    let kernel_min = reader.text(table, "kernel_min", kernel_min).map(|placed| placed.value);
    let listed = reader.flag(table, "listed").unwrap_or(true);
    let limits = limits(reader, table);
    Some(Manifest {
        id: id?.value,
        version: version?.value,
        summary: summary?.value,
        provides,
        requires: plain(requires),
        optional: plain(optional),
        subscribes,
        contributes,
        capabilities,
        placements,
        kernel_min,
        listed,
        limits,
    })
}

fn version(text: &str) -> Result<Version, Wrong> {
    Version::parse(text).map_err(|error| {
        Wrong::new(format!("`{}` is not a version: {error}", shown(text))).help("write it as `1.2.3`")
    })
}

/// Takes `0.3` for `0.3.0`.
fn kernel_min(text: &str) -> Result<Version, Wrong> {
    let dots = text.matches('.').count();
    if dots == 1 { version(&format!("{text}.0")) } else { version(text) }
}

fn summary(text: &str) -> Result<String, Wrong> {
    let chars = text.chars().count();
    if text.trim().is_empty() {
        Err(Wrong::new("the summary is empty").help("say in one line what the extension does"))
    } else if chars > SUMMARY_CHARS_MAX {
        Err(Wrong::new(format!("the summary has {chars} characters, at most {SUMMARY_CHARS_MAX} are taken")))
    } else if text.chars().any(char::is_control) {
        Err(Wrong::new("the summary holds a control character").help("write it as one line of plain text"))
    } else {
        Ok(text.to_owned())
    }
}

fn provided(text: &str) -> Result<String, Wrong> {
    let contract = name::contract(text)?;
    if ContractKind::of(&contract) == ContractKind::Kernel {
        return Err(Wrong::new(format!("`{contract}` is answered by the kernel alone")).help("take it out"));
    }
    Ok(contract)
}

fn placements(reader: &mut Reader, table: &DeTable<'_>) -> Vec<Placement> {
    let Some(value) = table.get("placements") else {
        return vec![Placement::InProcess];
    };
    if value.get_ref().as_array().is_some_and(|items| items.is_empty()) {
        let wrong = Wrong::new("`placements` is empty: the extension could run nowhere");
        reader
            .refuse(&value.span(), wrong.help("write `placements = [\"in-process\"]`, or leave the key out"));
    }
    plain(reader.texts(table, "placements", Placement::parse))
}

fn limits(reader: &mut Reader, table: &DeTable<'_>) -> QueueLimits {
    let usual = QueueLimits::default();
    let Some(limits) = reader.table(table, "limits") else {
        return usual;
    };
    reader.unknown_keys(limits, &["calls_in_flight_max", "topic_queue_max"]);
    let calls = reader.count(limits, "calls_in_flight_max", 1..=CALLS_IN_FLIGHT_MAX);
    let topics = reader.count(limits, "topic_queue_max", 1..=TOPIC_QUEUE_MAX);
    QueueLimits {
        calls_in_flight_max: calls.map_or(usual.calls_in_flight_max, |placed| placed.value),
        topic_queue_max: topics.map_or(usual.topic_queue_max, |placed| placed.value),
    }
}
