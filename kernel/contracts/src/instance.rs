//! `instance.v1`: what the host, and whoever shows its state, may ask of any instance: `instance.v1/check#storage-sqlite`.
//!
//! Every verb is optional: an instance serves those it has something to say to, and needs no word of it in its
//! manifest. The router finds an instance by its id; `InstanceInfo::serves` lists who serves what.

use crate::fault::{Fault, INVALID};
use crate::verb::{Empty, Limits, Mode, NoFrame, Verb};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The contract: answered by every instance that has something to say, by its id.
pub const INSTANCE_CONTRACT: &str = "instance.v1";
/// Most checks, and most metrics, of one instance.
pub const ITEMS_MAX: usize = 256;

/// `instance.v1/serve`: the host goes on until it is told to end, and its parts may take work from outside.
///
/// Asked once, in order of activation, by `dispatch serve` alone. The reply comes when the instance is ready.
pub struct Serve;

impl Verb for Serve {
    type Params = ServeParams;
    type Reply = ServeReply;
    type Frame = NoFrame;
    const NAME: &'static str = "instance.v1/serve";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = Limits::short(30_000);
}

/// How the host serves.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServeParams {
    /// Where to listen, as the command line says: `127.0.0.1:8080`, `[::1]:0`, `unix:/run/x.sock`. Empty = as configured.
    /// Instances that listen to nothing pass it over.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub listen: Vec<String>,
}

/// Where it can be reached.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServeReply {
    /// With real ports; empty for an instance that listens to nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
}

/// `instance.v1/drain`: takes no new work from now on, and answers when what runs is over, or `deadline_ms` has passed.
///
/// Asked of all at once, before any is stopped. What still runs after it is ended by `stop`.
pub struct Drain;

impl Verb for Drain {
    type Params = DrainParams;
    type Reply = DrainReply;
    type Frame = NoFrame;
    const NAME: &'static str = "instance.v1/drain";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = Limits::long(0);
}

/// How long it may take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrainParams {
    /// From now.
    pub deadline_ms: u64,
}

/// What was left.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrainReply {
    /// Pieces of work that still ran at the deadline.
    #[serde(default)]
    pub unfinished: u64,
}

/// `instance.v1/reload`: takes over what can be changed while it runs; nothing else is touched.
///
/// Codes: `invalid`, the configuration does not hold; everything stays as it was.
pub struct Reload;

impl Verb for Reload {
    type Params = ReloadParams;
    type Reply = ReloadReply;
    type Frame = NoFrame;
    const NAME: &'static str = "instance.v1/reload";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = Limits::short(10_000);
}

/// The configuration as it is now, whole; secrets resolved.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct ReloadParams {
    /// As in `OpenParams`.
    pub config: Value,
}

impl std::fmt::Debug for ReloadParams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ReloadParams { config: … }")
    }
}

/// What became of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReloadReply {
    /// Keys whose new value holds from now on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub applied: Vec<String>,
    /// Keys that changed and hold only after a restart.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs_restart: Vec<String>,
}

/// `instance.v1/backup`: a whole and checked copy of what the instance keeps, while it is used.
///
/// Codes: `conflict` there is a file already; `invalid` the path; `no_space`, `io`: nothing half-written stays;
/// `unavailable` it keeps nothing that could be copied.
pub struct Backup;

impl Verb for Backup {
    type Params = BackupParams;
    type Reply = BackupReply;
    type Frame = NoFrame;
    const NAME: &'static str = "instance.v1/backup";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = COPY_LIMITS;
}

/// Longest time of a backup or a restore; it is the disk that decides.
pub const COPY_MS_MAX: u64 = 60 * 60 * 1000;
const COPY_LIMITS: Limits = Limits { budget_ms: COPY_MS_MAX, silence_ms: 0, long: true };

/// Where to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupParams {
    /// Absolute; a missing directory is made.
    pub path: String,
    /// A file that is there already gives way, once the copy is whole.
    #[serde(default)]
    pub replace: bool,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupReply {
    /// Size of the copy.
    pub bytes: u64,
}

