//! The extension through a fake host: conversation-store and the kernel are doubles with fail points.

mod asking;
mod ending;
mod explaining;
mod ops;
mod starting;
mod stopping;
mod watching;
mod world;
