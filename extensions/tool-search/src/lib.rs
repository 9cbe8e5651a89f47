//! Gives the model the tools `glob` and `grep`: paths by name and lines by regular expression, on this machine.
//!
//! It must not change anything, and it opens nothing but regular files, none that is out of reach of `exec.v1`.
#![forbid(unsafe_code)]

mod args;
mod barred;
mod glob;
mod grep;
mod ignored;
mod names;
mod output;
mod place;
mod stop;
mod walk;

use crate::args::{GlobArgs, GrepArgs};
use crate::place::Origin;
use crate::stop::{SEARCH_MS_MAX, Stop};
use dispatch_sdk::contracts::exec::{Roots, RootsParams, RootsReply};
use dispatch_sdk::contracts::tool::{Run, RunParams, RunReply};
use dispatch_sdk::fault::{BROKEN, NOT_FOUND};
use dispatch_sdk::{Call, Config, Contributions, Extension, Fault, Host, NoSettings, Verbs};
use serde_json::Value;
use std::sync::Arc;

dispatch_sdk::export!(Search, settings);

struct Search;

impl Extension for Search {
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

impl Search {
    async fn run(self: Arc<Self>, call: Call, params: RunParams) -> Result<RunReply, Fault> {
        let RunParams { args, cwd, .. } = params;
        let reach = call.host().call(Roots, &RootsParams { cwd: cwd.clone() }).await?;
        match call.target() {
            "glob" => {
                let args = args::parse::<GlobArgs>(args)?;
                search(call, cwd, reach, move |origin, stop| glob::glob(&args, origin, stop)).await
            }
            "grep" => {
                let args = args::parse::<GrepArgs>(args)?;
                search(call, cwd, reach, move |origin, stop| grep::grep(&args, origin, stop)).await
            }
            other => {
                Err(Fault::new(NOT_FOUND, format!("there is no tool `{other}` here, only `glob` and `grep`")))
            }
        }
    }
}

/// Runs it where it may block; it ends itself when the call is cancelled.
async fn search(
    call: Call,
    cwd: String,
    reach: RootsReply,
    work: impl FnOnce(&Origin<'_>, &Stop) -> Result<RunReply, String> + Send + 'static,
) -> Result<RunReply, Fault> {
    let stop = Stop::new(SEARCH_MS_MAX, move || call.is_cancelled());
    let searched = tokio::task::spawn_blocking(move || {
        let origin = Origin { cwd: &cwd, reach: &reach };
        work(&origin, &stop)
    });
    let searched = searched.await;
    let searched = searched.map_err(|e| Fault::new(BROKEN, format!("the search broke off: {e}")))?;
    Ok(searched.unwrap_or_else(|content| RunReply {
        content,
        is_error: true,
        detail: Value::Null,
        ..RunReply::default()
    }))
}

#[cfg(test)]
mod tests;
