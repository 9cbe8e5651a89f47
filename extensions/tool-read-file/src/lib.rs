//! Gives the model the tool `read_file`: numbered lines of a text file, or the names in a directory.
//!
//! It must not touch the file system itself; `exec.v1` does, wherever the conversation's computer is.
#![forbid(unsafe_code)]

mod args;
mod binary;
mod lines;
mod utf16;

use crate::args::Args;
use crate::lines::{Lines, OUTPUT_BYTES_MAX};
use crate::utf16::Utf16;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dispatch_sdk::contracts::exec::{
    FileKind, List, ListParams, OF_THE_FILE, Read, ReadParams, Stat, StatParams, StatReply,
};
use dispatch_sdk::contracts::tool::{Run, RunParams, RunReply};
use dispatch_sdk::fault::BROKEN;
use dispatch_sdk::{Call, Config, Contributions, Extension, Fault, Host, NoSettings, Verbs};
use serde_json::{Value, json};
use std::sync::Arc;

/// Bytes of one read; most source files fit.
const CHUNK_BYTES: u64 = 256 * 1024;
/// How far into a file lines are sought.
const SCAN_BYTES_MAX: u64 = 32 * 1024 * 1024;

dispatch_sdk::export!(ReadFile, settings);

struct ReadFile;

impl Extension for ReadFile {
    fn open(_host: Host, config: Config) -> Result<Self, Fault> {
        config.parse::<NoSettings>().map(|_| Self)
    }

    fn verbs(verbs: &mut Verbs<Self>) {
        verbs.on(Run, Self::run);
    }

    async fn start(self: Arc<Self>) -> Result<Contributions, Fault> {
        Ok(Contributions { tools: vec![args::spec("read_file")], ..Contributions::default() })
    }
}

impl ReadFile {
    async fn run(self: Arc<Self>, call: Call, params: RunParams) -> Result<RunReply, Fault> {
        let args = Args::parse(params.args)?;
        let looked = Look { host: call.host(), args, cwd: params.cwd }.look().await;
        looked.or_else(|fault| {
            if OF_THE_FILE.contains(&fault.code.as_str()) { Ok(failure(fault.message)) } else { Err(fault) }
        })
    }
}

/// One look at one path.
struct Look {
    host: Host,
    args: Args,
    cwd: String,
}

impl Look {
    async fn look(self) -> Result<RunReply, Fault> {
        let params = StatParams { path: self.args.path.clone(), cwd: self.cwd.clone() };
        let found = self.host.call(Stat, &params).await?;
        match found.kind {
            FileKind::File => self.lines(found).await,
            FileKind::Directory => self.names(found).await,
            FileKind::Other => Ok(failure(format!("`{}` is a device, socket or pipe", self.args.path))),
        }
    }

    async fn lines(self, found: StatReply) -> Result<RunReply, Fault> {
        let (path, first) = (&self.args.path, self.args.offset);
        let mut lines = Lines::new(first, self.args.limit);
        let mut offset = 0;
        let mut utf16 = None;
        let at_end = loop {
            let (data, at_end) = self.read(offset).await?;
            let is_first = offset == 0;
            offset += data.len() as u64;
            let at_end = at_end || data.is_empty();
            if is_first {
                utf16 = Utf16::of(&data);
            }
            let text = match &mut utf16 {
                Some(utf16) => utf16.decode(&data, at_end),
                None => data,
            };
            if is_first && binary::is_binary(&text) {
                return Ok(failure(format!("`{path}` is a binary file of {} bytes", found.bytes)));
            }
            if !lines.push(&text) {
                break false;
            }
            if at_end {
                lines.finish();
                break true;
            }
            if offset >= SCAN_BYTES_MAX {
                lines.more = true;
                break false;
            }
        };
        let n_lines = lines.n_lines();
        if n_lines == 0 && at_end {
            return Ok(answer(
                format!("(`{path}` is empty)"),
                json!({ "path": found.path, "file_bytes": 0 }),
            ));
        }
        if lines.is_empty() {
            return Ok(failure(if at_end {
                format!("`{path}` has {n_lines} lines; there is no line {first}")
            } else {
                format!("line {first} of `{path}` does not begin in its first {SCAN_BYTES_MAX} bytes")
            }));
        }
        let detail = json!({
            "path": found.path, "file_bytes": found.bytes,
            "first_line": first, "last_line": lines.last(), "more": lines.more,
        });
        let last = lines.last();
        let mut text = lines.text;
        if let Some(utf16) = utf16 {
            text.push_str(&format!("[the file is {}; it is shown as UTF-8]\n", utf16.name()));
        }
        if lines.more {
            text.push_str(&format!("[more lines follow; go on with offset {}]\n", last + 1));
        }
        Ok(answer(text, detail))
    }

    async fn read(&self, offset: u64) -> Result<(Vec<u8>, bool), Fault> {
        let params = ReadParams {
            path: self.args.path.clone(),
            cwd: self.cwd.clone(),
            offset,
            bytes_max: CHUNK_BYTES,
        };
        let read = self.host.call(Read, &params).await?;
        let data = STANDARD
            .decode(&read.data)
            .map_err(|e| Fault::new(BROKEN, format!("`exec.v1/read` answered no base64: {e}")))?;
        Ok((data, read.eof))
    }

    async fn names(self, found: StatReply) -> Result<RunReply, Fault> {
        let path = &self.args.path;
        let params = ListParams { path: path.clone(), cwd: self.cwd.clone(), entries_max: 0 };
        let listed = self.host.call(List, &params).await?;
        let n_entries = listed.entries.len();
        if n_entries == 0 {
            return Ok(answer(format!("(`{path}` is an empty directory)"), json!({ "path": found.path })));
        }
        let skipped = usize::try_from(self.args.offset - 1).unwrap_or(usize::MAX);
        if skipped >= n_entries {
            let first = self.args.offset;
            return Ok(failure(format!("`{path}` has {n_entries} entries; there is no entry {first}")));
        }
        let limit = usize::try_from(self.args.limit).unwrap_or(usize::MAX);
        let mut text = String::new();
        let mut n_shown = 0;
        for entry in listed.entries.iter().skip(skipped).take(limit) {
            if text.len() + entry.name.len() > OUTPUT_BYTES_MAX {
                break;
            }
            // A name may hold line breaks; the listing must not.
            text.extend(
                entry.name.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }),
            );
            text.push_str(if entry.kind == FileKind::Directory { "/\n" } else { "\n" });
            n_shown += 1;
        }
        let last = skipped + n_shown;
        if last < n_entries {
            text.push_str(&format!("[more entries follow; go on with offset {}]\n", last + 1));
        } else if listed.truncated {
            text.push_str(&format!(
                "[there are more than these {n_entries} entries; list a part with the shell]\n"
            ));
        }
        Ok(answer(text, json!({ "path": found.path, "entries": n_entries, "truncated": listed.truncated })))
    }
}

fn answer(content: String, detail: Value) -> RunReply {
    RunReply { content, is_error: false, detail, ..RunReply::default() }
}

fn failure(content: String) -> RunReply {
    RunReply { content, is_error: true, detail: Value::Null, ..RunReply::default() }
}

#[cfg(test)]
mod tests;
