//! From text to a plan: manifests and build lists, the catalog of extensions, resolved into who is started, in which order.
//!
//! `load`, the core and the host binary may know it. It must not know the ABI, a library's bytes, or how anything is
//! started; it reads text files and touches nothing else of the disk.

mod build_list;
mod catalog;
mod config_file;
mod contract_kind;
mod document;
mod manifest;
mod nearest;
mod plan;
mod print;
mod problem;
mod resolve;
mod settings;
mod source;

pub use build_list::{BuildList, Entry, Policy};
pub use catalog::{Catalog, KnownExtension};
pub use config_file::{CONFIG_BYTES_MAX, ConfigFile, ConfigValue, parse_value};
pub use manifest::{Capability, Contributes, Manifest, Placement, QueueLimits};
pub use nearest::nearest;
pub use plan::{Answer, Plan, PlannedInstance};
pub use print::{GraphFormat, print_graph};
pub use problem::{Excerpt, Problem, Problems};
pub use resolve::resolve;
pub use settings::{Misfit, SETTINGS_BYTES_MAX, Settings, SettingsKey};
pub use source::{Place, Placed};

pub use build_list::{BUILD_BYTES_MAX, INCLUDE_DEPTH_MAX, INCLUDED_FILES_MAX, INSTANCES_MAX, WORKERS_MAX};
pub use document::{LIST_ITEMS_MAX, NESTING_MAX, PROBLEMS_MAX};
pub use manifest::{CALLS_IN_FLIGHT_MAX, MANIFEST_BYTES_MAX, SUMMARY_CHARS_MAX, TOPIC_QUEUE_MAX};
