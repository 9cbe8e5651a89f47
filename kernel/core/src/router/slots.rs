//! What a call takes of its callee: a slot, a share of the long calls, or nothing when it only answers a call back.
//!
//! It must not know what a verb means.

use super::state::{CallState, Endpoint, Router, Slot};
use dispatch_contracts::bounds::{CALLS_BACK_MAX, LONG_CALLS_MAX, RETRY_AFTER_MS};
use dispatch_contracts::fault::OVERLOADED;
use dispatch_contracts::{Fault, Limits};
use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

impl Router {
    /// Takes what the call needs, or says `overloaded`; `back`: it goes to whoever made the parent call.
    pub(super) fn take_slot(
        &self,
        callee: &Arc<Endpoint>,
        verb: &str,
        parent: Option<&CallState>,
        limits: Limits,
        back: bool,
    ) -> Result<Slot, Fault> {
        if let Some(parent) = parent.filter(|_| back) {
            return take_back(parent, verb);
        }
        if limits.long {
            return self.take_long(callee, verb);
        }
        let mut ancestor = parent;
        while let Some(call) = ancestor {
            if call.slot == Slot::InFlight && Arc::ptr_eq(&call.callee, callee) {
                return Ok(Slot::Inherited);
            }
            ancestor = call.parent.as_deref();
        }
        let taken = callee.calls_in_flight.fetch_add(1, Ordering::AcqRel);
        if taken >= callee.calls_in_flight_max {
            callee.calls_in_flight.fetch_sub(1, Ordering::AcqRel);
            callee.overloaded.fetch_add(1, Ordering::Relaxed);
            let max = callee.calls_in_flight_max;
            return Err(overloaded(verb, &format!("`{}` has {max} calls in flight already", callee.id)));
        }
        Ok(Slot::InFlight)
    }

    fn take_long(&self, callee: &Endpoint, verb: &str) -> Result<Slot, Fault> {
        let mut open = callee.long_calls.lock().unwrap_or_else(PoisonError::into_inner);
        let open = open.entry(name_of(verb).to_owned()).or_default();
        if *open >= LONG_CALLS_MAX {
            callee.overloaded.fetch_add(1, Ordering::Relaxed);
            let full = format!("`{}` has {LONG_CALLS_MAX} long calls of this verb open already", callee.id);
            return Err(overloaded(verb, &full));
        }
        *open += 1;
        self.long_calls_open.fetch_add(1, Ordering::AcqRel);
        Ok(Slot::Long)
    }

    /// Gives back what `call` holds; called once, at its end.
    pub(super) fn give_back(&self, call: &CallState) {
        match call.slot {
            Slot::Inherited => {}
            Slot::InFlight => {
                call.callee.calls_in_flight.fetch_sub(1, Ordering::AcqRel);
            }
            Slot::Long => {
                let mut open = call.callee.long_calls.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(open) = open.get_mut(name_of(&call.verb)) {
                    *open -= 1;
                }
                self.long_calls_open.fetch_sub(1, Ordering::AcqRel);
            }
            Slot::Back => {
                if let Some(parent) = &call.parent {
                    parent.calls_back.fetch_sub(1, Ordering::AcqRel);
                }
            }
        }
    }
}

fn take_back(parent: &CallState, verb: &str) -> Result<Slot, Fault> {
    if parent.calls_back.fetch_add(1, Ordering::AcqRel) >= CALLS_BACK_MAX {
        parent.calls_back.fetch_sub(1, Ordering::AcqRel);
        let full = format!("`{}` has {CALLS_BACK_MAX} calls back open already", parent.verb);
        return Err(overloaded(verb, &full));
    }
    Ok(Slot::Back)
}

/// The verb's wire name without its target.
pub(super) fn name_of(verb: &str) -> &str {
    verb.split_once('#').map_or(verb, |(name, _)| name)
}

fn overloaded(verb: &str, full: &str) -> Fault {
    let message = format!("`{verb}` was refused: {full}; try again later");
    Fault::new(OVERLOADED, message).with_detail(serde_json::json!({ "retry_after_ms": RETRY_AFTER_MS }))
}
