//! Pure parts alone, and the whole extension over a host and a store that fail on demand.

mod disk;
mod history;
mod ledger;
mod model;
mod reading;
mod rig;
mod sealing;
mod small;
mod turns;
mod watching;
