//! The command through a fake host: ops, standard input and the terminal are doubles.

mod approvals;
mod cancelling;
mod explaining;
mod running;
mod terminal;

dispatch_testkit::settings_test!(dispatch_sdk::NoSettings);
