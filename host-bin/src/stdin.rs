//! Standard input: only this binary touches it; commands ask for it through `command_host.v1/read`.

use dispatch_contracts::Fault;
use dispatch_contracts::command::{Read, ReadParams, ReadReply};
use dispatch_contracts::fault::{INVALID, IO};
use dispatch_kernel::HostedService;
use std::future::Future;
use std::io::{BufRead, Read as _};
use std::pin::Pin;

/// Most bytes of one read.
const READ_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Serves `command_host.v1/read`.
pub(crate) struct Stdin;

impl HostedService<Read> for Stdin {
    fn answer(
        &self,
        params: ReadParams,
    ) -> Pin<Box<dyn Future<Output = Result<ReadReply, Fault>> + Send + 'static>> {
        Box::pin(async move {
            if params.bytes_max == 0 || params.bytes_max > READ_BYTES_MAX {
                let message =
                    format!("`bytes_max` is {}, and must be 1 to {READ_BYTES_MAX}", params.bytes_max);
                return Err(Fault::new(INVALID, message));
            }
            // The thread may wait for ever; the process does not wait for it.
            let read = tokio::task::spawn_blocking(move || read(&mut std::io::stdin().lock(), &params));
            match read.await {
                Ok(Ok(reply)) => Ok(reply),
                Ok(Err(e)) => Err(Fault::new(IO, format!("cannot read standard input: {e}"))),
                Err(e) => Err(Fault::new(IO, format!("cannot read standard input: {e}"))),
            }
        })
    }
}

fn read(input: &mut impl BufRead, params: &ReadParams) -> std::io::Result<ReadReply> {
    let mut bytes = Vec::new();
    if params.line {
        input.take(params.bytes_max).read_until(b'\n', &mut bytes)?;
        let ended = bytes.last() == Some(&b'\n');
        let full = bytes.len() as u64 == params.bytes_max;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        return Ok(ReadReply { text, eof: !ended && !full, truncated: !ended && full });
    }
    // One byte more than asked for tells whether anything is left.
    input.take(params.bytes_max + 1).read_to_end(&mut bytes)?;
    let truncated = bytes.len() as u64 > params.bytes_max;
    bytes.truncate(usize::try_from(params.bytes_max).unwrap_or(usize::MAX));
    Ok(ReadReply { text: String::from_utf8_lossy(&bytes).into_owned(), eof: !truncated, truncated })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(input: &str, bytes_max: u64, line: bool) -> ReadReply {
        read(&mut input.as_bytes(), &ReadParams { bytes_max, line }).unwrap()
    }

    #[test]
    fn a_read_says_whether_more_would_have_come() {
        let reply = |text: &str, eof, truncated| ReadReply { text: text.to_owned(), eof, truncated };
        assert_eq!(all("abc", 3, false), reply("abc", true, false));
        assert_eq!(all("abcd", 3, false), reply("abc", false, true));
        assert_eq!(all("a\nb", 9, true), reply("a\n", false, false));
        assert_eq!(all("ab", 9, true), reply("ab", true, false));
        assert_eq!(all("abcd", 3, true), reply("abc", false, true));
    }
}
