//! The turns that run here, and what their parts tell each other.
//!
//! It is not the truth about what is open: that is the conversation's log.

use dispatch_sdk::contracts::event::TurnEnded;
use dispatch_sdk::contracts::fault::{CONFLICT, OVERLOADED, UNAVAILABLE};
use dispatch_sdk::contracts::turn::TurnTimings;
use dispatch_sdk::{Fault, Meta};
use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use tokio::sync::watch;

const RETRY_AFTER_MS: u64 = 1_000;

/// How somebody wants a turn to end before it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EndWish {
    /// A person stopped it.
    Cancel,
    /// The host goes down.
    Interrupt,
}

/// What was written of a turn so far; whoever appends holds its lock, so that appends follow one another.
#[derive(Debug, Default)]
pub(crate) struct Written {
    /// Nothing may follow: `turn_ended` is in the log, or on its way there.
    pub(crate) closed: bool,
    /// As the kernel committed it.
    pub(crate) ended: Option<TurnEnded>,
    /// Class or code of the last `error` that the kernel committed.
    pub(crate) failure: Option<String>,
    /// Steps that were completed.
    pub(crate) n_steps: u64,
    /// Why the last append failed; nothing once one got through after it.
    pub(crate) fault: Option<Fault>,
    /// The `commit_idx` that comes next; a lower one is in the log.
    pub(crate) commit_idx: u64,
    /// The commit whose parts are counted.
    pub(crate) parts_of: Option<u64>,
    /// How many parts of it are in the log already.
    pub(crate) n_parts: usize,
}

/// One running turn.
pub(crate) struct Turn {
    pub(crate) conversation_id: String,
    pub(crate) turn_id: String,
    /// Unix ms.
    pub(crate) started_at: u64,
    /// Whom it acts for; an adopted turn learns it from its row.
    asked_by: OnceLock<Meta>,
    /// What runs it; empty = the kernel's own loop.
    engine: OnceLock<String>,
    /// Frames of `turn.v1/run` that conversation-store has taken.
    pub(crate) n_forwarded: watch::Sender<u64>,
    pub(crate) end_wish: watch::Sender<Option<EndWish>>,
    pub(crate) over: watch::Sender<bool>,
    pub(crate) written: Arc<tokio::sync::Mutex<Written>>,
    /// The last number that is known to be durable; 0 = none is known.
    pub(crate) kept_seq: AtomicU64,
    /// In ms.
    queue_ms: OnceLock<u64>,
    prepare_ms: OnceLock<u64>,
}

impl Turn {
    pub(crate) fn new(conversation_id: String, turn_id: String, started_at: u64) -> Self {
        Self {
            conversation_id,
            turn_id,
            started_at,
            asked_by: OnceLock::new(),
            engine: OnceLock::new(),
            n_forwarded: watch::Sender::new(0),
            end_wish: watch::Sender::new(None),
            over: watch::Sender::new(false),
            written: Arc::default(),
            kept_seq: AtomicU64::new(0),
            queue_ms: OnceLock::new(),
            prepare_ms: OnceLock::new(),
        }
    }

    /// Its time to run has come; it comes once.
    pub(crate) fn queued(&self, ms: u64) {
        self.queue_ms.get_or_init(|| ms);
    }

    /// History and prompt are there.
    pub(crate) fn prepared(&self, ms: u64) {
        self.prepare_ms.get_or_init(|| ms);
    }

    /// Where its time went, with what the kernel told of the run.
    pub(crate) fn timings(&self, told: Option<TurnTimings>) -> TurnTimings {
        TurnTimings {
            queue_ms: self.queue_ms.get().copied(),
            prepare_ms: self.prepare_ms.get().copied(),
            ..told.unwrap_or_default()
        }
    }

    /// Says whom the turn acts for; the first word counts.
    pub(crate) fn asked_by(self, meta: Meta) -> Self {
        self.acts_for(meta);
        self
    }

    /// The same, of a turn that is in its place already.
    pub(crate) fn acts_for(&self, meta: Meta) {
        // The first word counts, and nobody says two.
        let _ = self.asked_by.set(meta);
    }

    /// Says what runs it; the first word counts.
    pub(crate) fn runs_on(&self, engine: &str) {
        let _ = self.engine.set(engine.to_owned());
    }

