//! The end of a log in memory against a disk that fails in every way, for readers that join anywhere.

use crate::block::Piece;
use crate::row::Row;
use crate::turn_log::{Cut, Failed, SEQ_RESERVE, TurnLog};
use dispatch_sdk::contracts::event::{Delta, EventBody, NOTICE, REASONING_DELTA, TEXT_DELTA};
use dispatch_sdk::{Fault, fault};
use proptest::prelude::*;
use serde_json::value::to_raw_value;
use std::collections::BTreeMap;

#[derive(Debug, Clone)]
enum Op {
    /// One live event: text, reasoning or notice, of step 0 or 1.
    Live(u8, u8),
    /// Begins a commit with so many appended rows, if none is under way.
    Cut(usize),
    /// Ends the commit under way.
    Finish(Outcome),
    /// A reader that has seen everything up to a point in what was shown so far.
    Join(prop::sample::Index),
}

#[derive(Debug, Clone, Copy)]
enum Outcome {
    Written,
    NoSpace,
    /// Reported as failed, and was not written.
    UnsureLost,
    /// Reported as failed, and was written.
    UnsureWritten,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let outcome = prop_oneof![
        6 => Just(Outcome::Written),
        1 => Just(Outcome::NoSpace),
        1 => Just(Outcome::UnsureLost),
        1 => Just(Outcome::UnsureWritten),
    ];
    let op = prop_oneof![
        6 => (0..3u8, 0..2u8).prop_map(|(kind, step)| Op::Live(kind, step)),
        2 => (0..3usize).prop_map(Op::Cut),
        3 => outcome.prop_map(Op::Finish),
        2 => any::<prop::sample::Index>().prop_map(Op::Join),
    ];
    prop::collection::vec(op, 0..120)
}

/// What a reader was given: `(seq_first, row)`.
#[derive(Debug)]
struct Reader {
    after: u64,
    cursor: u64,
    behind: bool,
    got: Vec<(u64, Row)>,
}

struct World {
    log: TurnLog,
    disk: BTreeMap<u64, Row>,
    seq_last: u64,
    seq_reserved: u64,
    /// Written although reported as failed: the next commit finds another head.
    head_changed: bool,
    /// Each event that was shown or written, under its own number, as `(kind, text)`.
    truth: BTreeMap<u64, (String, String)>,
    readers: Vec<Reader>,
    under_way: Option<(Cut, Vec<Row>)>,
    n_live: u32,
}

fn text_of(row: &Row) -> String {
    match serde_json::from_str::<Delta>(row.data.get()) {
        Ok(delta) => delta.text,
        Err(_) => row.data.get().to_owned(),
    }
}

impl World {
    fn new(seq_reserved: u64) -> Self {
        let log = TurnLog::new(0, seq_reserved);
        Self {
            log,
            disk: BTreeMap::new(),
            seq_last: 0,
            seq_reserved,
            head_changed: false,
            truth: BTreeMap::new(),
            readers: Vec::new(),
            under_way: None,
            n_live: 0,
        }
    }

    fn show(&mut self, f: impl FnOnce(&mut TurnLog, &mut dyn FnMut(u64, &Piece))) {
        let mut shown = Vec::new();
        f(&mut self.log, &mut |seq, piece| {
            let row = Row {
                seq,
                seq_first: seq,
                turn_id: "t".into(),
                at: 0,
                kind: piece.kind.clone(),
                data: piece.data.clone(),
            };
            shown.push(row);
        });
        for row in shown {
            assert!(
                row.seq <= self.seq_reserved,
                "{} was shown, {} is reserved on disk",
                row.seq,
                self.seq_reserved
            );
            self.push(row);
        }
    }

    fn push(&mut self, row: Row) {
        let last = self.truth.last_key_value().map_or(0, |(seq, _)| *seq);
        assert!(row.seq > last, "{} was shown after {last}", row.seq);
        self.truth.insert(row.seq, (row.kind.clone(), text_of(&row)));
        for reader in self.readers.iter_mut().filter(|reader| !reader.behind && row.seq > reader.cursor) {
            reader.cursor = row.seq;
            reader.got.push((row.seq, row.clone()));
        }
    }

    fn live(&mut self, kind: u8, step: u8) {
        self.n_live += 1;
        let kind = [TEXT_DELTA, REASONING_DELTA, NOTICE][usize::from(kind)];
        let data = if kind == NOTICE {
            to_raw_value(&self.n_live).unwrap()
        } else {
            to_raw_value(&Delta { step_id: format!("t#{step}"), text: format!("<{}>", self.n_live) }).unwrap()
        };
        let mut pieces = Vec::new();
        Piece::of(EventBody { kind: kind.to_owned(), data }, &mut pieces).unwrap();
        self.show(|log, show| log.live(pieces, 0, show).unwrap());
    }

    fn cut(&mut self, n: usize) {
        if self.under_way.is_some() {
            return;
        }
        // As the writer does: what waits for a number, or an unsure commit, is settled before an append.
        let n = if self.log.flush_goes_first() { 0 } else { n };
        let cut = self.log.cut(n);
        let row = |seq| {
            let data = to_raw_value(&seq).unwrap();
            Row { seq, seq_first: seq, turn_id: "t".into(), at: 0, kind: "tool_call".into(), data }
        };
        let rows = (cut.append_first..cut.append_first + cut.n_appended).map(row).collect();
        self.under_way = Some((cut, rows));
    }

