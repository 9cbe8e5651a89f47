//! The bodies of the events that a turn makes.

use crate::bound::first_chars;
use crate::limits::FAULT_CHARS_MAX;
use dispatch_contracts::event::{EventBody, NOTICE, STEERING, USAGE};
use dispatch_contracts::provider::Usage;
use dispatch_contracts::turn::SteeringReply;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

/// An event of the type `kind`.
pub fn event(kind: &str, data: &impl Serialize) -> EventBody {
    EventBody { kind: kind.to_owned(), data: raw(data) }
}

/// `data` as JSON bytes.
pub(crate) fn raw(data: &impl Serialize) -> Box<RawValue> {
    to_raw_value(data).expect("contract types have string keys and no failing serialiser")
}

/// `notice`: worth telling, changes nothing.
pub(crate) fn notice(code: &str, message: &str) -> EventBody {
    #[derive(Serialize)]
    struct Notice<'a> {
        code: &'a str,
        message: &'a str,
    }
    event(NOTICE, &Notice { code, message: first_chars(message, FAULT_CHARS_MAX) })
}

/// `usage`: the tokens of one step.
pub(crate) fn usage(step_id: &str, usage: Usage) -> EventBody {
    #[derive(Serialize)]
    struct StepUsage<'a> {
        step_id: &'a str,
        usage: Usage,
    }
    event(USAGE, &StepUsage { step_id, usage })
}

/// `steering`: what was said while the turn ran.
pub(crate) fn steering(said: &SteeringReply) -> EventBody {
    event(STEERING, said)
}

/// The tokens of two requests together; a count that neither knows stays unknown.
pub fn sum(a: Usage, b: Usage) -> Usage {
    let both = |a: Option<u64>, b: Option<u64>| match (a, b) {
        (Some(a), Some(b)) => Some(a.saturating_add(b)),
        (one, other) => one.or(other),
    };
    Usage {
        input_tokens: a.input_tokens.saturating_add(b.input_tokens),
        output_tokens: a.output_tokens.saturating_add(b.output_tokens),
        cache_read_tokens: both(a.cache_read_tokens, b.cache_read_tokens),
        cache_write_tokens: both(a.cache_write_tokens, b.cache_write_tokens),
    }
}
