//! Names of the entries in the store. It must not know what they hold.
//!
//! Numbers are padded with zeros, so that bytewise order is their order. No part but the last holds a `/`, and `0` is the
//! byte after `/`: `log/<id>0` is the end of everything below `log/<id>/`.

pub(crate) fn head(id: &str) -> String {
    format!("{HEADS_START}{id}")
}

/// The id in the key of a head.
pub(crate) fn id_of_head(key: &str) -> Option<&str> {
    key.strip_prefix(HEADS_START)
}

pub(crate) fn row(id: &str, seq: u64) -> String {
    format!("log/{id}/{seq:020}")
}

pub(crate) fn rows_end(id: &str) -> String {
    format!("log/{id}0")
}

pub(crate) fn message(id: &str, idx: u64) -> String {
    format!("msg/{id}/{idx:020}")
}

pub(crate) fn messages_end(id: &str) -> String {
    format!("msg/{id}0")
}

/// The row of a turn.
pub(crate) fn turn(id: &str, turn_id: &str) -> String {
    format!("turn/{id}/{turn_id}")
}

/// The index of turns by their end.
pub(crate) const ENDED_START: &str = "ended/";
pub(crate) const ENDED_END: &str = "ended0";

pub(crate) fn ended(ended_at: u64, id: &str, turn_id: &str) -> String {
    format!("{ENDED_START}{ended_at:020}/{id}/{turn_id}")
}

/// Where turns that ended at `at` or later begin.
pub(crate) fn ended_since(at: u64) -> String {
    format!("{ENDED_START}{at:020}")
}

/// The index of open turns, by host. Ids of hosts hold no `/` either.
pub(crate) const OPEN_START: &str = "open/";
pub(crate) const OPEN_END: &str = "open0";

pub(crate) fn open(host_id: &str, id: &str) -> String {
    format!("{OPEN_START}{host_id}/{id}")
}

/// Where the open turns of a host begin, and end.
pub(crate) fn open_of(host_id: &str) -> (String, String) {
    (format!("{OPEN_START}{host_id}/"), format!("{OPEN_START}{host_id}0"))
}

/// The host and the conversation of an open turn.
pub(crate) fn parts_of_open(key: &str) -> Option<(&str, &str)> {
    key.strip_prefix(OPEN_START)?.split_once('/')
}

/// The open turns that somebody wants to end, by host.
const STOP_START: &str = "stop/";

pub(crate) fn stop(host_id: &str, id: &str) -> String {
    format!("{STOP_START}{host_id}/{id}")
}

/// Where those of a host begin, and end.
pub(crate) fn stops_of(host_id: &str) -> (String, String) {
    (format!("{STOP_START}{host_id}/"), format!("{STOP_START}{host_id}0"))
}

/// The row of a host.
pub(crate) fn host(host_id: &str) -> String {
    format!("{HOSTS_START}{host_id}")
}

pub(crate) const HOSTS_START: &str = "host/";
pub(crate) const HOSTS_END: &str = "host0";

pub(crate) fn grant(id: &str, tool: &str) -> String {
    format!("grant/{id}/{tool}")
}

pub(crate) fn grants_of(id: &str) -> (String, String) {
    (format!("grant/{id}/"), format!("grant/{id}0"))
}

/// What an engine left in a conversation; its name may hold anything.
pub(crate) fn engine_state(id: &str, engine: &str) -> String {
    format!("engine/{id}/{engine}")
}

/// How far the store is on its way to this layout.
pub(crate) const LAYOUT: &str = "layout";

/// Where all heads begin and end.
pub(crate) const HEADS_START: &str = "head/";
pub(crate) const HEADS_END: &str = "head0";

/// The two indexes by activity: conversations that are put away have one of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Index {
    Listed,
    Archived,
}

impl Index {
    pub(crate) fn of(archived: bool) -> Self {
        if archived { Self::Archived } else { Self::Listed }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Listed => "act",
            Self::Archived => "arc",
        }
    }

    /// Latest first: the time is counted down from the end of time.
    pub(crate) fn entry(self, active_at: u64, id: &str) -> String {
        format!("{}/{:020}/{id}", self.name(), u64::MAX - active_at)
    }

    pub(crate) fn start(self) -> String {
        format!("{}/", self.name())
    }

    pub(crate) fn end(self) -> String {
        format!("{}0", self.name())
    }

    /// Where those less recently active than `before` begin.
    pub(crate) fn before(self, before: u64) -> String {
        format!("{}/{:020}0", self.name(), u64::MAX - before)
    }
}

/// The number at the end of a row's or message's key.
pub(crate) fn number_of(key: &str) -> Option<u64> {
    key.rsplit_once('/')?.1.parse().ok()
}
