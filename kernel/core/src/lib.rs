//! The kernel at work: instances started in order, every call between them routed and bounded, turns run, all of it
//! stopped again.
//!
//! The host binary may know it. It must not know any service contract or any extension by name; nor how a plan is made
//! (`compose`), a library is mapped (`load`) or a turn proceeds (`turn`).

mod clock;
mod guard;
mod kernel;
mod router;

pub use clock::{Clock, SystemClock};
pub use dispatch_load::{Found, find_extensions, inspect, sha256};
pub use dispatch_turn::ToolPolicy;
pub use kernel::{
    Attached, AttachedCall, BootError, BootOptions, END_START_WITHIN, Frame, HostedService, Kernel, Trust,
    TrustNothing,
};
pub use router::{CANCEL_GRACE, CallRecord, CancelReason, Heard, LISTENER_BYTES_MAX, Listener, Notification};

/// The kernel's version, which `kernel_min` of a manifest is compared with.
pub const KERNEL_VERSION: &str = env!("CARGO_PKG_VERSION");

/// The same, parsed.
pub fn kernel_version() -> semver::Version {
    semver::Version::parse(KERNEL_VERSION).expect("cargo accepts no other version")
}
