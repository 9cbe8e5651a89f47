//! From a verb's name to who answers it, and what the call is stamped with.

use super::calls::{Callee, Caller, Cause, OpenCall, PendingReply, Phase, State};
use super::fakes::FakeCallee;
use super::limits::{check_body, is_host_contract};
use super::{RecordedCall, Shared, Slot};
use dispatch_abi::SharedBytes;
use dispatch_contracts::Contributions;
use dispatch_contracts::bounds::{CALL_DEPTH_MAX, MANY_VALUED};
use dispatch_contracts::fault::{BAD_CALL, DEADLINE, NO_SERVICE, TOO_DEEP, UNAVAILABLE, UNKNOWN_VERB};
use dispatch_contracts::kernel::VerbInfo;
use dispatch_contracts::{Fault, Limits, Mode, contract_of};
use dispatch_sdk::Meta;
use dispatch_wire::shared;
use serde_json::Value;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, oneshot};

/// What the caller wishes.
pub(super) struct Wishes {
    pub(super) parent_call_id: u64,
    pub(super) stream_id: u64,
    pub(super) budget_ms: u64,
    pub(super) meta: SharedBytes,
}

/// Who answers, and how.
struct Found {
    callee: Callee,
    verb: String,
    mode: Mode,
    limits: Limits,
}

impl Found {
    fn fake(fake: FakeCallee, verb: &str) -> Self {
        let mode = fake.mode();
        Self { callee: Callee::Fake(fake), verb: verb.to_owned(), mode, limits: Limits::long(0) }
    }

    fn served(slot: &Arc<Slot>, verb: &str, info: &VerbInfo) -> Self {
        let callee = Callee::Instance(Arc::clone(slot));
        Self { callee, verb: verb.to_owned(), mode: info.mode, limits: info.limits }
    }
}

impl Shared {
    /// Makes a call; a refusal comes as its reply. `to` skips the search and calls that very instance.
    pub(super) fn call(
        self: &Arc<Self>,
        caller: Caller,
        to: Option<&Arc<Slot>>,
        verb: &str,
        wishes: &Wishes,
        body: SharedBytes,
    ) -> PendingReply {
        if matches!(caller, Caller::Instance(_)) {
            let params = serde_json::from_slice(&body).unwrap_or(Value::Null);
            let call = RecordedCall { caller: caller.name().to_owned(), verb: verb.to_owned(), params };
            self.record(call);
        }
        let checked = check_body(caller.name(), verb, body.len());
        let call = match checked.and_then(|()| self.open_call(caller, to, verb, wishes)) {
            Ok(call) => call,
            Err(fault) => return PendingReply::refused(self, fault),
        };
        let (sender, reply) = oneshot::channel();
        self.executor.spawn(Arc::clone(self).drive(Arc::clone(&call), body, sender));
        PendingReply::of(self, call, reply)
    }

    fn open_call(
        &self,
        caller: Caller,
        to: Option<&Arc<Slot>>,
        verb: &str,
        wishes: &Wishes,
    ) -> Result<Arc<OpenCall>, Fault> {
        let parent = self.parent(caller.name(), wishes.parent_call_id)?;
        let found = match to {
            Some(slot) => self.served_by_open(slot, verb)?,
            None => {
                self.check_required(&caller, verb)?;
                self.find(verb, parent.as_deref())?
            }
        };
        let depth = parent.as_ref().map_or(1, |parent| parent.depth + 1);
        if depth > CALL_DEPTH_MAX {
            let message = format!("`{verb}` would be call {depth} of a chain; at most {CALL_DEPTH_MAX}");
            return Err(Fault::new(TOO_DEEP, message));
        }
        let deadline = deadline(&[wishes.budget_ms, found.limits.budget_ms], parent.as_deref());
        if deadline.is_some_and(|at| at <= Instant::now()) {
            let message = format!("`{verb}` was not started: the calling verb's budget has run out");
            return Err(Fault::new(DEADLINE, message));
        }
        let meta = match &parent {
            Some(parent) => parent.meta.clone(),
            None => self.root_meta(&caller, &wishes.meta)?,
        };
        let mut calls = self.calls();
        // Looked at again under the lock: a call whose parent ends meanwhile would outlive it.
        let parent = match wishes.parent_call_id {
            0 => None,
            id => Some(calls.get(&id).cloned().ok_or_else(|| bad_call(id, caller.name()))?),
        };
        let back = parent.is_some() && is_host_contract(&found.verb);
        let held =
            self.hold(&calls, &found.callee, &found.verb, wishes.parent_call_id, found.limits, back)?;
        let call = Arc::new(OpenCall {
            id: self.next_call_id.fetch_add(1, Ordering::Relaxed) + 1,
            parent_id: wishes.parent_call_id,
            depth,
            verb: found.verb,
            caller,
            callee: found.callee,
            stream_id: wishes.stream_id,
            mode: found.mode,
            meta,
            deadline,
            silence_ms: found.limits.silence_ms,
            held,
            state: Mutex::new(State::new()),
            changed: Notify::new(),
        });
        if let Some(parent) = parent {
            let mut state = parent.lock();
            state.last_sign = Instant::now();
            state.children_made += 1;
            // Made within the grace time of its parent: it is told at once.
            if matches!(state.phase, Phase::Cancelled(_)) {
                call.lock().phase = Phase::Cancelled(Cause::Cancelled);
            }
        }
        calls.insert(call.id, Arc::clone(&call));
        Ok(call)
    }

