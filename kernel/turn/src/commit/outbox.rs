//! What waits for the next commit, in order.

use crate::commit::committing;
use crate::ctx::Ctx;
use dispatch_contracts::Fault;
use dispatch_contracts::event::{EventBody, TURN_ENDED};
use dispatch_contracts::turn::CommitParams;
use serde_json::value::RawValue;
use std::collections::VecDeque;

enum Item {
    Message(Box<RawValue>),
    Event(EventBody),
}

impl Item {
    fn n_bytes(&self) -> usize {
        match self {
            Self::Message(message) => message.get().len(),
            Self::Event(event) => event.data.get().len(),
        }
    }
}

/// Messages and events that are not durable yet.
#[derive(Default)]
pub(crate) struct Outbox {
    items: VecDeque<Item>,
    /// Commits that were taken.
    n_taken: u64,
    /// Messages and events that were ever put in.
    n_put: u64,
}

impl Outbox {
    pub(crate) fn message(&mut self, message: Box<RawValue>) {
        self.n_put += 1;
        self.items.push_back(Item::Message(message));
    }

    pub(crate) fn event(&mut self, event: EventBody) {
        self.n_put += 1;
        self.items.push_back(Item::Event(event));
    }

    /// Messages and events put in so far.
    pub(crate) fn n_put(&self) -> u64 {
        self.n_put
    }

    /// Those of them that were taken into commits; they are durable once none is under way.
    pub(crate) fn n_committed(&self) -> u64 {
        self.n_put - self.items.len() as u64
    }

    /// The next commit: as much as one may hold, at least one item; `None` when nothing waits.
    pub(crate) fn take(&mut self, ctx: &Ctx<'_>) -> Option<CommitParams> {
        if self.items.is_empty() {
            return None;
        }
        let mut params = CommitParams {
            turn_id: ctx.about.turn_id.clone(),
            commit_idx: Some(self.n_taken),
            frames_before: ctx.frames.n_shown(),
            messages: Vec::new(),
            events: Vec::new(),
            engine_state: None,
            timings: None,
        };
        self.n_taken += 1;
        let mut n_bytes = 0;
        while let Some(item) = self.items.front() {
            n_bytes += item.n_bytes();
            let first = params.messages.is_empty() && params.events.is_empty();
            if !first && n_bytes > ctx.tools.limits.commit_bytes_max {
                break;
            }
            match self.items.pop_front().expect("the front was just seen") {
                Item::Message(message) => params.messages.push(message),
                Item::Event(event) => params.events.push(event),
            }
        }
        let ends = params.events.last().is_some_and(|event| event.kind == TURN_ENDED);
        params.timings = ends.then(|| ctx.timing.told());
        Some(params)
    }

    /// Commits everything that waits. Never dropped for a stop: what is under way may already be durable.
    pub(crate) async fn flush(&mut self, ctx: &Ctx<'_>) -> Result<(), Fault> {
        while let Some(params) = self.take(ctx) {
            committing::commit(ctx, params).await?;
        }
        Ok(())
    }
}
