//! The extension through a fake host: conversation-store and the kernel are doubles with fail points.

mod asking;
mod ending;
mod explaining;
mod models;
mod ops;
mod queueing;
mod starting;
mod stopping;
mod watching;
mod world;
