//! What a turn makes durable: what a stream says so far, messages and events, and the commits that carry them.

pub(crate) mod committing;
pub(crate) mod draft;
pub(crate) mod ending;
pub(crate) mod events;
pub(crate) mod messages;
pub(crate) mod outbox;
