//! Standard output of the host's own commands.
//!
//! It must not know what is written.

use crate::exit::{BROKEN_PIPE, OK, Refusal};
use dispatch_contracts::plain::plain;
use std::io::Write as _;

/// Writes to standard output what is safe on a terminal.
pub(crate) fn out(text: &str) -> Result<u8, Refusal> {
    let mut stdout = std::io::stdout().lock();
    let written = stdout.write_all(plain(text).as_bytes()).and_then(|()| stdout.flush());
    match written {
        Ok(()) => Ok(OK),
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(BROKEN_PIPE),
        Err(e) => Err(Refusal::failed(format!("cannot write to standard output: {e}"))),
    }
}
