//! What the user says: the words of the command line, or standard input.

use crate::args::RunArgs;
use crate::runs::Run;
use crate::unrun::Unrun;
use dispatch_sdk::contracts::command::{Read, ReadParams};
use dispatch_sdk::contracts::turns::INPUT_BYTES_MAX;
use dispatch_sdk::{Fault, Host};

/// Reads of standard input before it counts as ended.
const READS_MAX: usize = 4096;
/// How long words wait for the first byte of what may stand below them.
const FIRST_WITHIN_MS: u64 = 3_000;

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
    let read = match (words.is_empty(), run.tty.stdin) {
        (true, _) => read_all(&run.call.host(), 0).await?.unwrap_or_default(),
        (false, true) => String::new(),
        (false, false) => context(run).await?,
    };
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

/// What comes below the words. A pipe that nobody writes to and nobody closes is common (a job, a remote shell): it is
/// left out after a while, which a note says.
async fn context(run: &Run) -> Result<String, NoPrompt> {
    let host = run.call.host();
    if let Some(text) = read_all(&host, FIRST_WITHIN_MS).await? {
        return Ok(text);
    }
    let note = "· nothing came on standard input within 3 s, so it is left out; `-` in the place of the words waits for it";
    run.screen.lock().await.note(note).await.map_err(NoPrompt::Unread)?;
    Ok(String::new())
}

/// Standard input to its end, without the line feeds at the end; longer than allowed when it was cut. `None` where nothing
/// came within `first_within_ms`; 0 = waits for ever.
async fn read_all(host: &Host, first_within_ms: u64) -> Result<Option<String>, NoPrompt> {
    let mut text = String::new();
    let bytes_max = INPUT_BYTES_MAX as u64 + 1;
    let mut params = ReadParams { bytes_max, line: false, question: None, first_within_ms };
    for _ in 0..READS_MAX {
        let reply = host.call(Read, &params).await.map_err(NoPrompt::Unread)?;
        if first_within_ms > 0 && text.is_empty() && reply.text.is_empty() && !reply.eof {
            return Ok(None);
        }
        params.first_within_ms = 0;
        text.push_str(&reply.text);
        if reply.eof || reply.truncated || text.len() > INPUT_BYTES_MAX {
            break;
        }
    }
    let kept = text.trim_end_matches(['\n', '\r']).len();
    if text.len() <= INPUT_BYTES_MAX {
        text.truncate(kept);
    }
    Ok(Some(text))
}
