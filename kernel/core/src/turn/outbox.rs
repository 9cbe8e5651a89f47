//! What waits for the next commit, in order.

use super::committing;
use super::ctx::Ctx;
use dispatch_contracts::Fault;
use dispatch_contracts::event::EventBody;
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
pub(super) struct Outbox {
    items: VecDeque<Item>,
    n_taken: u64,
}

impl Outbox {
    pub(super) fn message(&mut self, message: Box<RawValue>) {
        self.items.push_back(Item::Message(message));
    }

    pub(super) fn event(&mut self, event: EventBody) {
        self.items.push_back(Item::Event(event));
    }

    /// The next commit: as much as one may hold, at least one item; `None` when nothing waits.
    pub(super) fn take(&mut self, ctx: &Ctx<'_>) -> Option<CommitParams> {
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
        Some(params)
    }

    /// Commits everything that waits. Never dropped for a stop: what is under way may already be durable.
    pub(super) async fn flush(&mut self, ctx: &Ctx<'_>) -> Result<(), Fault> {
        while let Some(params) = self.take(ctx) {
            committing::commit(ctx, params).await?;
        }
        Ok(())
    }
}
