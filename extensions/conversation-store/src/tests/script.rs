//! Scripts for the whole extension: what happens to it, in any order.

use proptest::prelude::*;
use proptest::sample::Index;

/// One thing that happens. What needs an open turn begins one.
#[derive(Debug, Clone)]
pub(super) enum Op {
    Begin,
    /// So many deltas in one call.
    Live(usize),
    Append(Append),
    End,
    /// A client with the screen and the cursor of any moment of any client before.
    Join(Index),
    /// A client reads what is due; without its turn it is slow.
    Read(Index),
    /// A client goes away and keeps its screen and its cursor.
    Leave(Index),
    /// A page of the log after any cursor that a client had.
    Page(Index, usize),
    /// Time passes, so that live text is written.
    Tick,
    /// The next commit goes wrong.
    Fail(Failure),
    Rename,
    Kill(Kill),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Append {
    Notice,
    Call,
    Result,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    NoSpace,
    /// Nobody knows, and it was not written.
    Lost,
    /// Nobody knows, and it was written.
    Written,
}

/// How the host dies, and what the next one does with the turn that it left open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kill {
    /// An append is on its way to the disk.
    pub(super) in_flight: bool,
    /// The next host asks to adopt before it seals.
    pub(super) adopt: bool,
}

pub(super) fn ops() -> impl Strategy<Value = Vec<Op>> {
    let append = prop_oneof![3 => Just(Append::Notice), 2 => Just(Append::Call), 1 => Just(Append::Result)];
    let failure = prop_oneof![Just(Failure::NoSpace), Just(Failure::Lost), Just(Failure::Written)];
    let kill = (any::<bool>(), any::<bool>()).prop_map(|(in_flight, adopt)| Kill { in_flight, adopt });
    let op = prop_oneof![
        2 => Just(Op::Begin),
        10 => (1..4usize).prop_map(Op::Live),
        5 => append.prop_map(Op::Append),
        2 => Just(Op::End),
        4 => any::<Index>().prop_map(Op::Join),
        6 => any::<Index>().prop_map(Op::Read),
        2 => any::<Index>().prop_map(Op::Leave),
        2 => (any::<Index>(), 1..5usize).prop_map(|(after, limit)| Op::Page(after, limit)),
        3 => Just(Op::Tick),
        2 => failure.prop_map(Op::Fail),
        1 => Just(Op::Rename),
        3 => kill.prop_map(Op::Kill),
    ];
    prop::collection::vec(op, 1..40)
}
