//! `exec.v1` on this machine: programs with bounded output, bounded time and nothing left behind, and a look at files.
//!
//! It must not know tools or conversations. It is no sandbox: what it starts may do what the host's user may do.
#![forbid(unsafe_code)]

mod artifact;
mod barred;
mod checking;
mod environment;
mod files;
mod output;
mod program;
mod reach;
mod run;
mod search;
mod seen;
mod sensitive;
mod unnamed;
mod utf8;
mod write;

use crate::artifact::{Artifact, Bounds};
use crate::barred::{Bars, Way};
use crate::program::Launch;
use crate::reach::{Reach, Roots, Within};
use crate::run::Terms;
use crate::search::Stop;
use crate::seen::LOOK;
use dispatch_sdk::contracts::exec::{
    self, List, ListParams, ListReply, Read, ReadParams, ReadReply, RootsParams, RootsReply, SEARCH_MS,
    SEARCH_MS_MAX, SearchParams, SearchReply, Spawn, SpawnParams, SpawnReply, Stat, StatParams, StatReply,
    Write, WriteParams, WriteReply,
};
use dispatch_sdk::contracts::instance;
use dispatch_sdk::fault::{CANCELLED, INVALID, IO, OVERLOADED};
use dispatch_sdk::{Call, Config, Extension, Fault, Host, Verbs};
use rustix::fs::OFlags;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// Programs that run at once; each has a guard and a waiting thread.
const CHILDREN_MAX: usize = 64;
/// When to come back after `overloaded`.
const RETRY_AFTER_MS: u64 = 1_000;
/// Searches that go on at once; the rest wait. Each reads a disk, and holds up to a page, a file's longest line and a
/// descriptor for each directory above the one where it is.
const SEARCHES_MAX: usize = 4;
/// What of a call's budget a search leaves for its answer.
const ANSWER_MS: u64 = 1_000;
/// What is emitted of a program's output unless the caller says otherwise.
const OUTPUT_BYTES: u64 = 1024 * 1024;
/// What a caller may ask for.
const OUTPUT_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// The limits that `exec-shim` knows.
const LIMITS: [&str; 6] = ["as", "core", "cpu", "fsize", "nofile", "nproc"];

dispatch_sdk::export!(ExecLocal, settings);

/// One computer: this one.
struct ExecLocal {
    shim: Vec<String>,
    environment: BTreeMap<OsString, OsString>,
    children: Arc<Semaphore>,
    searches: Arc<Semaphore>,
    /// Where output lies of which not all was emitted; absent = this host has no cache directory.
    output_dir: Option<PathBuf>,
    roots: Roots,
    bars: Bars,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    /// What stands before a program's own words; absent = the host's `exec-shim`, empty = nothing: then a process
    /// group is all that holds a program, and one that leaves it, or a host that is killed, leaves processes behind.
    shim: Option<Vec<String>>,
    /// Further variables that programs see.
    env_also: Vec<String>,
    /// Resource limits of each program by `setrlimit`: `as`, `core`, `cpu` (s), `fsize`, `nofile`, `nproc`.
    limits: BTreeMap<String, u64>,
    /// What the file verbs reach: absolute paths of directories, and `{cwd}` for the working directory of the call.
    /// Absent = the whole machine. A guard against mistakes: programs are not confined by it.
    roots: Option<Vec<String>>,
    /// Places of secrets, or parts of them, that file verbs reach all the same, such as `~/.kube` or `~/.ssh/config`.
    sensitive_allow: Vec<String>,
}

impl Extension for ExecLocal {
    fn open(_host: Host, config: Config) -> Result<Self, Fault> {
        let settings: Settings = config.parse()?;
        Ok(Self {
            shim: shim(&config, &settings)?,
            environment: environment::scrubbed(&settings.env_also),
            children: Arc::new(Semaphore::new(CHILDREN_MAX)),
            searches: Arc::new(Semaphore::new(SEARCHES_MAX)),
            output_dir: output_dir(&config),
            roots: Roots::parse(settings.roots, config.instance())?,
            bars: Bars::new(
                config.instance(),
                config.dirs(),
                environment::home().as_deref(),
                &settings.sensitive_allow,
            )?,
        })
    }

