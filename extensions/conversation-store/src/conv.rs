//! A conversation as this process sees it: the turn that it runs, and those who watch. Everything durable is elsewhere.
//!
//! One lock, held for microseconds and never across an await. Inside it everything is shown, so that a watcher attaches
//! between two events and never in the middle of one.

use crate::block::Piece;
use crate::counts::Counted;
use crate::faults;
use crate::request::Request;
use crate::row::Row;
use crate::turn_log::{Cut, Failed, TurnLog, Urgency};
use crate::watcher::{Frame, LiveEvent, Watcher};
use dispatch_sdk::Fault;
use dispatch_sdk::contracts::event::EventBody;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, mpsc};

#[derive(Debug)]
pub(crate) struct Conv {
    id: String,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    turn: Option<Turn>,
    /// Last number of the last turn that ended here: a watcher that read less has missed its end.
    ended_seq: u64,
    watchers: Vec<Arc<Watcher>>,
    /// Version of the list's entry at the last look of this process.
    looked_at: Option<u64>,
}

/// The turn that this process began.
#[derive(Debug)]
pub(crate) struct Turn {
    pub(crate) turn_id: String,
    pub(crate) log: TurnLog,
    pub(crate) writer: mpsc::Sender<Request>,
    pub(crate) wake: Arc<Notify>,
    pub(crate) _counted: Counted,
}

/// Where a watcher at a cursor stands.
#[derive(Debug)]
pub(crate) enum Attached {
    /// It must read more of the log first.
    Behind,
    /// These come next, then what is pushed.
    With(Vec<Arc<Frame>>),
}

/// How the commit of an append ends the turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    GoesOn,
    Ended,
}

