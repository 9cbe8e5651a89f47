//! What the router bounds and refuses, by the same rules and in the same words: `requires`, slots, silence, sizes.
//!
//! It must not know core; `core/src/router/tests/same_rules.rs` plays the same scripts on both.

use super::clock::Entered;
use super::open_call::{Callee, Caller, Held, OpenCall};
use super::shared::{Shared, lock};
use dispatch_abi::BODY_BYTES_MAX;
use dispatch_contracts::bounds::{
    CALL_DEPTH_MAX, CALLS_BACK_MAX, CALLS_IN_FLIGHT_DEFAULT, LONG_CALLS_MAX, RETRY_AFTER_MS,
};
use dispatch_contracts::fault::{NOT_REQUIRED, OVERLOADED, TOO_LARGE};
use dispatch_contracts::{Fault, Limits, contract_of};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

impl Shared {
    pub(super) fn check_required(&self, caller: &Caller, verb: &str) -> Result<(), Fault> {
        let Caller::Instance(slot) = caller else { return Ok(()) };
        let contract = contract_of(verb);
        let limits = lock(&self.limits);
        let requires = limits.get(&slot.id).and_then(|limits| limits.requires.as_ref());
        if is_host_contract(verb) || requires.is_none_or(|requires| requires.contains(contract)) {
            return Ok(());
        }
        let id = &slot.id;
        let message = format!(
            "`{id}` called `{verb}`, which its manifest does not require; add `{contract}` to `requires` in the \
             extension.toml of `{id}`"
        );
        Err(Fault::new(NOT_REQUIRED, message))
    }

    /// What a new call holds, counted over `open`; or `overloaded`.
    pub(super) fn hold(
        &self,
        open: &HashMap<u64, Arc<OpenCall>>,
        callee: &Callee,
        verb: &str,
        parent_id: u64,
        limits: Limits,
        back: bool,
    ) -> Result<Held, Fault> {
        let count = |held: Held, of: &dyn Fn(&OpenCall) -> bool| {
            open.values().filter(|call| call.held == held && of(call)).count() as u64
        };
        if back {
            let full = count(Held::Back, &|call| call.parent_id == parent_id) >= u64::from(CALLS_BACK_MAX);
            let parent = open.get(&parent_id).map_or("", |parent| parent.verb.as_str());
            let why = || format!("`{parent}` has {CALLS_BACK_MAX} calls back open already");
            return if full { Err(overloaded(verb, &why())) } else { Ok(Held::Back) };
        }
        let Callee::Instance(slot) = callee else { return Ok(Held::Nothing) };
        let of_it = |call: &OpenCall| call.is_answered_by(&slot.id);
        let name = name_of(verb);
        if limits.long {
            let full = count(Held::Long, &|call| of_it(call) && name_of(&call.verb) == name);
            let why = || format!("`{}` has {LONG_CALLS_MAX} long calls of this verb open already", slot.id);
            return if full >= LONG_CALLS_MAX { Err(overloaded(verb, &why())) } else { Ok(Held::Long) };
        }
        let mut ancestor = open.get(&parent_id);
        while let Some(call) = ancestor {
            if call.held == Held::InFlight && of_it(call) {
                return Ok(Held::Nothing);
            }
            ancestor = open.get(&call.parent_id);
        }
        let max = lock(&self.limits).get(&slot.id).and_then(|limits| limits.calls_in_flight_max);
        let max = max.unwrap_or(CALLS_IN_FLIGHT_DEFAULT);
        let full = count(Held::InFlight, &of_it) >= u64::from(max);
        let why = || format!("`{}` has {max} calls in flight already", slot.id);
        if full { Err(overloaded(verb, &why())) } else { Ok(Held::InFlight) }
    }

    /// Ends when the call has shown no sign of life for its verb's limit.
    pub(super) async fn silence(&self, call: &OpenCall) {
        if call.silence_ms == 0 {
            return std::future::pending().await;
        }
        let limit = Duration::from_millis(call.silence_ms);
        loop {
            let since = if self.has_children(call.id) { Instant::now() } else { call.lock().last_sign };
            let left = (since + limit).saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            Entered::sleep(&self.timers, left).await;
        }
    }

    /// Ends when a cancelled call has had its time: the grace, and another one as long as calls made out of it use theirs.
    pub(super) async fn grace(&self, call: &OpenCall) {
        for _ in call.depth..=CALL_DEPTH_MAX {
            let made = call.lock().children_made;
            Entered::sleep(&self.timers, Duration::from_millis(self.grace_ms.load(Ordering::Acquire))).await;
            if !self.has_children(call.id) && call.lock().children_made == made {
                return;
            }
        }
    }

    fn has_children(&self, id: u64) -> bool {
        self.calls().values().any(|call| call.parent_id == id)
    }
}

/// A body above the bound is refused.
pub(super) fn check_body(caller: &str, verb: &str, bytes: usize) -> Result<(), Fault> {
    if bytes <= BODY_BYTES_MAX {
        return Ok(());
    }
    let message = format!(
        "`{caller}` called `{verb}` with {bytes} bytes; a body has at most {BODY_BYTES_MAX}: send what is larger as a \
         blob, or in parts"
    );
    Err(Fault::new(TOO_LARGE, message))
}

/// A contract whose verbs go to whoever made the parent call.
pub(super) fn is_host_contract(verb: &str) -> bool {
    contract_of(verb).rsplit_once(".v").is_some_and(|(base, _)| base.ends_with("_host"))
}

fn name_of(verb: &str) -> &str {
    verb.split_once('#').map_or(verb, |(name, _)| name)
}

fn overloaded(verb: &str, full: &str) -> Fault {
    let message = format!("`{verb}` was refused: {full}; try again later");
    Fault::new(OVERLOADED, message).with_detail(serde_json::json!({ "retry_after_ms": RETRY_AFTER_MS }))
}
