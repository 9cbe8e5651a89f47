//! Who lives: the host processes that hold turns open, as the store that they share knows them.
//!
//! Each host has a row in the store, written with the first turn that it opens: the boot of its machine, its process
//! namespace, its process and when that began. On the same boot and in the same namespace the process itself is looked
//! at; from anywhere else the row is what counts: a host with open turns renews it each [`HOST_RENEW_MS`], and one that
//! was not renewed for [`HOST_LEASE_MS`] is dead. A host without a row is `unknown`, and that is never `dead`.

use super::Conversation;
use crate::verb::{Empty, Limits, Mode, NoFrame, Verb};
use serde::{Deserialize, Serialize};

/// How often a host with open turns renews its row.
pub const HOST_RENEW_MS: u64 = 10_000;
/// A host on another machine, boot or namespace whose row was not renewed for so long is dead.
pub const HOST_LEASE_MS: u64 = 30_000;
/// Most open turns in one page.
pub const OPEN_TURNS_LIMIT_MAX: usize = 200;
/// Most hosts in one reply.
pub const HOSTS_MAX: usize = 1000;

/// Whether a host process lives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Life {
    /// It does, as far as anybody can tell.
    Alive,
    /// It does not: its process is gone, or it let its row lapse.
    Dead,
    /// Nobody can tell: nothing may be taken from it.
    #[default]
    #[serde(other)]
    Unknown,
}

/// `conversations.v1/host`: whether one host process lives.
pub struct HostLife;

impl Verb for HostLife {
    type Params = HostLifeParams;
    type Reply = HostLifeReply;
    type Frame = NoFrame;
    const NAME: &'static str = "conversations.v1/host";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = Limits::short(10_000);
}

/// Which one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostLifeParams {
    /// As `open_turn` names it.
    pub host_id: String,
}

/// Whether it lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct HostLifeReply {
    /// `unknown` for a host that never wrote a row, such as one of before there were rows.
    #[serde(default)]
    pub life: Life,
}

/// `conversations.v1/hosts`: every host that holds a turn open, and whether it lives.
pub struct Hosts;

impl Verb for Hosts {
    type Params = Empty;
    type Reply = HostsReply;
    type Frame = NoFrame;
    const NAME: &'static str = "conversations.v1/hosts";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = Limits::short(30_000);
}

/// Who holds turns open.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostsReply {
    /// In order of their ids, at most [`HOSTS_MAX`]; the dead ones come first.
    pub hosts: Vec<OpenHost>,
    /// Old conversations are still being looked through: ask again, there may be more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub indexing: bool,
}

/// A host that holds turns open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenHost {
    /// The host process.
    pub host_id: String,
    /// Whether it lives.
    #[serde(default)]
    pub life: Life,
}

/// `conversations.v1/bury`: a person says that a host is dead of which the store cannot tell.
///
/// For hosts of before there were rows, and machines that never come back. What it had open is then looked after like
/// the turns of any dead host. Codes: `conflict`, it lives; `not_found`, it holds no turn open.
pub struct Bury;

impl Verb for Bury {
    type Params = BuryParams;
    type Reply = HostLifeReply;
    type Frame = NoFrame;
    const NAME: &'static str = "conversations.v1/bury";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = Limits::short(30_000);
}

/// Which one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BuryParams {
    /// As `open_turn` names it.
    #[schemars(regex(pattern = super::ID_PATTERN))]
    pub host_id: String,
}

/// `conversations.v1/open_turns`: a page of the conversations with an open turn.
pub struct OpenTurns;

impl Verb for OpenTurns {
    type Params = OpenTurnsParams;
    type Reply = OpenTurnsReply;
    type Frame = NoFrame;
    const NAME: &'static str = "conversations.v1/open_turns";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = Limits::short(60_000);
}

/// Which page, and whose turns.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenTurnsParams {
    /// Only the turns of this host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_id: Option<String>,
    /// `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Most turns, up to [`OPEN_TURNS_LIMIT_MAX`]; 0 = that, and more is `invalid`.
    #[serde(default)]
    pub limit: usize,
}

/// A page of the open turns, by host and conversation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenTurnsReply {
    /// Each with `open_turn`.
    pub conversations: Vec<Conversation>,
    /// `after` of the next page; absent = this was the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}
