//! The kernel: manifests and build lists in, a resolved plan out.
//!
//! It must not know any service contract or any extension by name.

mod build_list;
mod catalog;
mod contract_kind;
mod document;
mod graph;
mod manifest;
mod nearest;
mod plan;
mod problem;
mod resolve;
mod source;

pub use build_list::{BuildList, Decision, Entry, Policy};
pub use catalog::{Catalog, KnownExtension};
pub use graph::{GraphFormat, print_graph};
pub use manifest::{Capability, Contributes, ContributionKind, Limits, Manifest, Placement};
pub use plan::{Answer, Plan, PlannedInstance};
pub use problem::{Excerpt, Problem, Problems};
pub use resolve::resolve;
pub use source::{Place, Placed};

pub use build_list::{BUILD_BYTES_MAX, INCLUDE_DEPTH_MAX, INCLUDED_FILES_MAX, INSTANCES_MAX, WORKERS_MAX};
pub use document::{LIST_ITEMS_MAX, NESTING_MAX, PROBLEMS_MAX};
pub use manifest::{CALLS_IN_FLIGHT_MAX, MANIFEST_BYTES_MAX, SUMMARY_CHARS_MAX, TOPIC_QUEUE_MAX};
