//! The extension through a fake host: conversation-store and the kernel are doubles with fail points.

mod adopting;
mod asking;
mod checking;
mod counting;
mod ending;
mod engines;
mod explaining;
mod models;
mod opening;
mod ops;
mod preparing;
mod queueing;
mod showing;
mod starting;
mod stopping;
mod sweeping;
mod watching;
mod world;

dispatch_testkit::settings_test!(super::settings::Settings);
