//! SIGINT and SIGTERM, which end, and SIGHUP, which reloads.

use crate::exit::{INTERRUPTED, Refusal, TERMINATED};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Who told the process to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// SIGINT: a person.
    Interrupt,
    /// SIGTERM: whoever started it.
    Terminate,
}

impl Ending {
    /// The exit code of a process that it ended before it was done.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Interrupt => INTERRUPTED,
            Self::Terminate => TERMINATED,
        }
    }
}

/// SIGINT and SIGTERM.
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    pub(crate) fn listen() -> Result<Self, Refusal> {
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    /// Waits for the next one. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> Ending {
        tokio::select! {
            _ = self.interrupt.recv() => Ending::Interrupt,
            _ = self.terminate.recv() => Ending::Terminate,
        }
    }
}

/// SIGHUP.
pub(crate) struct Hangups(Signal);

impl Hangups {
    /// From now on it ends the process no more.
    pub(crate) fn listen() -> Result<Self, Refusal> {
        listen(SignalKind::hangup()).map(Self)
    }

    /// Waits for the next one; several that came meanwhile are one. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) {
        self.0.recv().await;
    }
}

fn listen(kind: SignalKind) -> Result<Signal, Refusal> {
    signal(kind).map_err(|e| Refusal::failed(format!("cannot listen to signals: {e}")))
}
