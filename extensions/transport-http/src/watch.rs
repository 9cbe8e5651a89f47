//! Where a connection stands between two requests, and until when it may stand there.
//!
//! It must not know HTTP: bytes came, a request began, its answer is over.

use crate::config::Settings;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// The phase of one connection.
pub(crate) struct Watch {
    phase: Mutex<Phase>,
    header_read: Duration,
    keep_alive: Duration,
}

#[derive(Clone, Copy)]
enum Phase {
    /// No byte of the next request came yet.
    Waiting(Instant),
    /// Some did.
    Head(Instant),
    /// A request is being answered; body, op and write have limits of their own.
    Busy,
}

impl Watch {
    /// A new connection, which has to send its first head soon.
    pub(crate) fn new(settings: &Settings) -> Arc<Self> {
        let header_read = Duration::from_millis(settings.header_read_ms);
        Arc::new(Self {
            phase: Mutex::new(Phase::Waiting(Instant::now() + header_read)),
            header_read,
            keep_alive: Duration::from_millis(settings.keep_alive_ms),
        })
    }

    /// Bytes came.
    pub(crate) fn bytes_came(&self) {
        let mut phase = self.lock();
        if let Phase::Waiting(_) = *phase {
            *phase = Phase::Head(Instant::now() + self.header_read);
        }
    }

    /// A whole head came; what is returned is dropped when its answer is over.
    pub(crate) fn answering(self: &Arc<Self>) -> Answering {
        *self.lock() = Phase::Busy;
        Answering(Arc::clone(self))
    }

    /// When the connection is to be cut; `None` while a request is being answered.
    pub(crate) fn until(&self) -> Option<Instant> {
        match *self.lock() {
            Phase::Waiting(until) | Phase::Head(until) => Some(until),
            Phase::Busy => None,
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Phase> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that is being answered.
pub(crate) struct Answering(Arc<Watch>);

impl Drop for Answering {
    fn drop(&mut self) {
        let until = Instant::now() + self.0.keep_alive;
        *self.0.lock() = Phase::Waiting(until);
    }
}
