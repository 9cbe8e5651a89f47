//! Pure parts alone, and the whole extension over a host and a store that fail on demand.

mod adopting;
mod covering;
mod disk;
mod editing;
mod history;
mod instance;
mod ledger;
mod listing;
mod model;
mod ops;
mod reading;
mod rig;
mod sealing;
mod small;
mod turns;
mod watching;