    fn write(&mut self, cut: &Cut, rows: &[Row]) {
        for seq in &cut.deletes {
            self.disk.remove(seq);
        }
        for row in cut.blocks.iter().map(|block| block.row("t")).chain(rows.iter().cloned()) {
            self.disk.insert(row.seq, row);
        }
        self.seq_last = cut.seq_last.unwrap_or(0).max(self.seq_last);
        self.seq_reserved = cut.seq_reserved;
    }

    fn finish(&mut self, outcome: Outcome) {
        let Some((cut, rows)) = self.under_way.take() else { return };
        if std::mem::take(&mut self.head_changed) {
            let conflict = Fault::new(fault::CONFLICT, "changed");
            self.show(|log, show| {
                log.fail(&cut, Failed::Unsure, &conflict);
                log.resume(0, show);
            });
            self.log.catch_up(self.seq_last);
            self.fall_behind();
            return;
        }
        let (written, failed) = match outcome {
            Outcome::Written => (true, None),
            Outcome::NoSpace => (false, Some(Failed::Clean)),
            Outcome::UnsureLost => (false, Some(Failed::Unsure)),
            Outcome::UnsureWritten => (true, Some(Failed::Unsure)),
        };
        if written {
            self.write(&cut, &rows);
        }
        let Some(failed) = failed else {
            self.log.settle(&cut);
            for row in rows {
                self.push(row);
            }
            self.show(|log, show| log.resume(0, show));
            return;
        };
        if written {
            self.head_changed = true;
            // On disk, so readers of the log see it from now on.
            for row in &rows {
                self.truth.insert(row.seq, (row.kind.clone(), text_of(row)));
            }
        }
        self.show(|log, show| {
            log.fail(&cut, failed, &Fault::new(fault::IO, "down"));
            log.resume(0, show);
        });
    }

    fn fall_behind(&mut self) {
        for idx in 0..self.readers.len() {
            self.catch_up(idx);
        }
    }

    /// The one ordered step in which a reader goes from the log to what is live.
    fn catch_up(&mut self, idx: usize) {
        let reader = &mut self.readers[idx];
        let after = reader.cursor;
        for (_, row) in self.disk.range(..=self.log.settled_seq()).filter(|(seq, _)| **seq > after) {
            reader.got.push((row.seq_first, row.clone()));
            reader.cursor = row.seq;
        }
        for block in self.log.blocks_after(reader.cursor) {
            let row = block.row("t");
            reader.got.push((row.seq_first, row.clone()));
            reader.cursor = row.seq;
        }
        reader.behind = false;
    }

    fn join(&mut self, at: &prop::sample::Index) {
        let mut cursors: Vec<u64> = self.truth.keys().copied().collect();
        cursors.push(0);
        let after = cursors[at.index(cursors.len())];
        self.readers.push(Reader { after, cursor: after, behind: true, got: Vec::new() });
        self.catch_up(self.readers.len() - 1);
    }

    /// Commits until everything is on disk.
    fn quiesce(&mut self) {
        self.finish(Outcome::Written);
        for _ in 0..4 {
            self.cut(0);
            self.finish(Outcome::Written);
        }
    }

    /// Checks rows against what was shown between `after` and the last of them.
    fn check(&self, after: u64, rows: &[(u64, Row)], what: &str) {
        let mut cursor = after;
        for (first, row) in rows {
            assert!(row.seq > cursor, "{what}: {} came after {cursor}", row.seq);
            let missed = self.truth.range(cursor + 1..).next().map_or(u64::MAX, |(seq, _)| *seq);
            assert!(missed >= *first, "{what}: {missed} was left out before [{first}, {}]", row.seq);
            let parts: Vec<_> = self.truth.range(first..=&row.seq).collect();
            let text: String = parts.iter().map(|(_, (_, text))| text.as_str()).collect();
            assert!(parts.iter().all(|(_, (kind, _))| *kind == row.kind), "{what}: a row of two kinds");
            assert_eq!(text_of(row), text, "{what}: [{first}, {}]", row.seq);
            cursor = row.seq;
        }
        let left = self.truth.range(cursor + 1..).count();
        assert_eq!(left, 0, "{what}: events after {cursor} were left out");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// With a small reserve, so that it runs out.
    #[test]
    fn every_reader_sees_every_event_once_and_in_order(ops in ops(), reserved in prop_oneof![Just(2u64), Just(SEQ_RESERVE)]) {
        let mut world = World::new(reserved);
        for op in &ops {
            match op {
                Op::Live(kind, step) => world.live(*kind, *step),
                Op::Cut(n) => world.cut(*n),
                Op::Finish(outcome) => world.finish(*outcome),
                Op::Join(at) => world.join(at),
            }
        }
        world.quiesce();
        let disk: Vec<(u64, Row)> = world.disk.values().map(|row| (row.seq_first, row.clone())).collect();
        prop_assert!(disk.windows(2).all(|two| two[1].0 > two[0].1.seq), "rows overlap");
        world.check(0, &disk, "disk");
        for after in world.truth.keys() {
            let rest: Vec<_> = disk.iter().filter(|(_, row)| row.seq > *after).cloned().collect();
            world.check(*after, &rest, "a reader of the disk");
        }
        for reader in &world.readers {
            world.check(reader.after, &reader.got, "a reader");
        }
    }
}
