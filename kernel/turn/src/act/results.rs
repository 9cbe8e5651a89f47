//! The results of one step: events as they come, messages in the order of the calls.

use crate::act::calls::{Outcome, ToolCall};
use crate::commit::events::event;
use crate::commit::messages;
use crate::commit::outbox::Outbox;
use dispatch_contracts::event::{EventBody, TOOL_RESULT, ToolResulted};
use serde_json::value::RawValue;

/// What came of the calls so far.
pub(crate) struct Results<'s, 'a> {
    pub(crate) step_id: &'s str,
    pub(crate) calls: &'s [ToolCall<'a>],
    /// Results that wait for those of earlier calls.
    waiting: Vec<Option<Box<RawValue>>>,
    n_in_order: usize,
    settled: Vec<bool>,
}

impl<'s, 'a> Results<'s, 'a> {
    pub(crate) fn new(step_id: &'s str, calls: &'s [ToolCall<'a>]) -> Self {
        let waiting = calls.iter().map(|_| None).collect();
        Self { step_id, calls, waiting, n_in_order: 0, settled: vec![false; calls.len()] }
    }

    /// Takes the result of the call `idx`: what filters changed, then its event, at once; its message as soon as all
    /// earlier calls have theirs.
    pub(crate) fn settle(
        &mut self,
        idx: usize,
        outcome: Outcome,
        changed: Vec<EventBody>,
        history: &mut Vec<Box<RawValue>>,
        outbox: &mut Outbox,
    ) {
        let call = &self.calls[idx];
        changed.into_iter().for_each(|event| outbox.event(event));
        self.waiting[idx] = Some(messages::tool_result(call, &outcome));
        self.settled[idx] = true;
        let resulted = ToolResulted {
            step_id: self.step_id.to_owned(),
            tool_call_id: call.id.clone(),
            name: call.name.clone(),
            status: outcome.status,
            content: outcome.content,
            duration_ms: outcome.duration_ms,
            detail: outcome.detail,
            denied_by: outcome.denied_by,
            answered_by: outcome.answered_by,
            parts: outcome.parts,
        };
        outbox.event(event(TOOL_RESULT, &resulted));
        while let Some(message) = self.waiting.get_mut(self.n_in_order).and_then(Option::take) {
            history.push(message.clone());
            outbox.message(message);
            self.n_in_order += 1;
        }
    }

    /// The calls without a result, in order.
    pub(crate) fn open(&self) -> impl Iterator<Item = usize> {
        (0..self.calls.len()).filter(|idx| !self.settled[*idx])
    }
}