impl Conv {
    pub(crate) fn new(id: &str) -> Self {
        Self { id: id.to_owned(), state: Mutex::default() }
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Whether nobody needs it any more.
    pub(crate) fn is_unused(&self) -> bool {
        let state = self.lock();
        state.turn.is_none() && state.watchers.is_empty()
    }

    /// Puts the turn that was just begun or adopted in place; watchers read its first rows from the log.
    /// False when it is there already.
    pub(crate) fn install(&self, turn: Turn) -> bool {
        let mut state = self.lock();
        let is_new = state.turn_mut(&turn.turn_id).is_none();
        if is_new {
            state.turn = Some(turn);
        }
        state.all_fall_behind();
        is_new
    }

    /// Forgets the turn, if it is the one: it was ended or sealed by another.
    pub(crate) fn lose(&self, turn_id: &str) {
        let mut state = self.lock();
        if state.turn_mut(turn_id).is_some() {
            state.turn = None;
        }
        state.all_fall_behind();
    }

    /// Whether somebody watches and nothing is pushed: what is new comes from another process, through the store.
    pub(crate) fn has_idle_watchers(&self) -> bool {
        let state = self.lock();
        state.turn.is_none() && !state.watchers.is_empty()
    }

    /// The list says that the conversation is at this version: watchers read what they do not have.
    pub(crate) fn changed_to(&self, version: u64) {
        let mut state = self.lock();
        if state.turn.is_none() && state.looked_at.replace(version) != Some(version) {
            state.all_fall_behind();
        }
    }

    /// Something may have changed.
    pub(crate) fn changed(&self) {
        let state = self.lock();
        if state.turn.is_none() {
            state.all_fall_behind();
        }
    }

    /// Whether this process runs a turn here, so that everything new is pushed.
    pub(crate) fn runs_a_turn(&self) -> bool {
        self.lock().turn.is_some()
    }

    /// The writer of a turn that this process runs.
    pub(crate) fn writer(&self, turn_id: &str) -> Option<mpsc::Sender<Request>> {
        Some(self.lock().turn_mut(turn_id)?.writer.clone())
    }

    /// The writer of whatever turn this process runs.
    pub(crate) fn any_writer(&self) -> Option<mpsc::Sender<Request>> {
        Some(self.lock().turn.as_ref()?.writer.clone())
    }

    pub(crate) fn live(&self, turn_id: &str, events: Vec<EventBody>, at: u64) -> Result<(), Fault> {
        let mut pieces = Vec::with_capacity(events.len());
        for event in events {
            Piece::of(event, &mut pieces)?;
        }
        let mut state = self.lock();
        let State { turn, watchers, .. } = &mut *state;
        let Some(turn) = turn.as_mut().filter(|turn| turn.turn_id == turn_id) else {
            return Err(faults::not_open(&self.id, turn_id));
        };
        let before = turn.log.urgency();
        turn.log.live(pieces, at, &mut |seq, piece| show(&self.id, turn_id, watchers, seq, at, piece))?;
        if turn.log.urgency() != before {
            turn.wake.notify_one();
        }
        Ok(())
    }

    pub(crate) fn urgency(&self, turn_id: &str) -> Option<Urgency> {
        Some(self.lock().turn_mut(turn_id)?.log.urgency())
    }

    pub(crate) fn flush_goes_first(&self, turn_id: &str) -> bool {
        self.lock().turn_mut(turn_id).is_some_and(|turn| turn.log.flush_goes_first())
    }

    pub(crate) fn cut(&self, turn_id: &str, n_appended: usize) -> Option<Cut> {
        Some(self.lock().turn_mut(turn_id)?.log.cut(n_appended))
    }

    /// The commit of `cut` went through: shows the appended rows, then what waited for them.
    pub(crate) fn settle(&self, turn_id: &str, cut: &Cut, appended: Vec<Row>, after: After, at: u64) {
        let mut state = self.lock();
        let State { turn, ended_seq, watchers, .. } = &mut *state;
        let Some(own) = turn.as_mut().filter(|turn| turn.turn_id == turn_id) else { return };
        own.log.settle(cut);
        if !watchers.is_empty() {
            for row in appended {
                push(watchers, &Frame::new(&row.into_event(&self.id, cut.append_first - 1)));
            }
        }
        match after {
            After::Ended => {
                *ended_seq = own.log.settled_seq();
                *turn = None;
            }
            After::GoesOn => {
                own.log.resume(at, &mut |seq, piece| show(&self.id, turn_id, watchers, seq, at, piece));
            }
        }
    }

    pub(crate) fn fail(&self, turn_id: &str, cut: &Cut, failed: Failed, fault: &Fault, at: u64) {
        let mut state = self.lock();
        let State { turn, watchers, .. } = &mut *state;
        let Some(turn) = turn.as_mut().filter(|turn| turn.turn_id == turn_id) else { return };
        turn.log.fail(cut, failed, fault);
        turn.log.resume(at, &mut |seq, piece| show(&self.id, turn_id, watchers, seq, at, piece));
    }

    /// Rows up to `seq_last` are on disk although their commit was reported as failed: watchers read them there.
    pub(crate) fn catch_up(&self, turn_id: &str, seq_last: u64) {
        let mut state = self.lock();
        if let Some(turn) = state.turn_mut(turn_id) {
            turn.log.catch_up(seq_last);
        }
        state.all_fall_behind();
    }

    pub(crate) fn add_watcher(&self, watcher: Arc<Watcher>) {
        self.lock().watchers.push(watcher);
    }

    pub(crate) fn remove_watcher(&self, watcher: &Arc<Watcher>) {
        self.lock().watchers.retain(|other| !Arc::ptr_eq(other, watcher));
    }

    /// Where the log must be read to before a watcher at `cursor` can attach; `None` = to its end.
    pub(crate) fn read_to(&self) -> Option<u64> {
        Some(self.lock().turn.as_ref()?.log.settled_seq())
    }

    /// Attaches a watcher that has seen everything up to `cursor`, in one step with what is in memory.
    ///
    /// It has read the log up to `read_to`, which may be above its cursor: the row at the end of a block moves up when
    /// more of the block is written, and then the block comes from memory.
    pub(crate) fn attach(&self, watcher: &Watcher, cursor: u64, read_to: u64) -> Attached {
        let state = self.lock();
        let settled = state.turn.as_ref().map_or(state.ended_seq, |turn| turn.log.settled_seq());
        if read_to < settled {
            return Attached::Behind;
        }
        let mut frames = Vec::new();
        if let Some(turn) = &state.turn {
            for block in turn.log.blocks_after(cursor) {
                frames.push(Frame::new(&block.row(&turn.turn_id).into_event(&self.id, cursor)));
            }
        }
        watcher.attach();
        Attached::With(frames)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn turn_mut(&mut self, turn_id: &str) -> Option<&mut Turn> {
        self.turn.as_mut().filter(|turn| turn.turn_id == turn_id)
    }

    fn all_fall_behind(&self) {
        for watcher in &self.watchers {
            watcher.fall_behind();
        }
    }
}

fn show(id: &str, turn_id: &str, watchers: &[Arc<Watcher>], seq: u64, at: u64, piece: &Piece) {
    if watchers.is_empty() {
        return;
    }
    let event = LiveEvent { seq, conversation_id: id, turn_id, at, kind: &piece.kind, data: &piece.data };
    push(watchers, &Frame::live(&event));
}

fn push(watchers: &[Arc<Watcher>], frame: &Arc<Frame>) {
    for watcher in watchers {
        watcher.push(frame);
    }
}
