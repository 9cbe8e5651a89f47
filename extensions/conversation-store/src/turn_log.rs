//! The end of an open turn's log that is still in memory: numbers, blocks, and what waits for a number.
//!
//! Pure: time and the store are somebody else's. A number once given is never given again, even when its commit fails.
//! Invariants, kept by `tests/model.rs`: nothing is shown under a number above `seq_reserved` before it is on disk; what
//! is shown comes in rising order; every row that is shown and not in `blocks` is on disk at or below `settled_seq`.

use crate::block::{Block, Piece};
use dispatch_sdk::{Fault, fault};
use std::collections::VecDeque;

/// Numbers reserved ahead in each commit.
pub(crate) const SEQ_RESERVE: u64 = 4096;
/// Unwritten bytes at which a flush no longer waits.
pub(crate) const FLUSH_BYTES: usize = 16 * 1024;
/// Most unwritten bytes of one turn; beyond them the store is not keeping up and `live` refuses.
pub(crate) const UNWRITTEN_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Most rows of one turn that wait to be written: one commit takes them all, beside those of an append.
pub(crate) const UNWRITTEN_ROWS_MAX: usize = 768;

/// Shows a live piece to whoever watches, under its number.
pub(crate) type Show<'a> = &'a mut dyn FnMut(u64, &Piece);

#[derive(Debug)]
pub(crate) struct TurnLog {
    seq_next: u64,
    seq_reserved: u64,
    settled_seq: u64,
    blocks: VecDeque<Block>,
    /// Live events without a number.
    pending: VecDeque<Piece>,
    /// An append is being written: what comes live is shown after it.
    appending: bool,
    /// Nobody knows whether the last commit was written: nothing new may be shown until one has gone through.
    unsure: bool,
    unwritten_bytes: usize,
    /// Why the last commit failed.
    fault: Option<Fault>,
}

/// What one commit writes of the log.
#[derive(Debug)]
pub(crate) struct Cut {
    pub(crate) blocks: Vec<Block>,
    /// Numbers of rows that those replace.
    pub(crate) deletes: Vec<u64>,
    /// Number of the first appended row.
    pub(crate) append_first: u64,
    pub(crate) n_appended: u64,
    /// Number of the last row on disk after it; `None` when it writes no row.
    pub(crate) seq_last: Option<u64>,
    /// Reserved by it.
    pub(crate) seq_reserved: u64,
    bytes: usize,
}

/// How soon the writer must write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Urgency {
    Nothing,
    Soon,
    Now,
}

/// What a failed commit leaves behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failed {
    /// Nothing was written.
    Clean,
    /// It may have been written, or may yet be: nothing is shown until the next commit went through.
    Unsure,
}

impl TurnLog {
    /// The log of a turn whose last row on disk is `seq_last`.
    pub(crate) fn new(seq_last: u64, seq_reserved: u64) -> Self {
        Self {
            seq_next: seq_last + 1,
            seq_reserved,
            settled_seq: seq_last,
            blocks: VecDeque::new(),
            pending: VecDeque::new(),
            appending: false,
            unsure: false,
            unwritten_bytes: 0,
            fault: None,
        }
    }

    /// Rows up to here are read from disk; those above are in memory.
    pub(crate) fn settled_seq(&self) -> u64 {
        self.settled_seq
    }

    /// The blocks that a reader who has seen everything up to `after` has not seen whole.
    pub(crate) fn blocks_after(&self, after: u64) -> impl Iterator<Item = &Block> {
        self.blocks.iter().filter(move |block| block.seq_last > after)
    }

    /// Takes live events, all or none: shows them, or keeps them until they may be shown.
    ///
    /// Errors: what the last commit failed with, or `overloaded`, when too much is unwritten.
    pub(crate) fn live(&mut self, pieces: Vec<Piece>, at: u64, show: Show<'_>) -> Result<(), Fault> {
        let bytes: usize = pieces.iter().map(Piece::bytes).sum();
        let n_rows = self.blocks.len() + self.pending.len();
        if self.unwritten_bytes + bytes > UNWRITTEN_BYTES_MAX || n_rows + pieces.len() > UNWRITTEN_ROWS_MAX {
            let message = format!(
                "{} bytes of live text, {n_rows} rows at most, are not written yet; try again",
                self.unwritten_bytes
            );
            return Err(self.fault.clone().unwrap_or_else(|| Fault::new(fault::OVERLOADED, message)));
        }
        self.unwritten_bytes += bytes;
        self.pending.extend(pieces);
        self.drain(at, show);
        Ok(())
    }

