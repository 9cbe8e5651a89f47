//! Pure parts alone, and the whole extension over a host and a store that fail on demand.

mod adopting;
mod blobs;
mod client;
mod covering;
mod disk;
mod dying;
mod editing;
mod engine_states;
mod expected;
mod granting;
mod instance;
mod interleaving;
mod ledger;
mod listing;
mod living;
mod mending;
mod model;
mod ops;
mod paging;
mod rig;
mod rows;
mod script;
mod sealing;
mod slow;
mod small;
mod spilling;
mod stops;
mod turns;
mod watching;
mod windows;
mod world;

dispatch_testkit::settings_test!(dispatch_sdk::NoSettings);
