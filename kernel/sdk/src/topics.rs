//! Notifications on their way to the author's `on_topic`: bounded, one after another, whatever becomes of the last one.

use crate::extension::{Extension, Topic};
use crate::guard::Guarded;
use crate::inner::Inner;
use dispatch_abi::TopicItem;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Most bytes of notifications that wait for one instance, names included.
pub(crate) const TOPIC_QUEUE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Notifications waiting for the author; the oldest are dropped when it is full, by number or by bytes.
pub(crate) struct TopicQueue {
    items_max: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    items: VecDeque<Topic>,
    bytes: usize,
    missed: u64,
    draining: bool,
}

impl State {
    fn pop(&mut self) -> Option<Topic> {
        let topic = self.items.pop_front()?;
        self.bytes -= cost(&topic);
        Some(topic)
    }
}

impl TopicQueue {
    pub(crate) fn new(items_max: usize) -> Self {
        Self { items_max: items_max.max(1), state: Mutex::default() }
    }

    /// Queues the items, and sees to it that somebody hands them over.
    pub(crate) fn take<E: Extension>(
        self: &Arc<Self>,
        items: &[TopicItem],
        inner: &Arc<Inner>,
        extension: &Arc<E>,
    ) {
        if !self.push(items) {
            return;
        }
        let Ok(handle) = inner.runtime.handle() else {
            // Without threads nobody drains now; the next notification asks again.
            self.lock().draining = false;
            return;
        };
        let (topics, inner, extension) = (Arc::clone(self), Arc::clone(inner), Arc::clone(extension));
        handle.spawn(async move {
            while let Some(topic) = topics.pop() {
                let extension = Arc::clone(&extension);
                let handed = async move {
                    extension.on_topic(topic).await;
                    Ok(())
                };
                if let Err(fault) = Guarded::new(Arc::clone(&inner), "on_topic".to_owned(), handed).await {
                    inner.report_panic(&fault.message);
                }
            }
        });
    }

    /// Queues the items; true if the caller must start draining.
    fn push(&self, items: &[TopicItem]) -> bool {
        let mut state = self.lock();
        for item in items {
            state.missed += item.missed;
            let topic = Topic { name: item.topic.to_string(), data: item.data.clone(), missed: 0 };
            let bytes = cost(&topic);
            if bytes > TOPIC_QUEUE_BYTES_MAX {
                state.missed += 1;
                continue;
            }
            while state.items.len() == self.items_max || state.bytes + bytes > TOPIC_QUEUE_BYTES_MAX {
                state.pop().expect("one of the two is above its bound, so there is one");
                state.missed += 1;
            }
            state.bytes += bytes;
            state.items.push_back(topic);
        }
        !std::mem::replace(&mut state.draining, true)
    }

    fn pop(&self) -> Option<Topic> {
        let mut state = self.lock();
        let Some(mut topic) = state.pop() else {
            state.draining = false;
            return None;
        };
        topic.missed = std::mem::take(&mut state.missed);
        Some(topic)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn cost(topic: &Topic) -> usize {
    topic.name.len() + topic.data.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use dispatch_abi::SharedBytes;

    fn item(bytes: usize) -> TopicItem {
        let data = SharedBytes::new(vec![b' '; bytes].into());
        TopicItem { topic: "t".into(), data, missed: 0 }
    }

    fn drained(queue: &TopicQueue) -> Vec<(usize, u64)> {
        std::iter::from_fn(|| queue.pop()).map(|topic| (topic.data.len(), topic.missed)).collect()
    }

    #[test]
    fn a_queue_is_bounded_by_number_and_by_bytes_and_says_what_was_missed() {
        let queue = TopicQueue::new(3);
        assert!(queue.push(&[item(1), item(2), item(3), item(4)]));
        assert!(!queue.push(&[item(5)]), "somebody drains already");
        assert_eq!(drained(&queue), [(3, 2), (4, 0), (5, 0)]);
        let large = TOPIC_QUEUE_BYTES_MAX / 2;
        queue.push(&[item(1), item(large), item(large)]);
        assert_eq!(drained(&queue), [(large, 2)], "two of that size and their names are above the bound");
        queue.push(&[item(TOPIC_QUEUE_BYTES_MAX), item(7)]);
        assert_eq!(drained(&queue), [(7, 1)], "one that fits into no queue drops no other");
        assert!(queue.push(&[item(1)]), "a drained queue asks for a drain again");
    }
}
