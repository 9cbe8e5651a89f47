//! The kernel: manifests to a graph, libraries loaded and started in order, calls routed, one turn run.
//!
//! It must not know any service contract or any extension by name.

mod build_list;
mod catalog;
mod clock;
mod config_file;
mod contract_kind;
mod crash;
mod discovery;
mod document;
mod graph;
mod guard;
mod host_lock;
mod kernel;
mod library;
mod manifest;
mod nearest;
mod plan;
mod problem;
mod resolve;
mod router;
mod settings;
mod source;
pub mod turn;

pub use build_list::{BuildList, Decision, Entry, Policy};
pub use catalog::{Catalog, KnownExtension};
pub use clock::{Clock, SystemClock};
pub use config_file::{CONFIG_BYTES_MAX, ConfigFile, ConfigValue, parse_value};
pub use discovery::{Found, find_extensions};
pub use graph::{GraphFormat, print_graph};
pub use kernel::{
    Attached, AttachedCall, BootError, BootOptions, Frame, HostedService, Kernel, Trust, TrustNothing,
};
pub use library::{inspect, sha256};
pub use manifest::{Capability, Contributes, ContributionKind, Limits, Manifest, Placement};
pub use nearest::nearest;
pub use plan::{Answer, Plan, PlannedInstance};
pub use problem::{Excerpt, Problem, Problems};
pub use resolve::resolve;
pub use router::{CANCEL_GRACE, CallRecord, CancelReason, Heard, LISTENER_BYTES_MAX, Listener, Notification};
pub use settings::{Misfit, SETTINGS_BYTES_MAX, Settings, SettingsKey};
pub use source::{Place, Placed};

pub use build_list::{BUILD_BYTES_MAX, INCLUDE_DEPTH_MAX, INCLUDED_FILES_MAX, INSTANCES_MAX, WORKERS_MAX};
pub use document::{LIST_ITEMS_MAX, NESTING_MAX, PROBLEMS_MAX};
pub use manifest::{CALLS_IN_FLIGHT_MAX, MANIFEST_BYTES_MAX, SUMMARY_CHARS_MAX, TOPIC_QUEUE_MAX};

/// The kernel's version, which `kernel_min` of a manifest is compared with.
pub const KERNEL_VERSION: &str = env!("CARGO_PKG_VERSION");

/// The same, parsed.
pub fn kernel_version() -> semver::Version {
    semver::Version::parse(KERNEL_VERSION).expect("cargo accepts no other version")
}
