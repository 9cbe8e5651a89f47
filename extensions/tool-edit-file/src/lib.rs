//! Gives the model the tool `edit_file`: one text of a file replaced by another.
//!
//! It must not touch the file system itself; `exec.v1` does, wherever the conversation's computer is.
#![forbid(unsafe_code)]

mod almost;
mod args;
mod diff;
mod edit;

use crate::args::Args;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dispatch_sdk::contracts::exec::{
    IfExists, OF_THE_FILE, Read, ReadParams, WRITE_BYTES_MAX, Write, WriteParams,
};
use dispatch_sdk::contracts::tool::{Run, RunParams, RunReply};
use dispatch_sdk::fault::{BROKEN, CONFLICT, INVALID, TOO_LARGE};
use dispatch_sdk::{Call, Config, Contributions, Extension, Fault, Host, NoSettings, Verbs, hex};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::sync::Arc;

dispatch_sdk::export!(EditFile, settings);

struct EditFile;

impl Extension for EditFile {
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

impl EditFile {
    async fn run(self: Arc<Self>, call: Call, params: RunParams) -> Result<RunReply, Fault> {
        let args = Args::parse(params.args)?;
        replace(&call.host(), &args, &params.cwd).await.or_else(answer_of)
    }
}

async fn replace(host: &Host, args: &Args, cwd: &str) -> Result<RunReply, Fault> {
    let path = &args.path;
    let refused = |found: String| Fault::new(INVALID, format!("cannot edit `{path}`: {found}"));
    let before = read(host, path, cwd).await?;
    let sha256 = hex(&Sha256::digest(&before));
    let before = String::from_utf8(before).map_err(|e| refused(no_utf8(e.as_bytes()).to_owned()))?;
    let edited = edit::edit(&before, &args.old_string, &args.new_string, args.replace_all, WRITE_BYTES_MAX)
        .map_err(refused)?;
    let write = WriteParams {
        path: path.clone(),
        cwd: cwd.to_owned(),
        data: STANDARD.encode(&edited.text),
        if_exists: IfExists::Replace,
        expect_sha256: Some(sha256),
        make_dirs: false,
    };
    let written = host.call(Write, &write).await?;
    let n_replacements = edited.n_replacements;
    let times = if n_replacements == 1 {
        "1 replacement".to_owned()
    } else {
        format!("{n_replacements} replacements")
    };
    let diff = diff::diff(path, &before, &edited.text);
    Ok(RunReply {
        content: format!("{times} in `{path}`\n{diff}"),
        is_error: false,
        detail: json!({
            "path": written.path, "bytes": written.bytes, "replacements": n_replacements, "diff": diff,
        }),
        ..RunReply::default()
    })
}

fn no_utf8(bytes: &[u8]) -> &'static str {
    match bytes {
        [0xff, 0xfe, ..] => {
            "it is text in UTF-16LE, and only UTF-8 is edited; convert it first (`iconv -f UTF-16 -t UTF-8`)"
        }
        [0xfe, 0xff, ..] => {
            "it is text in UTF-16BE, and only UTF-8 is edited; convert it first (`iconv -f UTF-16 -t UTF-8`)"
        }
        _ => "it is no UTF-8 text",
    }
}

/// All bytes of a file that can be written again. Pieces of two contents would fail at the write by their hash.
async fn read(host: &Host, path: &str, cwd: &str) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::new();
    loop {
        let offset = bytes.len() as u64;
        let params = ReadParams { path: path.to_owned(), cwd: cwd.to_owned(), offset, bytes_max: 0 };
        let read = host.call(Read, &params).await?;
        let piece = STANDARD
            .decode(&read.data)
            .map_err(|e| Fault::new(BROKEN, format!("`exec.v1/read` answered no base64: {e}")))?;
        bytes.extend_from_slice(&piece);
        if bytes.len() > WRITE_BYTES_MAX {
            let message = format!("cannot edit `{path}`: it has more than {WRITE_BYTES_MAX} bytes");
            return Err(Fault::new(TOO_LARGE, message));
        }
        if read.eof || piece.is_empty() {
            return Ok(bytes);
        }
    }
}

/// What the file system says is the tool's answer; anything else is the host's trouble.
fn answer_of(fault: Fault) -> Result<RunReply, Fault> {
    let content = match fault.code.as_str() {
        CONFLICT => format!("{}; it changed while it was edited, and was left so", fault.message),
        code if OF_THE_FILE.contains(&code) => fault.message,
        _ => return Err(fault),
    };
    Ok(RunReply { content, is_error: true, detail: Value::Null, ..RunReply::default() })
}

#[cfg(test)]
mod tests;