/// `instance.v1/restore`: puts a backup in the place of what the instance keeps, which is kept aside.
///
/// The instance serves nothing any more afterwards: the host has to end. Codes: `unavailable` with
/// `{reason: "busy"}` another process uses it, and nothing was changed; `not_found`, `invalid`, `corrupt` the backup.
pub struct Restore;

impl Verb for Restore {
    type Params = RestoreParams;
    type Reply = RestoreReply;
    type Frame = NoFrame;
    const NAME: &'static str = "instance.v1/restore";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = COPY_LIMITS;
}

/// Which backup; it is only read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreParams {
    /// Absolute.
    pub path: String,
}

/// What became of the one before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreReply {
    /// Where it lies now.
    pub kept: String,
}

/// `path` if it is absolute: an instance has no working directory. Errors: `invalid`.
pub fn absolute(path: &str) -> Result<PathBuf, Fault> {
    let absolute = PathBuf::from(path);
    if absolute.is_absolute() && absolute.file_name().is_some() {
        return Ok(absolute);
    }
    Err(Fault::new(INVALID, format!("`{path}` is no absolute path of a file")))
}

/// `instance.v1/check`: whether what the instance needs is there; changes nothing.
pub struct Check;

impl Verb for Check {
    type Params = Empty;
    type Reply = CheckReply;
    type Frame = NoFrame;
    const NAME: &'static str = "instance.v1/check";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = Limits::short(15_000);
}

/// What was looked at; at most [`ITEMS_MAX`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CheckReply {
    /// In the order to show them.
    pub checks: Vec<CheckResult>,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CheckResult {
    /// `[a-z][a-z0-9_]*`, unique within the instance.
    pub name: String,
    /// How it stands.
    pub status: CheckStatus,
    /// What was found, one line.
    pub summary: String,
    /// What to do about it; empty when there is nothing.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub recovery: String,
}

/// How a checked thing stands. What the reader does not know counts as `fail`, so that somebody looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CheckStatus {
    /// As it should be.
    Ok,
    /// It works, and somebody should look.
    Warn,
    /// It does not work.
    #[serde(other)]
    Fail,
}

/// `instance.v1/metrics`: numbers of the running instance.
pub struct Metrics;

impl Verb for Metrics {
    type Params = Empty;
    type Reply = MetricsReply;
    type Frame = NoFrame;
    const NAME: &'static str = "instance.v1/metrics";
    const MODE: Mode = Mode::Inline;
    const LIMITS: Limits = Limits::short(1_000);
}

/// At most [`ITEMS_MAX`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MetricsReply {
    /// In the order to show them.
    pub metrics: Vec<Metric>,
}

/// One metric with its samples. Source: Prometheus text format 0.0.4, naming as its best practices.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    /// `dispatch_turns_running`; a counter ends in `_total`.
    pub name: String,
    /// What it counts, one line.
    pub help: String,
    /// How it moves.
    pub kind: MetricKind,
    /// One for each set of labels.
    pub samples: Vec<Sample>,
}

impl Metric {
    /// A number that only grows; its name ends in `_total`.
    pub fn counter(name: &str, help: &str, value: f64) -> Self {
        Self::of(name, help, MetricKind::Counter, vec![Sample { labels: BTreeMap::new(), value }])
    }

    /// A number that goes up and down.
    pub fn gauge(name: &str, help: &str, value: f64) -> Self {
        Self::of(name, help, MetricKind::Gauge, vec![Sample { labels: BTreeMap::new(), value }])
    }

    /// A counter with one sample for each value of `label`, in the order given.
    pub fn counters<L: Into<String>>(
        name: &str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = (L, f64)>,
    ) -> Self {
        let sample =
            |(at, value): (L, f64)| Sample { labels: BTreeMap::from([(label.to_owned(), at.into())]), value };
        Self::of(name, help, MetricKind::Counter, values.into_iter().map(sample).collect())
    }

    fn of(name: &str, help: &str, kind: MetricKind, samples: Vec<Sample>) -> Self {
        Self { name: name.to_owned(), help: help.to_owned(), kind, samples }
    }
}

/// How a metric moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MetricKind {
    /// Up only.
    Counter,
    /// Up and down.
    Gauge,
    /// In a way that the reader does not know.
    #[serde(other)]
    Untyped,
}

/// One number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Few values each; never an id.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The number.
    pub value: f64,
}
