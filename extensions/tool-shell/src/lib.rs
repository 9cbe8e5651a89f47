//! Gives the model the tool `shell`: one command line, its output and how it ended.
//!
//! It must not start processes itself; `exec.v1` does, and kills them. It is no sandbox, and no guard against a
//! command that should not run: that is the policy's business (`effect` exec).
#![forbid(unsafe_code)]

mod args;
mod transcript;

use crate::args::Args;
use crate::transcript::{RESULT_CHARS_MAX, Transcript};
use dispatch_sdk::contracts::exec::{Spawn, SpawnParams, SpawnReply};
use dispatch_sdk::contracts::tool::{Run, RunParams, RunReply, ToolFrame};
use dispatch_sdk::fault::{DENIED, INVALID, IO, NOT_FOUND};
use dispatch_sdk::{
    Call, CallStream, Config, Contributions, Extension, Fault, Host, Item, NoSettings, Verbs,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// After a cancel, what `exec.v1` gets to answer; the rest of the call's grace of 500 ms is for the way back.
const CANCEL_WAIT: Duration = Duration::from_millis(450);

dispatch_sdk::export!(Shell, settings);

struct Shell;

impl Extension for Shell {
    fn open(_host: Host, config: Config) -> Result<Self, Fault> {
        config.parse::<NoSettings>().map(|_| Self)
    }

    fn verbs(verbs: &mut Verbs<Self>) {
        verbs.on(Run, Self::run);
    }

    async fn start(self: Arc<Self>) -> Result<Contributions, Fault> {
        Ok(Contributions { tools: vec![args::spec()], ..Contributions::default() })
    }
}

impl Shell {
    async fn run(self: Arc<Self>, call: Call, params: RunParams) -> Result<RunReply, Fault> {
        let args = Args::parse(params.args)?;
        let spawn = SpawnParams {
            argv: vec!["sh".to_owned(), "-c".to_owned(), args.command],
            cwd: params.cwd,
            env: BTreeMap::new(),
            timeout_ms: args.timeout_ms,
            output_bytes_max: 0,
            // Where even the fewest characters are left out, the whole is kept.
            output_file_over_bytes: RESULT_CHARS_MAX as u64,
        };
        let mut stream = call.host().stream(Spawn, &spawn);
        let mut transcript = Transcript::default();
        let given_up = async {
            call.cancelled().await;
            tokio::time::sleep(CANCEL_WAIT).await;
        };
        let ended = tokio::select! {
            ended = follow(&call, &mut stream, &mut transcript) => Some(ended),
            () = given_up => None,
        };
        match ended {
            Some(Ok(end)) => Ok(reply(transcript, &end, args.timeout_ms)),
            None => Ok(cancelled(transcript)),
            Some(Err(_)) if call.is_cancelled() => Ok(cancelled(transcript)),
            // What the machine says is the tool's answer; anything else is the host's trouble.
            Some(Err(fault)) if [NOT_FOUND, DENIED, INVALID, IO].contains(&fault.code.as_str()) => {
                Ok(RunReply {
                    content: fault.message,
                    is_error: true,
                    detail: Value::Null,
                    ..RunReply::default()
                })
            }
            Some(Err(fault)) => Err(fault),
        }
    }
}

/// Reads to the end, showing and keeping what comes.
async fn follow(
    call: &Call,
    stream: &mut CallStream<Spawn>,
    transcript: &mut Transcript,
) -> Result<SpawnReply, Fault> {
    loop {
        match stream.next().await? {
            Item::End(end) => return Ok(end),
            Item::Frame(frame) => {
                transcript.push(&frame.text);
                // When nobody watches any more the result still counts.
                let _ = call.emit(&ToolFrame { stream: frame.stream, text: frame.text }).await;
            }
        }
    }
}

fn reply(transcript: Transcript, end: &SpawnReply, timeout_ms: u64) -> RunReply {
    let mut notes = Vec::new();
    if end.cancelled {
        notes.push("[cancelled]".to_owned());
    } else if end.timed_out {
        notes.push(format!("[timed out after {timeout_ms} ms and was killed]"));
    }
    match (end.exit_code, end.signal) {
        (Some(0), _) => {}
        (Some(code), _) => notes.push(format!("[exit code {code}]")),
        // The kill after a timeout or a cancel needs no second note.
        (None, Some(signal)) if notes.is_empty() => notes.push(format!("[killed by signal {signal}]")),
        (None, Some(_)) => {}
        (None, None) if notes.is_empty() => notes.push("[how it ended is unknown]".to_owned()),
        (None, None) => {}
    }
    let is_cut = transcript.is_cut();
    let file = if is_cut { end.output_file.as_deref() } else { None };
    if is_cut && !end.output_file_note.is_empty() {
        let what = if file.is_some() { "of the file: " } else { "" };
        notes.push(format!("[{what}{}]", end.output_file_note));
    }
    RunReply {
        is_error: end.exit_code != Some(0) || end.timed_out || end.cancelled,
        detail: json!({
            "exit_code": end.exit_code, "signal": end.signal,
            "timed_out": end.timed_out, "cancelled": end.cancelled,
            "duration_ms": end.duration_ms, "output_bytes": end.output_bytes, "dropped_bytes": end.dropped_bytes,
            "output_file": file,
        }),
        content: content(transcript.text(end.dropped_bytes, file), &notes),
        ..RunReply::default()
    }
}

fn cancelled(transcript: Transcript) -> RunReply {
    let content = content(transcript.text(0, None), &["[cancelled]".to_owned()]);
    RunReply { content, is_error: true, detail: json!({ "cancelled": true }), ..RunReply::default() }
}

fn content(mut text: String, notes: &[String]) -> String {
    if text.is_empty() {
        text.push_str("(no output)");
    }
    for note in notes {
        if !text.ends_with('\n') {
            text.push('\n');
        }
        text.push_str(note);
    }
    text
}

#[cfg(test)]
mod tests;
