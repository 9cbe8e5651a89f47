//! The one table of exit codes, and how a refusal is printed.
//!
//! Source: sysexits(3) for 64–78, the shell's 128 + signal above.

use dispatch_contracts::plain::plain;
use serde_json::json;
use std::io::Write as _;

/// It did what it was asked.
pub(crate) const OK: u8 = 0;
/// It could not.
pub(crate) const FAILED: u8 = 1;
/// The command line cannot be understood.
pub(crate) const USAGE: u8 = 2;
/// There is nothing there to work on.
pub(crate) const NO_INPUT: u8 = 66;
/// Try again later.
pub(crate) const TRY_AGAIN: u8 = 75;
/// The build or the configuration does not hold.
pub(crate) const CONFIG: u8 = 78;
/// Its terminal went away.
pub(crate) const HUNG_UP: u8 = 129;
/// Interrupted by Ctrl-C.
pub(crate) const INTERRUPTED: u8 = 130;
/// Told to end by SIGTERM before it was done.
pub(crate) const TERMINATED: u8 = 143;
/// Whoever read the output went away.
pub(crate) const BROKEN_PIPE: u8 = 141;

/// What each code of the process means, for help and man page.
pub(crate) const EXIT_CODES: [(u8, &str); 11] = [
    (OK, "it did what it was asked; `serve`: it was told to end and ended in order"),
    (
        FAILED,
        "it failed; `doctor`: something fails; `serve`: what the build needs failed for good, start it again",
    ),
    (USAGE, "the command line cannot be understood"),
    (NO_INPUT, "`backup create`: there is nothing to back up in the home that was used"),
    (TRY_AGAIN, "try again later: something is busy, somebody else is at it, or the disk is full"),
    (77, "denied: the key was refused"),
    (CONFIG, "the build or the configuration does not hold; `serve`: nothing listens, or not there"),
    (HUNG_UP, "its terminal went away (SIGHUP); a turn that ran has ended as interrupted"),
    (INTERRUPTED, "interrupted by Ctrl-C"),
    (BROKEN_PIPE, "whoever read the output went away"),
    (
        TERMINATED,
        "ended by SIGTERM before it was done, in order; `serve`: by a second one, or while it started",
    ),
];

/// Why nothing was done, and the code to end with.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) code: u8,
    pub(crate) message: String,
}

impl Refusal {
    /// Whether a signal ended it: the shell's codes, 128 and the signal.
    pub(crate) fn is_by_signal(&self) -> bool {
        [HUNG_UP, INTERRUPTED, TERMINATED].contains(&self.code)
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { code: USAGE, message: message.into() }
    }

    pub(crate) fn config(message: impl Into<String>) -> Self {
        Self { code: CONFIG, message: message.into() }
    }

    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self { code: FAILED, message: message.into() }
    }

    /// The same, and one JSON line on standard output for a program: `{"error": {"exit_code", "message"}}`.
    pub(crate) fn print_with_document(&self) -> u8 {
        if self.code != OK {
            let document = json!({ "error": { "exit_code": self.code, "message": self.message.trim_end() } });
            // Nobody may be left to read it.
            let _ = std::io::stdout().write_all(format!("{document}\n").as_bytes());
        }
        self.print()
    }

    /// Prints it and answers its code. `clap`'s own help and version texts come here with code 0, for stdout.
    pub(crate) fn print(&self) -> u8 {
        let text = plain(&self.message);
        // Nobody may be left to read it.
        let _ = if self.code == OK {
            std::io::stdout().write_all(text.as_bytes())
        } else {
            let text = text.strip_prefix("error: ").unwrap_or(&text);
            writeln!(std::io::stderr(), "error: {}", text.trim_end())
        };
        self.code
    }
}
