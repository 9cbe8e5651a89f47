//! The router between native endpoints, and instances that are written by hand where the boundary matters.

mod bounds;
mod cancelling;
mod endings;
mod rules;
mod stopping;
mod streams;
mod world;