    fn verbs(verbs: &mut Verbs<Self>) {
        verbs.on(Spawn, Self::spawn);
        verbs.on(Stat, Self::stat);
        verbs.on(Read, Self::read);
        verbs.on(List, Self::list);
        verbs.on(Write, Self::write);
        verbs.on(exec::Roots, Self::roots);
        verbs.on(exec::Search, Self::search);
        verbs.on(instance::Check, Self::check);
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
        let terms = Terms {
            timeout_ms: params.timeout_ms,
            output_bytes_max: usize::try_from(bytes_max).expect("at most OUTPUT_BYTES_MAX"),
            file_over_bytes: params.output_file_over_bytes,
        };
        let artifact = match &self.output_dir {
            Some(dir) => Artifact::new(dir.join(format!("{}.log", call.host().new_id())), Bounds::USUAL),
            None => Artifact::nowhere(),
        };
        run::run(&call, &launch, &terms, artifact).await
    }

    async fn stat(self: Arc<Self>, _call: Call, params: StatParams) -> Result<StatReply, Fault> {
        aside(move || files::stat(&params, &self.readable(&params.cwd))).await
    }

    async fn read(self: Arc<Self>, _call: Call, params: ReadParams) -> Result<ReadReply, Fault> {
        aside(move || files::read(&params, &self.readable(&params.cwd))).await
    }

    async fn list(self: Arc<Self>, _call: Call, params: ListParams) -> Result<ListReply, Fault> {
        aside(move || files::list(&params, &self.readable(&params.cwd))).await
    }

    async fn write(self: Arc<Self>, call: Call, params: WriteParams) -> Result<WriteReply, Fault> {
        let id = call.host().new_id();
        aside(move || write::write(&params, &id, &self.writable(&params.cwd))).await
    }

    async fn roots(self: Arc<Self>, _call: Call, params: RootsParams) -> Result<RootsReply, Fault> {
        aside(move || Ok(self.readable(&params.cwd).tell())).await
    }

    async fn search(self: Arc<Self>, call: Call, params: SearchParams) -> Result<SearchReply, Fault> {
        let asked = if params.time_ms == 0 { SEARCH_MS } else { params.time_ms.min(SEARCH_MS_MAX) };
        let time_ms = match call.budget_ms() {
            0 => asked,
            left => asked.min(left.saturating_sub(ANSWER_MS)),
        };
        // The time that it waits is its own.
        let in_time = Duration::from_millis(time_ms);
        let began = Instant::now();
        let place = tokio::select! {
            place = Arc::clone(&self.searches).acquire_owned() => place.ok(),
            () = call.cancelled() => return Err(Fault::new(CANCELLED, "the search was cancelled before it began")),
            () = tokio::time::sleep(in_time) => None,
        };
        let Some(place) = place else {
            let message = format!("cannot search `{}`: {SEARCHES_MAX} others go on; try again", params.path);
            let detail = serde_json::json!({ "retry_after_ms": RETRY_AFTER_MS });
            return Err(Fault::new(OVERLOADED, message).with_detail(detail));
        };
        let stop = Stop::new(in_time.saturating_sub(began.elapsed()), move || call.is_cancelled());
        aside(move || {
            let _place = place;
            search::search(&params, &self.readable(&params.cwd), &stop)
        })
        .await
    }

    /// What may be read: the roots, and output that was cut.
    fn readable(&self, cwd: &str) -> Reach {
        self.roots.seen_from(cwd, self.bars.now(Way::Read), self.output_dir.as_deref())
    }

    fn writable(&self, cwd: &str) -> Reach {
        self.roots.seen_from(cwd, self.bars.now(Way::Write), None)
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
        let refused = |found: &str| {
            let (program, cwd) = (&params.argv[0], params.cwd.escape_debug());
            invalid(format!("cannot run `{program}` in `{cwd}`: {found}"))
        };
        if !cwd.is_absolute() || params.cwd.contains('\0') {
            return refused("it is not an absolute path of a directory");
        }
        match cwd.metadata() {
            Ok(found) if found.is_dir() => {}
            Ok(_) => return refused("it is no directory"),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                return refused("there is no directory of that name, or none any more");
            }
            Err(e) => return refused(&e.to_string()),
        }
        let dir = match self.roots.within(&params.cwd, None) {
            Within::Machine => None,
            within => Some(within.look(cwd, LOOK | OFlags::DIRECTORY).map_err(|e| {
                let tried = format!("run `{}` in", params.argv[0]);
                files::failed(&tried, cwd, &e)
            })?),
        };
        let mut env = self.environment.clone();
        env.extend(params.env.iter().map(|(name, value)| (name.into(), value.into())));
        Ok(Launch { shim: &self.shim, argv: &params.argv, cwd: &params.cwd, dir, env })
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

fn output_dir(config: &Config) -> Option<PathBuf> {
    let cache = &config.dirs().cache;
    (!cache.is_empty()).then(|| Path::new(cache).join(config.instance()).join("output"))
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
