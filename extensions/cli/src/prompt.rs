//! What the user says: the words of the command line, or standard input.

use crate::args::{RunArgs, Unrun};
use dispatch_sdk::contracts::command::{Read, ReadParams, Tty};
use dispatch_sdk::contracts::turns::INPUT_BYTES_MAX;
use dispatch_sdk::{Fault, Host};

/// Reads of standard input before it counts as ended.
const READS_MAX: usize = 4096;

/// Why there is no prompt.
#[derive(Debug, PartialEq)]
pub(crate) enum NoPrompt {
    /// The caller's mistake.
    Wrong(Unrun),
    /// Standard input could not be read.
    Unread(Fault),
}

/// The prompt; `host` belongs to the command's call.
pub(crate) async fn prompt(host: &Host, args: &RunArgs, tty: Tty) -> Result<String, NoPrompt> {
    let wrong = |message: String| NoPrompt::Wrong(Unrun::Usage(format!("error: {message}")));
    let from_stdin = match args.words.as_slice() {
        [] if tty.stdin => {
            return Err(wrong("there is nothing to say: add a prompt, or `-` to type one".to_owned()));
        }
        [] => true,
        [word] => word == "-",
        _ => false,
    };
    let text = if from_stdin { read_all(host).await? } else { args.words.join(" ") };
    if text.trim().is_empty() {
        let place = if from_stdin { "standard input" } else { "the prompt" };
        return Err(wrong(format!("there is nothing to say: {place} is blank")));
    }
    if text.len() > INPUT_BYTES_MAX {
        return Err(wrong(format!("the prompt is too long: at most {INPUT_BYTES_MAX} bytes")));
    }
    Ok(text)
}

/// Standard input to its end, without the line feeds at the end; longer than allowed when it was cut.
async fn read_all(host: &Host) -> Result<String, NoPrompt> {
    let mut text = String::new();
    let params = ReadParams { bytes_max: INPUT_BYTES_MAX as u64 + 1, line: false };
    for _ in 0..READS_MAX {
        let reply = host.call(Read, &params).await.map_err(NoPrompt::Unread)?;
        text.push_str(&reply.text);
        if reply.eof || reply.truncated || text.len() > INPUT_BYTES_MAX {
            break;
        }
    }
    let kept = text.trim_end_matches(['\n', '\r']).len();
    if text.len() <= INPUT_BYTES_MAX {
        text.truncate(kept);
    }
    Ok(text)
}
