//! Gives the model the tools `glob` and `grep`: paths by name and lines by regular expression.
//!
//! It must not touch the file system itself; `exec.v1` searches, wherever the conversation's computer is.
#![forbid(unsafe_code)]

mod args;
mod bounds;
mod output;

use crate::args::{GlobArgs, GrepArgs};
use dispatch_sdk::contracts::exec::{OF_THE_FILE, Search, SearchParams, SearchReply};
use dispatch_sdk::contracts::tool::{Run, RunParams, RunReply};
use dispatch_sdk::fault::NOT_FOUND;
use dispatch_sdk::{Call, Config, Contributions, Extension, Fault, Host, NoSettings, Verbs};
use std::sync::Arc;

dispatch_sdk::export!(SearchTools, settings);

struct SearchTools;

impl Extension for SearchTools {
    fn open(_host: Host, config: Config) -> Result<Self, Fault> {
        config.parse::<NoSettings>().map(|_| Self)
    }

    fn verbs(verbs: &mut Verbs<Self>) {
        verbs.on(Run, Self::run);
    }

    async fn start(self: Arc<Self>) -> Result<Contributions, Fault> {
        Ok(Contributions { tools: args::specs(), ..Contributions::default() })
    }
}

impl SearchTools {
    async fn run(self: Arc<Self>, call: Call, params: RunParams) -> Result<RunReply, Fault> {
        let RunParams { args, cwd, .. } = params;
        match call.target() {
            "glob" => {
                let args = args::parse::<GlobArgs>(args)?;
                search(&call, &args.params(cwd), |reply| output::paths(&args, reply)).await
            }
            "grep" => {
                let args = args::parse::<GrepArgs>(args)?;
                search(&call, &args.params(cwd), |reply| output::lines(&args, reply)).await
            }
            other => {
                Err(Fault::new(NOT_FOUND, format!("there is no tool `{other}` here, only `glob` and `grep`")))
            }
        }
    }
}

async fn search(
    call: &Call,
    params: &SearchParams,
    shape: impl FnOnce(SearchReply) -> RunReply,
) -> Result<RunReply, Fault> {
    match call.host().call(Search, params).await {
        Ok(reply) => Ok(shape(reply)),
        Err(fault) if OF_THE_FILE.contains(&fault.code.as_str()) => {
            Ok(RunReply { content: fault.message, is_error: true, ..RunReply::default() })
        }
        Err(fault) => Err(fault),
    }
}

#[cfg(test)]
mod tests;
