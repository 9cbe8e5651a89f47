//! What the router tells those who listen: how each call ended.
//!
//! It must not know who listens.

use super::listening::{CallRecord, Listener, Notification};
use super::state::{CallState, Router};
use dispatch_contracts::Fault;
use dispatch_contracts::fault::CANCELLED;

/// Most bytes of a verb's name in a record.
const VERB_BYTES_MAX: usize = 256;

impl Router {
    /// Hears of each call from now on.
    pub(crate) fn listen_to_calls(&self) -> Listener<CallRecord> {
        self.listening.to_calls()
    }

    /// Hears what is published on these topics from now on.
    pub(crate) fn listen_to_topics(&self, topics: Vec<String>) -> Listener<Notification> {
        self.listening.to_topics(topics)
    }

    /// Notes what a call came to, if anybody wants to know.
    pub(super) fn note_answer<T>(&self, call: &CallState, answer: &Result<T, Fault>) {
        if self.listening.hears_calls() {
            call.note_code(answer.as_ref().err().map_or("", |fault| &fault.code));
        }
    }

    /// The call is over.
    pub(super) fn tell_call(&self, call: &CallState) {
        if !self.listening.hears_calls() {
            return;
        }
        let ms = u64::try_from(call.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.listening.tell_call(&CallRecord {
            call: call.id,
            parent: call.parent.as_ref().map_or(0, |parent| parent.id),
            verb: cut(&call.verb),
            caller: call.caller.id.clone(),
            callee: call.callee.id.clone(),
            began: self.clock.now_ms().saturating_sub(ms),
            ms,
            code: call.code().unwrap_or(CANCELLED).to_owned(),
        });
    }

    /// A call was refused before it had a number.
    pub(super) fn tell_refused(&self, caller: &str, parent: u64, verb: &str, fault: &Fault) {
        if self.listening.hears_calls() {
            self.listening.tell_call(&CallRecord {
                call: 0,
                parent,
                verb: cut(verb),
                caller: caller.to_owned(),
                callee: String::new(),
                began: self.clock.now_ms(),
                ms: 0,
                code: fault.code.clone(),
            });
        }
    }
}

fn cut(verb: &str) -> String {
    verb[..verb.floor_char_boundary(VERB_BYTES_MAX)].to_owned()
}
