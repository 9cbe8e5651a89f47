//! `exec.v1` on this machine: programs with bounded output, bounded time and nothing left behind, and a look at files.
//!
//! It must not know tools or conversations. It is no sandbox: what it starts may do what the host's user may do.
#![forbid(unsafe_code)]

mod environment;
mod files;
mod output;
mod program;
mod run;
mod utf8;
mod write;

use crate::program::Launch;
use dispatch_sdk::contracts::exec::{
    List, ListParams, ListReply, Read, ReadParams, ReadReply, Spawn, SpawnParams, SpawnReply, Stat,
    StatParams, StatReply, Write, WriteParams, WriteReply,
};
use dispatch_sdk::fault::{INVALID, IO, OVERLOADED};
use dispatch_sdk::{Call, Config, Extension, Fault, Host, Verbs};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Programs that run at once; each has a guard and a waiting thread.
const CHILDREN_MAX: usize = 64;
/// When to come back after `overloaded`.
const RETRY_AFTER_MS: u64 = 1_000;
/// What is emitted of a program's output unless the caller says otherwise.
const OUTPUT_BYTES: u64 = 1024 * 1024;
/// What a caller may ask for.
const OUTPUT_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// The limits that `exec-shim` knows.
const LIMITS: [&str; 6] = ["as", "core", "cpu", "fsize", "nofile", "nproc"];

dispatch_sdk::export!(ExecLocal);

/// One computer: this one.
struct ExecLocal {
    shim: Vec<String>,
    environment: BTreeMap<OsString, OsString>,
    children: Arc<Semaphore>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    /// What stands before a program's own words; absent = the host's `exec-shim`, empty = nothing: then a process
    /// group is all that holds a program, and one that leaves it, or a host that is killed, leaves processes behind.
    shim: Option<Vec<String>>,
    /// Further variables that programs see.
    env_also: Vec<String>,
    /// Resource limits of each program by `setrlimit`: `as`, `core`, `cpu` (s), `fsize`, `nofile`, `nproc`.
    limits: BTreeMap<String, u64>,
}

impl Extension for ExecLocal {
    fn open(_host: Host, config: Config) -> Result<Self, Fault> {
        let settings: Settings = config.parse()?;
        Ok(Self {
            shim: shim(&config, &settings)?,
            environment: environment::scrubbed(&settings.env_also),
            children: Arc::new(Semaphore::new(CHILDREN_MAX)),
        })
    }

    fn verbs(verbs: &mut Verbs<Self>) {
        verbs.on(Spawn, Self::spawn);
        verbs.on(Stat, Self::stat);
        verbs.on(Read, Self::read);
        verbs.on(List, Self::list);
        verbs.on(Write, Self::write);
    }
}

impl ExecLocal {
    async fn spawn(self: Arc<Self>, call: Call, params: SpawnParams) -> Result<SpawnReply, Fault> {
        let launch = self.launch(&params)?;
        let Ok(_place) = Arc::clone(&self.children).try_acquire_owned() else {
            let message = format!("`{}` cannot start: {CHILDREN_MAX} programs are running", params.argv[0]);
            let detail = serde_json::json!({ "retry_after_ms": RETRY_AFTER_MS });
            return Err(Fault::new(OVERLOADED, message).with_detail(detail));
        };
        let bytes_max = match params.output_bytes_max {
            0 => OUTPUT_BYTES,
            asked => asked.min(OUTPUT_BYTES_MAX),
        };
        let bytes_max = usize::try_from(bytes_max).expect("at most OUTPUT_BYTES_MAX");
        run::run(&call, &launch, params.timeout_ms, bytes_max).await
    }

    async fn stat(self: Arc<Self>, _call: Call, params: StatParams) -> Result<StatReply, Fault> {
        aside(move || files::stat(&params)).await
    }

    async fn read(self: Arc<Self>, _call: Call, params: ReadParams) -> Result<ReadReply, Fault> {
        aside(move || files::read(&params)).await
    }

    async fn list(self: Arc<Self>, _call: Call, params: ListParams) -> Result<ListReply, Fault> {
        aside(move || files::list(&params)).await
    }

    async fn write(self: Arc<Self>, call: Call, params: WriteParams) -> Result<WriteReply, Fault> {
        let id = call.host().new_id();
        aside(move || write::write(&params, &id)).await
    }

    fn launch<'a>(&'a self, params: &'a SpawnParams) -> Result<Launch<'a>, Fault> {
        let invalid = |message: String| Err(Fault::new(INVALID, message));
        if params.argv.first().is_none_or(String::is_empty) {
            return invalid("`argv` names no program".to_owned());
        }
        if params.argv.iter().any(|word| word.contains('\0')) {
            return invalid(format!("a word of `argv` of `{}` holds a NUL", params.argv[0].escape_debug()));
        }
        let is_name = |name: &str| !name.is_empty() && !name.contains(['=', '\0']);
        if let Some((name, _)) =
            params.env.iter().find(|(name, value)| !is_name(name) || value.contains('\0'))
        {
            return invalid(format!("`{}` cannot be an environment variable", name.escape_debug()));
        }
        let cwd = Path::new(&params.cwd);
        if !cwd.is_absolute() || params.cwd.contains('\0') || !cwd.is_dir() {
            let cwd = params.cwd.escape_debug();
            return invalid(format!(
                "cannot run `{}` in `{cwd}`: it is not an absolute path of a directory",
                params.argv[0]
            ));
        }
        let mut env = self.environment.clone();
        env.extend(params.env.iter().map(|(name, value)| (name.into(), value.into())));
        Ok(Launch { shim: &self.shim, argv: &params.argv, cwd: &params.cwd, env })
    }
}

fn shim(config: &Config, settings: &Settings) -> Result<Vec<String>, Fault> {
    let invalid = |message: String| Err(Fault::new(INVALID, message));
    if let Some(limit) = settings.limits.keys().find(|limit| !LIMITS.contains(&limit.as_str())) {
        return invalid(format!("`{}`: no limit `{limit}`; known: {}", config.instance(), LIMITS.join(", ")));
    }
    let mut shim = match &settings.shim {
        Some(shim) => shim.clone(),
        None if config.dirs().exe.is_empty() => {
            return invalid(format!(
                "`{}` cannot start programs: this host names no binary of its own; set `shim`",
                config.instance()
            ));
        }
        None => vec![config.dirs().exe.clone(), "exec-shim".to_owned()],
    };
    if shim.is_empty() && !settings.limits.is_empty() {
        return invalid(format!("`{}`: `limits` need a `shim`", config.instance()));
    }
    for (limit, most) in &settings.limits {
        shim.extend(["--limit".to_owned(), format!("{limit}={most}")]);
    }
    Ok(shim)
}

/// Runs blocking work beside the worker, so that a dead file system does not stop the pumps of running programs.
async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(stopped) => Err(Fault::new(IO, format!("the work on the file system ended early: {stopped}"))),
    }
}

#[cfg(test)]
mod tests;
