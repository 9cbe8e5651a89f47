//! What tests of the host and of extensions are made with. It must not know core or any extension.

pub mod engine_suite;
pub mod fake_host;
pub mod fake_llm;
mod memory_storage;
#[doc(hidden)]
pub mod settings;
pub mod storage_suite;

pub use fake_host::{FakeHost, FakeOut, LogRecord, Opened, OpenedStream, Published, RecordedCall};
pub use memory_storage::{MemoryControl, MemoryStorage};
