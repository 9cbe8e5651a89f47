//! `kernel.v1`, and the two documents at the ends of an instance's start: [`OpenParams`] in, [`Started`] out.

mod explain;
mod health;

pub use explain::*;
pub use health::*;

use crate::contribution::Contributions;
use crate::engine::EngineSpec;
use crate::provider::ProviderSpec;
use crate::verb::{Empty, Limits, Mode, NoFrame, Verb};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Caller id of the kernel's own calls, such as those of `turn_host.v1`. No instance can have it.
pub const KERNEL_INSTANCE: &str = "kernel";
/// Published by the kernel, with an empty object, after what instances contribute has changed: `kernel.v1/inventory` says
/// what it is now. Turns that run ask `turn.tools` again before their next step.
pub const CONTRIBUTIONS_TOPIC: &str = "kernel.contributions";
/// Caller id of the host binary. No instance can have it.
pub const HOST_INSTANCE: &str = "host";

/// The configuration of an extension that has nothing to set; a key is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoSettings {}

/// What an instance is opened with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OpenParams {
    /// Instance id of the build.
    pub instance: String,
    /// Merged configuration of the instance; secrets already resolved.
    #[serde(default)]
    pub config: Value,
    /// Directories of the host; an instance keeps to `<dir>/<instance>` unless its contract says otherwise.
    #[serde(default)]
    pub dirs: Dirs,
    /// Worker threads of its runtime, if it needs one.
    #[serde(default = "one")]
    pub workers: usize,
    /// Most notifications waiting for it; the oldest are dropped beyond that, and counted as missed.
    #[serde(default = "topic_queue_max")]
    pub topic_queue_max: usize,
}

fn one() -> usize {
    1
}

fn topic_queue_max() -> usize {
    4096
}

/// Absolute directories; they exist, mode 0700.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dirs {
    /// Configuration.
    #[serde(default)]
    pub config: String,
    /// What must not be lost.
    #[serde(default)]
    pub data: String,
    /// Locks, reports.
    #[serde(default)]
    pub state: String,
    /// What can be made again.
    #[serde(default)]
    pub cache: String,
    /// Sockets.
    #[serde(default)]
    pub run: String,
    /// The host binary, for `exec-shim`.
    #[serde(default)]
    pub exe: String,
    /// What the build's instances keep elsewhere, absolute: nobody's place of work either.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<String>,
    /// Where the host's own programs lie, files and directories, absolute: nobody's place to write to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub code: Vec<String>,
}

/// What `start` answers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Started {
    /// Every verb that the instance serves.
    #[serde(default)]
    pub verbs: Vec<VerbInfo>,
    /// What it contributes.
    #[serde(default)]
    pub contributes: Contributions,
}

/// What the router must know of a verb.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerbInfo {
    /// Wire name without target.
    pub name: String,
    /// How it is driven.
    pub mode: Mode,
    /// How long it may take.
    pub limits: Limits,
}

/// `kernel.v1/inventory`.
pub struct Inventory;

impl Verb for Inventory {
    type Params = Empty;
    type Reply = InventoryReply;
    type Frame = NoFrame;
    const NAME: &'static str = "kernel.v1/inventory";
    const MODE: Mode = Mode::Inline;
    const LIMITS: Limits = Limits::short(1_000);
}

/// What this host is made of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InventoryReply {
    /// Kernel version.
    pub kernel: String,
    /// Id of this host process.
    pub host_id: String,
    /// In order of activation; disabled ones last.
    pub instances: Vec<InstanceInfo>,
    /// Contract → instance that answers it.
    pub services: std::collections::BTreeMap<String, String>,
    /// What can run a turn: `native` first, then those of active instances, in order of activation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub engines: Vec<EngineSpec>,
}

/// One instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InstanceInfo {
    /// Instance id.
    pub id: String,
    /// Extension id.
    pub from: String,
    /// Extension version.
    pub version: String,
    /// sha256 of the library that is mapped, hex; empty when none is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub sha256: String,
    /// `active`, or `disabled` with a reason.
    pub state: InstanceState,
    /// Why it is disabled; empty when active.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Contracts it answers.
    #[serde(default)]
    pub provides: Vec<String>,
    /// Verbs of `instance.v1` that it serves, without the contract: `check`, `drain`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub serves: Vec<String>,
    /// What it contributes.
    #[serde(default)]
    pub contributes: Contributions,
    /// What it would contribute and this kernel cannot read, each with the reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
}

/// Whether an instance runs. A state that the reader does not know counts as `disabled`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum InstanceState {
    /// It answers calls.
    Active,
    /// It does not; the reason says why.
    #[serde(other)]
    Disabled,
}

/// `kernel.v1/extensions`: the inventory without its details.
pub struct Extensions;

