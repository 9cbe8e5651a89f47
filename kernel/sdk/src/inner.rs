//! What all handles of one instance share: its host, its streams, its threads and its open calls.
//!
//! It must not know who holds it.

use crate::logging;
use crate::open_calls::OpenCalls;
use crate::queues::Streams;
use crate::runtime::LazyRuntime;
use dispatch_abi::HostObj;
use std::sync::Arc;

pub(crate) struct Inner {
    pub(crate) instance: String,
    pub(crate) host: HostObj,
    pub(crate) streams: Streams,
    pub(crate) runtime: LazyRuntime,
    pub(crate) calls: Arc<OpenCalls>,
}

impl Inner {
    pub(crate) fn new(instance: &str, workers: usize, host: HostObj) -> Self {
        Self {
            instance: instance.to_owned(),
            runtime: LazyRuntime::new(instance, workers, host.clone()),
            host,
            streams: Streams::default(),
            calls: Arc::default(),
        }
    }

    /// Tells the host of a panic that no call's answer tells of.
    pub(crate) fn report_panic(&self, message: &str) {
        logging::report_panic(&self.host, message);
    }
}
