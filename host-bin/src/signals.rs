//! SIGINT and SIGTERM, which end; and SIGHUP, which ends a command and reloads what serves.

use crate::exit::{HUNG_UP, INTERRUPTED, Refusal, TERMINATED};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Who told the process to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// SIGINT: a person.
    Interrupt,
    /// SIGTERM: whoever started it.
    Terminate,
    /// SIGHUP: the terminal went away.
    Hangup,
}

impl Ending {
    /// The exit code of a process that it ended before it was done.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Interrupt => INTERRUPTED,
            Self::Terminate => TERMINATED,
            Self::Hangup => HUNG_UP,
        }
    }

    /// Why nothing came of what was asked for.
    pub(crate) fn refusal(self) -> Refusal {
        let by = match self {
            Self::Interrupt => "Ctrl-C",
            Self::Terminate => "SIGTERM",
            Self::Hangup => "SIGHUP",
        };
        Refusal { code: self.code(), message: format!("told to end by {by} before it was done") }
    }
}

/// The signals that end the process.
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Option<Signal>,
}

impl Signals {
    /// SIGINT and SIGTERM, for who has another use of SIGHUP.
    pub(crate) fn listen() -> Result<Self, Refusal> {
        let (interrupt, terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
        Ok(Self { interrupt, terminate, hangup: None })
    }

    /// The same and SIGHUP, unless whoever started the process had it ignored, as `nohup` does.
    pub(crate) fn listen_on_a_terminal() -> Result<Self, Refusal> {
        let hangup = if hangups_are_ignored() { None } else { Some(listen(SignalKind::hangup())?) };
        Ok(Self { hangup, ..Self::listen()? })
    }

    /// Waits for the next one. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> Ending {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => Ending::Interrupt,
            _ = self.terminate.recv() => Ending::Terminate,
            _ = hangup => Ending::Hangup,
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

/// Whether SIGHUP is among the ignored signals. Source: proc_pid_status(5), `SigIgn`.
fn hangups_are_ignored() -> bool {
    // Where nobody can tell, it is heard.
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores_hangups(&status))
}

fn ignores_hangups(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    // Signal 1 is the lowest bit.
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::ignores_hangups;

    #[test]
    fn a_signal_that_is_ignored_is_told_by_the_lowest_bit() {
        assert!(ignores_hangups("Name:\tx\nSigIgn:\t0000000000001001\n"));
        assert!(!ignores_hangups("SigBlk:\t0000000000000001\nSigIgn:\t0000000000001000\n"));
        assert!(!ignores_hangups(""));
    }
}
