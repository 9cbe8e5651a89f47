//! What both sides of the boundary do alike: bodies to JSON and back, faults of the contracts to those of the ABI, and
//! the text of a caught panic.
//!
//! Whoever stands at the boundary may know it: the core, the SDK, the testkit.
//! It must not know who calls, what a verb means, or any runtime.

mod body;
mod fault;
mod panic;

pub use body::{decode, encode, read, shared};
pub use fault::{fault_from_abi, fault_to_abi, result_from_abi, result_to_abi};
pub use panic::panic_text;
