//! The parts that need no host; the whole extension is tested below `tests/` over a host and a store.

mod history;
mod ledger;
mod model;
mod small;
