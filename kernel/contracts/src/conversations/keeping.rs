//! What a person does with conversations: read, list, make, name and archive them.

use super::{Conversation, ID_PATTERN, LIST_LIMIT_MAX, TITLE_PATTERN};
use crate::verb::{Limits, Mode, NoFrame, Verb};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `conversations.v1/get`.
pub struct Get;

impl Verb for Get {
    type Params = GetParams;
    type Reply = Conversation;
    type Frame = NoFrame;
    const NAME: &'static str = "conversations.v1/get";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = Limits::short(10_000);
}

/// Which one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GetParams {
    /// The conversation.
    #[schemars(regex(pattern = ID_PATTERN))]
    pub conversation_id: String,
}

/// `conversations.v1/list`: latest activity first.
pub struct List;

impl Verb for List {
    type Params = ListParams;
    type Reply = ListReply;
    type Frame = NoFrame;
    const NAME: &'static str = "conversations.v1/list";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = Limits::short(30_000);
}

/// Which page.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ListParams {
    /// Most conversations, up to [`LIST_LIMIT_MAX`]; 0 = that, and more is `invalid`.
    #[serde(default)]
    #[schemars(range(max = LIST_LIMIT_MAX))]
    pub limit: usize,
    /// Only those less recently active than this, unix ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<u64>,
    /// With `before`: of those active at that very moment, only those that come after this one. The last `active_at`
    /// and `id` of a page are where the next one begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = ID_PATTERN))]
    pub before_id: Option<String>,
    /// Those that are put away, instead of the others.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub archived: bool,
}

/// A page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ListReply {
    /// Latest activity first.
    pub conversations: Vec<Conversation>,
    /// There are older ones.
    pub has_older: bool,
}

/// `conversations.v1/create`: makes an empty conversation; durable before its reply. Codes: `conflict`, it exists.
pub struct Create;

impl Verb for Create {
    type Params = CreateParams;
    type Reply = CreateReply;
    type Frame = NoFrame;
    const NAME: &'static str = "conversations.v1/create";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = Limits::short(30_000);
}

/// The new one. What is set here is what its first turn starts from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateParams {
    /// `[A-Za-z0-9_-]{1,64}`; absent = a new UUIDv7.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = ID_PATTERN))]
    pub conversation_id: Option<String>,
    /// Absent = from the first input. At most [`TITLE_CHARS_MAX`] characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = TITLE_CHARS_MAX), regex(pattern = TITLE_PATTERN))]
    pub title: Option<String>,
    /// Absolute working directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096), regex(pattern = "^/"))]
    pub cwd: Option<String>,
    /// Provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub provider: Option<String>,
    /// Model; needs `provider`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub model: Option<String>,
    /// Engine; its first turn says whether there is such a one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub engine: Option<String>,
}

/// The conversation as it was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CreateReply {
    /// It.
    pub conversation: Conversation,
    /// Whether it survives a power cut.
    pub durable: bool,
}

/// `conversations.v1/rename`: sets the title.
pub struct Rename;

impl Verb for Rename {
    type Params = RenameParams;
    type Reply = Conversation;
    type Frame = NoFrame;
    const NAME: &'static str = "conversations.v1/rename";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = Limits::short(30_000);
}

/// Which one, and its title.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RenameParams {
    /// The conversation.
    #[schemars(regex(pattern = ID_PATTERN))]
    pub conversation_id: String,
    /// Not blank, at most [`TITLE_CHARS_MAX`] characters, no control characters.
    #[schemars(length(max = TITLE_CHARS_MAX), regex(pattern = TITLE_PATTERN))]
    pub title: String,
}

/// Most characters of a title.
pub const TITLE_CHARS_MAX: usize = 200;

/// `conversations.v1/archive`: puts a conversation away, or brings it back. Nothing is deleted.
pub struct Archive;

impl Verb for Archive {
    type Params = ArchiveParams;
    type Reply = Conversation;
    type Frame = NoFrame;
    const NAME: &'static str = "conversations.v1/archive";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = Limits::short(30_000);
}

/// Which one, and whether it is put away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ArchiveParams {
    /// The conversation.
    #[schemars(regex(pattern = ID_PATTERN))]
    pub conversation_id: String,
    /// False brings it back.
    #[serde(default = "yes")]
    pub archived: bool,
}

fn yes() -> bool {
    true
}
