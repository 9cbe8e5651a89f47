//! Events and messages as the log takes them. It must not know what they tell.

use dispatch_sdk::contracts::event::EventBody;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

/// An event of the type `kind`.
pub(crate) fn event(kind: &str, data: &impl Serialize) -> EventBody {
    EventBody { kind: kind.to_owned(), data: raw(data) }
}

/// A contract's type as JSON.
pub(crate) fn raw(data: &impl Serialize) -> Box<RawValue> {
    to_raw_value(data).expect("contract types have string keys and no failing serialiser")
}
