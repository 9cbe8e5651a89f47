//! What instances asked, said and published, for the test to look at.

use serde_json::Value;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Most records kept of each kind; the oldest go first.
const RECORDS_MAX: usize = 20_000;

/// A call that an instance made; calls of the test itself are not recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordedCall {
    /// Instance id of the caller.
    pub caller: String,
    /// Wire name, with its `#target`.
    pub verb: String,
    /// As they were sent.
    pub params: Value,
}

/// A notification that an instance published.
#[derive(Debug, Clone, PartialEq)]
pub struct Published {
    /// Instance id of the publisher.
    pub instance: String,
    /// Topic name.
    pub topic: String,
    /// As it was published.
    pub data: Value,
}

/// A log record of an instance, or of the host itself (instance `fake-host`).
#[derive(Debug, Clone, PartialEq)]
pub struct LogRecord {
    /// Who wrote it.
    pub instance: String,
    /// 1 (error) to 5 (trace).
    pub level: u8,
    /// Module that wrote it.
    pub target: String,
    /// Fields, with `message`.
    pub record: Value,
}

#[derive(Default)]
pub(super) struct Records {
    calls: Mutex<VecDeque<RecordedCall>>,
    published: Mutex<VecDeque<Published>>,
    logs: Mutex<VecDeque<LogRecord>>,
}

fn lock<T>(records: &Mutex<VecDeque<T>>) -> MutexGuard<'_, VecDeque<T>> {
    records.lock().unwrap_or_else(PoisonError::into_inner)
}

fn push<T>(records: &Mutex<VecDeque<T>>, record: T) {
    let mut records = lock(records);
    if records.len() == RECORDS_MAX {
        records.pop_front();
    }
    records.push_back(record);
}

fn all<T: Clone>(records: &Mutex<VecDeque<T>>) -> Vec<T> {
    lock(records).iter().cloned().collect()
}

impl Records {
    pub(super) fn add_call(&self, call: RecordedCall) {
        push(&self.calls, call);
    }

    pub(super) fn add_published(&self, published: Published) {
        push(&self.published, published);
    }

    pub(super) fn log(&self, record: LogRecord) {
        push(&self.logs, record);
    }

    /// Writes a record of the host itself.
    pub(super) fn log_host(&self, level: u8, message: &str) {
        let record = serde_json::json!({ "message": message });
        self.log(LogRecord {
            instance: "fake-host".into(),
            level,
            target: "dispatch_testkit".into(),
            record,
        });
    }

    pub(super) fn calls(&self) -> Vec<RecordedCall> {
        all(&self.calls)
    }

    pub(super) fn published(&self) -> Vec<Published> {
        all(&self.published)
    }

    pub(super) fn logs(&self) -> Vec<LogRecord> {
        all(&self.logs)
    }
}