impl Verb for Extensions {
    type Params = Empty;
    type Reply = ExtensionsReply;
    type Frame = NoFrame;
    const NAME: &'static str = "kernel.v1/extensions";
    const MODE: Mode = Mode::Inline;
    const LIMITS: Limits = Limits::short(1_000);
}

/// The instances of the build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ExtensionsReply {
    /// In order of activation; disabled ones last.
    pub extensions: Vec<ExtensionInfo>,
}

/// One instance, in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ExtensionInfo {
    /// Instance id.
    pub id: String,
    /// Extension id.
    pub from: String,
    /// Extension version.
    pub version: String,
    /// `active`, or `disabled` with a reason.
    pub state: InstanceState,
    /// Why it is disabled; empty when active.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Contracts it answers.
    #[serde(default)]
    pub provides: Vec<String>,
}

/// `kernel.v1/providers`: the providers and engines of the build, and nothing else of the inventory: every turn asks.
pub struct Providers;

impl Verb for Providers {
    type Params = Empty;
    type Reply = ProvidersReply;
    type Frame = NoFrame;
    const NAME: &'static str = "kernel.v1/providers";
    const MODE: Mode = Mode::Inline;
    const LIMITS: Limits = Limits::short(1_000);
}

/// Who can run a model, and what can run a turn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProvidersReply {
    /// Id of this host process.
    pub host_id: String,
    /// Of active instances, in order of activation.
    pub providers: Vec<ProviderSpec>,
    /// Instances that would bring some and do not run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disabled: Vec<DisabledInstance>,
    /// What can run a turn: `native` first, then those of active instances, in order of activation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub engines: Vec<EngineSpec>,
}

/// An instance that does not run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DisabledInstance {
    /// Instance id.
    pub id: String,
    /// Why.
    pub reason: String,
}

/// `kernel.v1/trusted`: whether what lies in a directory may act: be read as configuration or as instructions.
///
/// A person said so with `dispatch trust`, of this directory or of one above it; of a file the content as well, so that
/// one which was changed since then does not act. A caller reads a file only of a directory that is trusted, and uses what
/// it has read only after it asked about those very bytes.
pub struct Trusted;

impl Verb for Trusted {
    type Params = TrustedParams;
    type Reply = TrustedReply;
    type Frame = NoFrame;
    const NAME: &'static str = "kernel.v1/trusted";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = Limits::short(5_000);
}

/// Which directory, or which content of a file in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustedParams {
    /// Absolute; links are followed.
    pub dir: String,
    /// The name of a file in `dir`: is it as a person trusted it? Empty = the directory alone is asked about.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub file: String,
    /// SHA-256 of the file's content in lower-case hex, as the caller has read it; with `file`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub sha256: String,
}

/// Whether it is trusted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustedReply {
    /// A directory that cannot be looked at is not, nor is a file that is another one than it was.
    pub trusted: bool,
}

/// `kernel.v1/update`: replaces what the calling instance contributes, within what its manifest declares.
pub struct Update;

impl Verb for Update {
    type Params = UpdateParams;
    type Reply = Empty;
    type Frame = NoFrame;
    const NAME: &'static str = "kernel.v1/update";
    const MODE: Mode = Mode::Inline;
    const LIMITS: Limits = Limits::short(1_000);
}

/// The new contributions, whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UpdateParams {
    /// Replaces all earlier ones of this instance.
    pub contributes: Contributions,
}

/// `kernel.v1/host`.
pub struct HostInfo;

impl Verb for HostInfo {
    type Params = Empty;
    type Reply = HostInfoReply;
    type Frame = NoFrame;
    const NAME: &'static str = "kernel.v1/host";
    const MODE: Mode = Mode::Inline;
    const LIMITS: Limits = Limits::short(1_000);
}

/// Who this host process is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostInfoReply {
    /// New for each process; its lock file is held as long as the process lives.
    pub host_id: String,
}

/// `kernel.v1/host_alive`: whether the lock of a host process is still held.
pub struct HostAlive;

impl Verb for HostAlive {
    type Params = HostAliveParams;
    type Reply = HostAliveReply;
    type Frame = NoFrame;
    const NAME: &'static str = "kernel.v1/host_alive";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = Limits::short(1_000);
}

/// Which host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostAliveParams {
    /// As `kernel.v1/host` answered it there.
    pub host_id: String,
}

/// Whether it lives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostAliveReply {
    /// Its lock is held, or nobody can tell: it is not dead for certain.
    pub alive: bool,
    /// There is a lock file of it here. Without one it may live with a state directory of its own.
    #[serde(default = "yes")]
    pub known: bool,
}

fn yes() -> bool {
    true
}
