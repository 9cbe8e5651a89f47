//! From a file to a mapped library: what a library says in its sections, the private copy it is loaded from, whose crash
//! ended a host, and which hosts live.
//!
//! Only the core may know it. It must not know what an instance does, or anything of calls.

mod blocks;
mod cache;
pub mod crash;
mod discovery;
pub mod host_lock;
mod library;
mod section;

pub use cache::{LibraryCache, sha256};
pub use discovery::{Found, find_extensions};
pub use library::{LoadedLibrary, inspect, load};
