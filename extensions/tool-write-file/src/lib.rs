//! Gives the model the tool `write_file`: a whole file, new, or replaced when the model says so.
//!
//! It must not touch the file system itself; `exec.v1` does, wherever the conversation's computer is.
#![forbid(unsafe_code)]

mod args;

use crate::args::Args;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dispatch_sdk::contracts::exec::{IfExists, OF_THE_FILE, Write, WriteParams};
use dispatch_sdk::contracts::tool::{Run, RunParams, RunReply};
use dispatch_sdk::fault::CONFLICT;
use dispatch_sdk::{Call, Config, Contributions, Extension, Fault, Host, NoSettings, Verbs};
use serde_json::{Value, json};
use std::sync::Arc;

dispatch_sdk::export!(WriteFile, settings);

struct WriteFile;

impl Extension for WriteFile {
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

impl WriteFile {
    async fn run(self: Arc<Self>, call: Call, params: RunParams) -> Result<RunReply, Fault> {
        let args = Args::parse(params.args)?;
        let write = WriteParams {
            path: args.path.clone(),
            cwd: params.cwd,
            data: STANDARD.encode(&args.content),
            if_exists: if args.overwrite { IfExists::Replace } else { IfExists::Fail },
            expect_sha256: None,
            make_dirs: true,
        };
        match call.host().call(Write, &write).await {
            Ok(written) => {
                let done = if written.created { "created" } else { "replaced" };
                let n_lines = args.content.lines().count();
                Ok(RunReply {
                    content: format!("{done} `{}`: {} bytes, {n_lines} lines", args.path, written.bytes),
                    is_error: false,
                    detail: json!({
                        "path": written.path, "bytes": written.bytes, "lines": n_lines,
                        "created": written.created, "sha256": written.sha256,
                    }),
                    ..RunReply::default()
                })
            }
            Err(fault) => answer_of(fault),
        }
    }
}

/// What the file system says is the tool's answer; anything else is the host's trouble.
fn answer_of(fault: Fault) -> Result<RunReply, Fault> {
    let content = match fault.code.as_str() {
        CONFLICT => {
            format!("{}; nothing was changed; to replace the file, set `overwrite` to true", fault.message)
        }
        code if OF_THE_FILE.contains(&code) => fault.message,
        _ => return Err(fault),
    };
    Ok(RunReply { content, is_error: true, detail: Value::Null, ..RunReply::default() })
}

#[cfg(test)]
mod tests;
