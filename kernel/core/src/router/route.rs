//! From a verb's wire name to the endpoint that answers it, and the slots and budgets of the new call.

use super::call::NewCall;
use super::callee::OpenCall;
use super::drive::RoutedCall;
use super::frames::{Frames, Sink, TakesFrames};
use super::slots::name_of;
use super::state::{CallState, Endpoint, OpEntry, Router};
use dispatch_abi::{BODY_BYTES_MAX, CallOpts, SharedBytes};
use dispatch_contracts::bounds::CALL_DEPTH_MAX;
use dispatch_contracts::fault::{
    BAD_CALL, BROKEN, DEADLINE, INVALID, NO_SERVICE, NOT_FOUND, NOT_REQUIRED, TOO_DEEP, TOO_LARGE,
    UNAVAILABLE,
};
use dispatch_contracts::{Fault, Limits, Meta, contract_of};
use dispatch_wire::{read, shared};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::UnboundedSender;

/// Where a call goes, and the verb as the callee knows it.
struct Route {
    callee: Arc<Endpoint>,
    verb: String,
    /// To whoever made the parent call.
    back: bool,
}

impl Router {
    /// Admits a call and hands it to its callee; awaiting the result drives it.
    pub(super) fn start_call(
        self: &Arc<Self>,
        caller: &Arc<Endpoint>,
        verb: &str,
        opts: CallOpts,
        body: SharedBytes,
        native: Option<UnboundedSender<SharedBytes>>,
    ) -> Result<RoutedCall, Fault> {
        let parent_call_id = opts.parent_call_id;
        let call = self.admit(caller, verb, opts, &body, native);
        let call = call.inspect_err(|fault| self.tell_refused(&caller.id, parent_call_id, verb, fault))?;
        Ok(RoutedCall::start(OpenCall::new(Arc::clone(self), call)?, body))
    }

    /// The state of a call that may be made; it holds what it takes of its callee.
    fn admit(
        &self,
        caller: &Arc<Endpoint>,
        verb: &str,
        opts: CallOpts,
        body: &SharedBytes,
        native: Option<UnboundedSender<SharedBytes>>,
    ) -> Result<Arc<CallState>, Fault> {
        if caller.stopped.load(Ordering::Acquire) {
            let message = format!("`{}` has been stopped and cannot call `{verb}`", caller.id);
            return Err(Fault::new(UNAVAILABLE, message));
        }
        if body.len() > BODY_BYTES_MAX {
            let message = format!(
                "`{}` called `{verb}` with {} bytes; a body has at most {BODY_BYTES_MAX}: send what is larger as a blob, or in parts",
                caller.id,
                body.len()
            );
            return Err(Fault::new(TOO_LARGE, message));
        }
        let parent = self.parent_of(caller, opts.parent_call_id)?;
        let route = self.route(caller, parent.as_ref(), verb, body)?;
        let depth = parent.as_ref().map_or(1, |parent| parent.depth + 1);
        if depth > CALL_DEPTH_MAX {
            let message = format!("`{verb}` would be call {depth} of a chain; at most {CALL_DEPTH_MAX}");
            return Err(Fault::new(TOO_DEEP, message));
        }
        let (limits, inline) = route.callee.limits_of(name_of(&route.verb));
        let deadline = deadline(parent.as_deref(), limits, opts.budget_ms, verb)?;
        let meta = match &parent {
            Some(parent) => parent.meta.clone(),
            None => shared(root_meta(caller, &opts.meta)?),
        };
        let slot = self.take_slot(&route.callee, &route.verb, parent.as_deref(), limits, route.back)?;
        let sink = match (native, opts.stream_id) {
            (Some(sender), _) => Sink::Native(sender),
            (None, 0) => Sink::Dropped,
            (None, stream_id) => {
                let caller: Arc<dyn TakesFrames> = Arc::<Endpoint>::clone(caller);
                Sink::Instance { caller, stream_id }
            }
        };
        Ok(Arc::new(CallState::new(NewCall {
            id: self.next_call_id.fetch_add(1, Ordering::Relaxed),
            verb: route.verb,
            parent,
            caller: Arc::clone(caller),
            callee: route.callee,
            meta,
            inline,
            slot,
            deadline,
            silence_ms: limits.silence_ms,
            frames: Frames::new(sink),
        })))
    }

    fn parent_of(&self, caller: &Arc<Endpoint>, id: u64) -> Result<Option<Arc<CallState>>, Fault> {
        if id == 0 {
            return Ok(None);
        }
        match self.calls.get(id) {
            Some(call) if Arc::ptr_eq(&call.callee, caller) => Ok(Some(call)),
            _ => {
                let message = format!(
                    "`{}` named call {id} as the parent, which is not an open call of its own",
                    caller.id
                );
                Err(Fault::new(BAD_CALL, message))
            }
        }
    }

