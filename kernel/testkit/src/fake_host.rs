//! A host in one test's memory: it opens extensions without a library and keeps the rules of the waist.
//!
//! It must not know core or any extension. A test says what a manifest would: [`FakeHost::set_requires`],
//! [`FakeHost::set_calls_in_flight_max`].

mod clock;
mod drive;
mod ending;
mod executor;
mod fakes;
mod flow;
mod guard;
mod handle;
mod host;
mod limits;
mod open_call;
mod opened;
mod opening;
mod pending;
mod record;
mod route;
mod shared;
mod slot;
mod streams;
#[cfg(test)]
mod tests;

pub use clock::CLOCK_START_MS;
pub use fakes::FakeOut;
pub use host::FakeHost;
pub use opened::{Opened, OpenedStream, TEST_CALLER};
pub use record::{LogRecord, Published, RecordedCall};
