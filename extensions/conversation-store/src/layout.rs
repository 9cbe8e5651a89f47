//! How far a store is on its way to what this version writes. It must not know who takes it there.

use dispatch_sdk::contracts::conversations::TurnRow;
use serde::{Deserialize, Serialize};

/// The layout that has the index of open turns.
pub(crate) const LAYOUT_INDEXED: u32 = 2;
/// The layout in which every ended turn has its row.
pub(crate) const LAYOUT_ROWS: u32 = 3;

/// How far a store is on its way to the layout of this version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Layout {
    pub(crate) version: u32,
    /// While it is on its way: the last head that was looked at.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) after: String,
    /// The log of that head, while its old turns get their rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rows: Option<InLog>,
}

/// How far the log of one conversation was looked through.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct InLog {
    pub(crate) id: String,
    /// Number of the last row that was looked at.
    pub(crate) seq: u64,
    /// The turn that it belongs to, as far as its rows tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) turn: Option<TurnRow>,
}