    fn route(
        &self,
        caller: &Arc<Endpoint>,
        parent: Option<&Arc<CallState>>,
        verb: &str,
        body: &SharedBytes,
    ) -> Result<Route, Fault> {
        let contract = contract_of(verb);
        let base = contract.rsplit_once(".v").map_or(contract, |(base, _)| base);
        if base.ends_with("_host") {
            let Some(parent) = parent else {
                let message = format!("`{verb}` goes to whoever made the parent call, and there is none");
                return Err(Fault::new(BAD_CALL, message));
            };
            return Ok(Route { callee: Arc::clone(&parent.caller), verb: verb.to_owned(), back: true });
        }
        if !caller.may_call(contract) {
            let message = format!(
                "`{}` called `{verb}`, which its manifest does not require; add `{contract}` to `requires` in {}",
                caller.id, caller.manifest_hint
            );
            return Err(Fault::new(NOT_REQUIRED, message));
        }
        let table = self.table.load();
        if let Some(id) =
            verb.strip_prefix(dispatch_contracts::op::RUN).and_then(|rest| rest.strip_prefix('#'))
        {
            let Some(op) = table.ops.get(id) else {
                return Err(Fault::new(NOT_FOUND, format!("no active instance contributes the op `{id}`")));
            };
            refuse_if_gone(&op.endpoint, verb)?;
            check_op_input(id, op, body)?;
            return Ok(Route { callee: Arc::clone(&op.endpoint), verb: op.spec.verb.clone(), back: false });
        }
        let callee = match verb.split_once('#') {
            Some((_, target)) => table.named.get(&format!("{contract}#{target}")),
            None => table.services.get(contract),
        };
        match callee {
            Some(callee) => {
                refuse_if_gone(callee, verb)?;
                Ok(Route { callee: Arc::clone(callee), verb: verb.to_owned(), back: false })
            }
            None => Err(Fault::new(
                NO_SERVICE,
                format!("no active instance answers `{verb}`; `dispatch ext list` shows who is there"),
            )),
        }
    }
}

fn root_meta(caller: &Endpoint, wishes: &[u8]) -> Result<Vec<u8>, Fault> {
    let meta = Meta::of_root_call(&caller.id, wishes, caller.identity)?;
    Ok(serde_json::to_vec(&meta).expect("a struct of strings always encodes"))
}

fn refuse_if_gone(callee: &Endpoint, verb: &str) -> Result<(), Fault> {
    if callee.gone.load(Ordering::Acquire) {
        let message = format!("`{}`, which answers `{verb}`, is being stopped", callee.id);
        return Err(Fault::new(UNAVAILABLE, message));
    }
    Ok(())
}

/// The earliest of the parent's deadline, the caller's wish and the verb's own limit.
fn deadline(
    parent: Option<&CallState>,
    limits: Limits,
    wish_ms: u64,
    verb: &str,
) -> Result<Option<Instant>, Fault> {
    let now = Instant::now();
    let own_ms = [limits.budget_ms, wish_ms].into_iter().filter(|ms| *ms > 0).min();
    let own = own_ms.map(|ms| now + Duration::from_millis(ms));
    let inherited = parent.and_then(|parent| parent.deadline);
    if inherited.is_some_and(|at| at <= now) {
        return Err(Fault::new(
            DEADLINE,
            format!("`{verb}` was not started: the calling verb's budget has run out"),
        ));
    }
    Ok([own, inherited].into_iter().flatten().min())
}

/// Most bytes of one reason why an input breaks its schema.
const REASON_BYTES_MAX: usize = 512;

fn check_op_input(id: &str, op: &OpEntry, body: &SharedBytes) -> Result<(), Fault> {
    let input: serde_json::Value =
        read(body).map_err(|e| Fault::new(INVALID, format!("the input of op `{id}` is not JSON: {e}")))?;
    let schema = op.input().map_err(|why| {
        Fault::new(BROKEN, format!("the input schema of op `{id}` of `{}` is not one: {why}", op.endpoint.id))
    })?;
    let mut reasons = schema.iter_errors(&input).take(5).map(|e| {
        let place = e.instance_path().to_string();
        // What was sent may be long, and is the sender's own.
        let whole = e.to_string();
        let what = if whole.len() > REASON_BYTES_MAX { e.masked().to_string() } else { whole };
        let what = &what[..what.floor_char_boundary(REASON_BYTES_MAX)];
        if place.is_empty() { what.to_owned() } else { format!("{what} at `{place}`") }
    });
    let Some(first) = reasons.next() else { return Ok(()) };
    let reasons: Vec<String> = std::iter::once(first).chain(reasons).collect();
    let message = format!("the input of op `{id}` breaks its schema: {}", reasons.join("; "));
    Err(Fault::new(INVALID, message).with_detail(serde_json::json!({ "reasons": reasons })))
}
