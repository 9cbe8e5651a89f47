//! What a person is asked on a terminal by the host itself.

use crate::exit::Refusal;
use dispatch_contracts::plain::plain;
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use std::io::{BufRead as _, Read as _, Write as _};

/// Longest answer, and how often an empty one is asked about again.
const ANSWER_BYTES_MAX: u64 = 4096;
const TRIES_MAX: usize = 3;

/// Asks a person; an empty answer is `known`, if there is one. Asked again until there is an answer, a few times.
pub(crate) fn ask(question: &str, known: &str) -> Result<String, Refusal> {
    let known_shown = if known.is_empty() { String::new() } else { format!(" [{}]", plain(known)) };
    for _ in 0..TRIES_MAX {
        let answer = line(&format!("{question}{known_shown}: "))?;
        match (answer.is_empty(), known.is_empty()) {
            (false, _) => return Ok(answer),
            (true, false) => return Ok(known.to_owned()),
            (true, true) => {}
        }
    }
    Err(Refusal::usage(format!("there was no answer to `{question}`")))
}

/// Asks a person; the answer, which may be empty, is not shown as it is typed.
pub(crate) fn ask_hidden(question: &str) -> Result<String, Refusal> {
    let cannot = |e: rustix::io::Errno| Refusal::failed(format!("cannot hide what is typed: {e}"));
    let stdin = std::io::stdin();
    let before = tcgetattr(&stdin).map_err(cannot)?;
    let mut hidden = before.clone();
    hidden.local_modes.remove(LocalModes::ECHO);
    // What was typed before the question is no answer to it.
    tcsetattr(&stdin, OptionalActions::Flush, &hidden).map_err(cannot)?;
    let answer = line(&format!("{question}: "));
    let restored = tcsetattr(&stdin, OptionalActions::Now, &before).map_err(cannot);
    // Nobody may be left to see it.
    let _ = writeln!(std::io::stderr());
    restored.and(answer)
}

fn line(prompt: &str) -> Result<String, Refusal> {
    let cannot = |e: std::io::Error| Refusal::failed(format!("cannot ask: {e}"));
    let mut stderr = std::io::stderr().lock();
    stderr.write_all(prompt.as_bytes()).and_then(|()| stderr.flush()).map_err(cannot)?;
    let mut answer = String::new();
    let n = std::io::stdin().lock().take(ANSWER_BYTES_MAX).read_line(&mut answer).map_err(cannot)?;
    if n == 0 {
        return Err(Refusal::usage("the input ended before it was answered"));
    }
    Ok(answer.trim().to_owned())
}
