//! The binary behind `cargo demo` and `cargo house`.
//!
//! It must not know what it builds beyond the names of cargo's own commands.
fn main() {}