    fn parent(&self, caller: &str, parent_call_id: u64) -> Result<Option<Arc<OpenCall>>, Fault> {
        if parent_call_id == 0 {
            return Ok(None);
        }
        let parent = self.calls().get(&parent_call_id).filter(|call| call.is_answered_by(caller)).cloned();
        parent.map(Some).ok_or_else(|| bad_call(parent_call_id, caller))
    }

    fn served_by_open(&self, slot: &Arc<Slot>, verb: &str) -> Result<Found, Fault> {
        if !self.slot(&slot.id).is_some_and(|open| Arc::ptr_eq(&open, slot)) {
            return Err(Fault::new(UNAVAILABLE, format!("`{}` has been stopped", slot.id)));
        }
        served_by(slot, verb)
    }

    fn find(&self, verb: &str, parent: Option<&OpenCall>) -> Result<Found, Fault> {
        let (name, target) = verb.split_once('#').map_or((verb, ""), |(name, target)| (name, target));
        if let Some(fake) = self.fake(verb).or_else(|| self.fake(name)) {
            return Ok(Found::fake(fake, verb));
        }
        let slots = self.slots();
        if is_host_contract(name)
            && let Some(Caller::Instance(slot)) = parent.map(|parent| &parent.caller)
        {
            return served_by(slot, verb);
        }
        if name == dispatch_contracts::op::RUN {
            let ops = |slot: &Arc<Slot>| {
                slot.contributes().ops.into_iter().map(|op| (op.id, op.verb)).collect::<Vec<_>>()
            };
            for slot in &slots {
                if let Some((_, verb)) = ops(slot).into_iter().find(|(id, _)| id == target) {
                    return served_by(slot, &verb);
                }
            }
        }
        if !target.is_empty() && !MANY_VALUED.contains(&contract_of(name)) {
            let meant = slots.iter().find(|slot| slot.id == target && slot.verb(name).is_some());
            return meant.map_or_else(|| Err(nobody(verb)), |slot| served_by(slot, verb));
        }
        let mut serving: Vec<_> = slots.iter().filter(|slot| slot.verb(name).is_some()).collect();
        if serving.len() > 1 {
            let bound = self.bound(contract_of(name));
            serving.retain(|slot| match &bound {
                Some(instance) => *instance == slot.id,
                None => contributes(&slot.contributes(), name, target),
            });
            if serving.is_empty() {
                return Err(ambiguous(verb, &slots));
            }
        }
        if let Some(slot) = serving.first() {
            return served_by(slot, verb);
        }
        if let Some(slot) = slots.iter().find(|slot| slot.provides(contract_of(name))) {
            return served_by(slot, verb);
        }
        Err(nobody(verb))
    }

    /// The test itself may say anything.
    fn root_meta(&self, caller: &Caller, wishes: &[u8]) -> Result<SharedBytes, Fault> {
        let identity = match caller {
            Caller::Instance(slot) => self.has_identity(&slot.id),
            Caller::Test { .. } => true,
        };
        let meta = Meta::of_root_call(caller.name(), wishes, identity)?;
        Ok(shared(serde_json::to_vec(&meta).expect("a struct of strings always encodes")))
    }
}

fn nobody(verb: &str) -> Fault {
    let message =
        format!("nobody serves `{verb}`; open an instance that does, or answer it with `FakeHost::on`");
    Fault::new(NO_SERVICE, message)
}

fn bad_call(call_id: u64, caller: &str) -> Fault {
    Fault::new(BAD_CALL, format!("call {call_id} is not open, or `{caller}` is not the one that answers it"))
}

fn ambiguous(verb: &str, slots: &[Arc<Slot>]) -> Fault {
    let ids: Vec<_> = slots.iter().map(|slot| slot.id.as_str()).collect();
    let message = format!(
        "more than one of `{}` serves `{verb}`, and none contributes its target; choose with `FakeHost::bind`",
        ids.join("`, `")
    );
    Fault::new(NO_SERVICE, message)
}

fn served_by(slot: &Arc<Slot>, verb: &str) -> Result<Found, Fault> {
    let name = verb.split_once('#').map_or(verb, |(name, _)| name);
    match slot.verb(name) {
        Some(info) => Ok(Found::served(slot, verb, &info)),
        None => Err(Fault::new(UNKNOWN_VERB, format!("`{}` does not serve `{name}`", slot.id))),
    }
}

/// Which of several instances a name after `#` means.
fn contributes(all: &Contributions, verb: &str, target: &str) -> bool {
    match contract_of(verb) {
        "tool.v1" => all.tools.iter().any(|tool| tool.name == target),
        "provider.v1" => all.providers.iter().any(|provider| provider.name == target),
        "engine.v1" => all.engines.iter().any(|engine| engine.name == target),
        "filter.v1" => all.filters.iter().any(|filter| filter.name == target),
        "command.v1" => all.commands.iter().any(|command| command.name == target),
        _ => false,
    }
}

/// The earliest of the budgets given (0 = none) and the parent's deadline.
fn deadline(budgets_ms: &[u64], parent: Option<&OpenCall>) -> Option<Instant> {
    let now = Instant::now();
    let own = budgets_ms
        .iter()
        .filter(|ms| **ms > 0)
        .min()
        .and_then(|ms| now.checked_add(Duration::from_millis(*ms)));
    [own, parent.and_then(|parent| parent.deadline)].into_iter().flatten().min()
}