    /// What runs it.
    pub(crate) fn engine(&self) -> String {
        self.engine.get().cloned().unwrap_or_default()
    }

    /// For the root calls made on its behalf.
    pub(crate) fn meta(&self) -> Meta {
        Meta {
            conversation_id: Some(self.conversation_id.clone()),
            turn_id: Some(self.turn_id.clone()),
            ..self.asked_by.get().cloned().unwrap_or_default()
        }
    }

    /// Asks it to end; the first wish counts.
    pub(crate) fn wish_end(&self, wish: EndWish) {
        self.end_wish.send_if_modified(|current| {
            let first = current.is_none();
            current.get_or_insert(wish);
            first
        });
    }

    /// Waits until somebody wants it to end, and answers how.
    pub(crate) async fn end_wished(&self) -> EndWish {
        let mut wish = self.end_wish.subscribe();
        let given = wish.wait_for(Option::is_some).await;
        // The sender is a field of `self`, so the channel cannot close while this is awaited.
        given.ok().and_then(|wish| *wish).unwrap_or(EndWish::Interrupt)
    }

    /// Waits until it has ended and left the table.
    pub(crate) async fn ended(&self) {
        let _ = self.over.subscribe().wait_for(|over| *over).await;
    }

    /// Waits until `n_frames` were forwarded.
    pub(crate) async fn forwarded(&self, n_frames: u64) {
        let _ = self.n_forwarded.subscribe().wait_for(|n| *n >= n_frames).await;
    }
}

/// Every turn that runs here or waits to, by its id.
pub(crate) struct TurnTable {
    turns_max: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    running: HashMap<String, Arc<Turn>>,
    closed: bool,
}

impl TurnTable {
    /// A table for at most `turns_max` turns.
    pub(crate) fn new(turns_max: usize) -> Self {
        Self { turns_max, state: Mutex::default() }
    }

    /// Enters a turn; it stays until the place is dropped.
    ///
    /// Errors: `unavailable` once the host goes down, `conflict` when the turn is here already, `overloaded` when the table
    /// is full.
    pub(crate) fn enter(self: &Arc<Self>, turn: Turn) -> Result<Place, Fault> {
        let mut state = self.lock();
        if state.closed {
            return Err(Fault::new(UNAVAILABLE, "no turn can be started: the host is going down"));
        }
        if state.running.contains_key(&turn.turn_id) {
            return Err(Fault::new(CONFLICT, format!("turn `{}` runs here already", turn.turn_id)));
        }
        if state.running.len() >= self.turns_max {
            let message = format!("{} turns run or wait already; try again later", self.turns_max);
            let detail = serde_json::json!({ "retry_after_ms": RETRY_AFTER_MS });
            return Err(Fault::new(OVERLOADED, message).with_detail(detail));
        }
        let turn = Arc::new(turn);
        state.running.insert(turn.turn_id.clone(), Arc::clone(&turn));
        Ok(Place { table: Arc::clone(self), turn })
    }

    pub(crate) fn get(&self, turn_id: &str) -> Option<Arc<Turn>> {
        self.lock().running.get(turn_id).cloned()
    }

    /// The turn of a conversation.
    pub(crate) fn of_conversation(&self, conversation_id: &str) -> Option<Arc<Turn>> {
        self.lock().running.values().find(|turn| turn.conversation_id == conversation_id).cloned()
    }

    /// Whether the host goes down: what waits then leaves the table and stays open for the next one.
    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Turns that run or wait.
    pub(crate) fn len(&self) -> usize {
        self.lock().running.len()
    }

    /// Lets nothing in any more, and answers what is still running.
    pub(crate) fn close(&self) -> Vec<Arc<Turn>> {
        let mut state = self.lock();
        state.closed = true;
        state.running.values().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A turn's place in the table. However its task ends, dropping it takes the turn out.
pub(crate) struct Place {
    table: Arc<TurnTable>,
    pub(crate) turn: Arc<Turn>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.table.lock();
        if state.running.get(&self.turn.turn_id).is_some_and(|turn| Arc::ptr_eq(turn, &self.turn)) {
            state.running.remove(&self.turn.turn_id);
        }
        drop(state);
        self.turn.over.send_replace(true);
    }
}
