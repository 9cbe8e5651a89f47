//! The narrow waist: every memory layout that crosses `dlopen`, and nothing else.
//!
//! It must not know serde, tokio, or any word of the domain: richer things are a verb name and JSON bytes.
//! Invariant: structs and enums here never grow; vtables grow only at their end, with defaults (`tests/tests/abi.rs`).
//! The crate stays 1.0.x for ever: abi_stable refuses two libraries whose versions of it differ in the major.

#![allow(non_local_definitions, reason = "abi_stable's sabi_trait expands to impls inside a const block")]
#![allow(unsafe_code, reason = "the boundary itself: abi_stable's derives expand to unsafe vtable glue")]
#![allow(
    clippy::undocumented_unsafe_blocks,
    clippy::allow_attributes_without_reason,
    reason = "only inside code that abi_stable's macros write"
)]
#![allow(
    missing_docs,
    reason = "sabi_trait generates undocumented items; every item written here has its line"
)]

mod codes;
mod module;
mod traits;
mod types;

pub use abi_stable;
pub use async_ffi;

pub use codes::*;
pub use module::{
    ABI_VERSION, EXPORT_SYMBOL, ExtensionHeader, InitError, Module, ModuleRef, SECTION_NAME,
    SETTINGS_SECTION_NAME, init_known_module, init_module, layout_report,
};
pub use traits::{Host, Host_TO, HostObj, Instance, Instance_TO, InstanceObj};
pub use types::{Bytes, CallCtx, CallOpts, Fault, Reply, SharedBytes, TopicItem};
