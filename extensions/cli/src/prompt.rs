//! What the user says: the words of the command line, or standard input.

use crate::args::RunArgs;
use crate::runs::Run;
use crate::unrun::Unrun;
use dispatch_sdk::contracts::command::{Read, ReadParams};
use dispatch_sdk::contracts::turns::INPUT_BYTES_MAX;
use dispatch_sdk::{Fault, Host};
use std::time::Duration;

/// Reads of standard input before it counts as ended.
const READS_MAX: usize = 4096;
/// How long standard input is read before a person is told.
const TOLD_AFTER_MS: u64 = 3_000;

/// Why there is no prompt.
#[derive(Debug, PartialEq)]
pub(crate) enum NoPrompt {
    /// The caller's mistake.
    Wrong(Unrun),
    /// Standard input could not be read.
    Unread(Fault),
}

/// The prompt: the words, and below them what came on standard input if it is no terminal.
pub(crate) async fn prompt(run: &Run, args: &RunArgs) -> Result<String, NoPrompt> {
    let wrong = |message: String| NoPrompt::Wrong(Unrun::Usage(format!("error: {message}")));
    let words = match args.words.as_slice() {
        [] if run.tty.stdin => {
            return Err(wrong("there is nothing to say: add a prompt, or `-` to type one".to_owned()));
        }
        [word] if word == "-" => "",
        words => &words.join(" "),
    };
    let typed = run.tty.stdin && !words.is_empty();
    let read = if typed { String::new() } else { read_all_telling(run, !run.tty.stdin).await? };
    let text = match (words.trim().is_empty(), read.trim().is_empty()) {
        (false, true) => words.to_owned(),
        (true, false) if args.words.is_empty() || words.is_empty() => read,
        (false, false) => format!("{words}\n\n{read}"),
        (true, _) => {
            let place =
                if args.words.is_empty() || words.is_empty() { "standard input" } else { "the prompt" };
            return Err(wrong(format!("there is nothing to say: {place} is blank")));
        }
    };
    if text.len() > INPUT_BYTES_MAX {
        return Err(wrong(format!("the prompt is too long: at most {INPUT_BYTES_MAX} bytes")));
    }
    Ok(text)
}

/// The same as `read_all`, with a note when it takes long: whoever holds the other end may not know that it is read.
async fn read_all_telling(run: &Run, is_told: bool) -> Result<String, NoPrompt> {
    let host = run.call.host();
    let mut reading = std::pin::pin!(read_all(&host));
    tokio::select! {
        biased;
        read = &mut reading => return read,
        () = host.sleep(Duration::from_millis(TOLD_AFTER_MS)), if is_told => {}
    }
    let note = "· standard input is read to its end first; `< /dev/null` goes without";
    run.screen.lock().await.note(note).await.map_err(NoPrompt::Unread)?;
    reading.await
}

/// Standard input to its end, without the line feeds at the end; longer than allowed when it was cut.
async fn read_all(host: &Host) -> Result<String, NoPrompt> {
    let mut text = String::new();
    let params = ReadParams { bytes_max: INPUT_BYTES_MAX as u64 + 1, line: false, question: None };
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