    fn drain(&mut self, at: u64, show: Show<'_>) {
        while !self.appending
            && !self.unsure
            && self.seq_next <= self.seq_reserved
            && let Some(piece) = self.pending.pop_front()
        {
            show(self.seq_next, &piece);
            self.take(piece, at);
        }
    }

    fn take(&mut self, piece: Piece, at: u64) {
        let seq = self.seq_next;
        self.seq_next += 1;
        let rest = match self.blocks.back_mut() {
            Some(block) => block.join(piece, seq, at),
            None => Err(piece),
        };
        if let Err(piece) = rest {
            self.blocks.push_back(Block::new(piece, seq, at));
        }
    }

    pub(crate) fn urgency(&self) -> Urgency {
        if !self.pending.is_empty() || self.unsure || self.unwritten_bytes >= FLUSH_BYTES {
            Urgency::Now
        } else if self.blocks.iter().any(Block::is_dirty) {
            Urgency::Soon
        } else {
            Urgency::Nothing
        }
    }

    /// Whether a flush must go before the next append: events wait for their number, or the last commit is unsure.
    pub(crate) fn flush_goes_first(&self) -> bool {
        self.unsure || !self.pending.is_empty()
    }

    /// Cuts what a commit writes, with numbers for `n_appended` rows. With any, what comes live is held until its end.
    pub(crate) fn cut(&mut self, n_appended: usize) -> Cut {
        if n_appended > 0 {
            self.appending = true;
            if let Some(block) = self.blocks.back_mut() {
                block.open = false;
            }
        }
        let mut cut = Cut {
            blocks: Vec::new(),
            deletes: Vec::new(),
            append_first: self.seq_next,
            n_appended: n_appended as u64,
            seq_last: None,
            seq_reserved: 0,
            bytes: 0,
        };
        for block in self.blocks.iter_mut().filter(|block| block.is_dirty()) {
            cut.deletes.extend(block.keys.iter().filter(|key| **key != block.seq_last));
            if !block.keys.contains(&block.seq_last) {
                block.keys.push(block.seq_last);
            }
            cut.seq_last = Some(block.seq_last);
            cut.blocks.push(block.clone());
        }
        self.seq_next += cut.n_appended;
        if n_appended > 0 {
            cut.seq_last = Some(self.seq_next - 1);
        }
        cut.seq_reserved = self.seq_next - 1 + SEQ_RESERVE + self.pending.len() as u64;
        let pending_bytes: usize = self.pending.iter().map(Piece::bytes).sum();
        cut.bytes = self.unwritten_bytes - pending_bytes;
        self.unwritten_bytes = pending_bytes;
        cut
    }

    /// The commit of `cut` went through.
    pub(crate) fn settle(&mut self, cut: &Cut) {
        self.fault = None;
        self.appending = false;
        self.unsure = false;
        self.seq_reserved = cut.seq_reserved;
        for written in &cut.blocks {
            if let Some(block) = self.blocks.iter_mut().find(|block| block.seq_first == written.seq_first) {
                block.written = Some(written.seq_last);
                block.keys = vec![written.seq_last];
            }
        }
        while let Some(block) = self.blocks.front()
            && !block.open
            && !block.is_dirty()
        {
            self.settled_seq = self.settled_seq.max(block.seq_last);
            self.blocks.pop_front();
        }
        if cut.n_appended > 0 {
            self.settled_seq = cut.append_first + cut.n_appended - 1;
        }
    }

    /// The commit of `cut` failed; its blocks stay unwritten.
    pub(crate) fn fail(&mut self, cut: &Cut, failed: Failed, fault: &Fault) {
        self.unwritten_bytes += cut.bytes;
        self.appending = false;
        // A later clean failure does not tell what became of an earlier unsure one.
        self.unsure |= failed == Failed::Unsure;
        self.fault = Some(fault.clone());
    }

    /// Rows up to `seq_last` turned out to be on disk: an unsure commit that went through after all. Their numbers were
    /// given when it was cut.
    pub(crate) fn catch_up(&mut self, seq_last: u64) {
        self.settled_seq = self.settled_seq.max(seq_last);
    }

    /// Shows what waited, as far as it may be shown.
    pub(crate) fn resume(&mut self, at: u64, show: Show<'_>) {
        self.drain(at, show);
    }
}
