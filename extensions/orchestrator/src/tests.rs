//! The extension through a fake host: conversation-store and the kernel are doubles with fail points.

mod adopting;
mod asking;
mod counting;
mod ending;
mod explaining;
mod models;
mod opening;
mod ops;
mod queueing;
mod showing;
mod starting;
mod stopping;
mod sweeping;
mod watching;
mod world;

dispatch_testkit::settings_test!(super::settings::Settings);
