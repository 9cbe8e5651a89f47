//! One conversation that grows: its 201st turn beside its first ones, and turns over a history of 1 MB.
//!
//! It must not know how a history is read.

use crate::load::{Talk, World, all_completed, client, turn_body, turns};
use crate::process::memory_mb;
use crate::servers::Served;
use crate::{Trouble, note, say};
use house::bench::{Figure, Goal, Samples};

const TURNS: usize = 201;
/// Turns 2 to 11, and the last ten.
const EARLY: std::ops::Range<usize> = 1..11;
const LATE: std::ops::Range<usize> = TURNS - 10..TURNS;
/// Turns that make 1 MB, each of so many deltas of seven bytes.
const LARGE_TURNS: usize = 15;
const LARGE_MODEL: &str = "fake-text-10000";
const MEASURED_TURNS: usize = 20;

pub(crate) fn run() -> Result<(), Trouble> {
    let world = World::start(&[])?;
    let warm = client(turns(&world.host, &turn_body("fake-text-20", "hello"), 100))?;
    all_completed("the host", warm.failed)?;
    note("a conversation of 201 turns");
    let grown = grown(&world.host)?;
    note("a conversation of 1 MB");
    let (large, small) = client(async {
        Ok((large(&world.host).await?, first_deltas(&mut Talk::open(&world.floor.server).await?).await?))
    })?;
    let early = "turns 2 to 11";
    say(&Figure::new("turns 192 to 201 of one conversation, p50", grown.late_ms, "ms")
        .beside(early, grown.early_ms)
        .goal(Goal::TimesAtMost(1.05)));
    say(&Figure::new("RSS over these turns", grown.rss_mb, "MB").goal(Goal::AtMost(5.0)));
    say(&Figure::new("first delta over a history of 1 MB, p50", large.p50(), "ms")
        .beside("the floor, which sends no history", small.p50())
        .goal(Goal::AtMost(15.0))
        .note(format!("p99 {:.1} ms", large.p99())));
    Ok(())
}

struct Grown {
    early_ms: f64,
    late_ms: f64,
    rss_mb: f64,
}

fn grown(served: &Served) -> Result<Grown, Trouble> {
    let memory = || memory_mb(served.pid(), "VmRSS").ok_or_else(|| "the host has ended".to_owned());
    let before = memory()?;
    let ended: Vec<f64> = client(async {
        let mut talk = Talk::open(&served.server).await?;
        let mut ended = Vec::new();
        for _ in 0..TURNS {
            let seen = talk.turn(&turn_body("fake-text-20", "go on")).await?;
            all_completed("the host", usize::from(!seen.completed))?;
            ended.push(seen.ended_ms);
        }
        Ok(ended)
    })?;
    let middle = |range: std::ops::Range<usize>| Samples::new(ended[range].to_vec()).p50();
    Ok(Grown { early_ms: middle(EARLY), late_ms: middle(LATE), rss_mb: (memory()? - before).max(0.0) })
}

async fn large(served: &Served) -> Result<Samples, Trouble> {
    let mut talk = Talk::open(&served.server).await?;
    for _ in 0..LARGE_TURNS {
        let seen = talk.turn(&turn_body(LARGE_MODEL, "much")).await?;
        all_completed("the host", usize::from(!seen.completed))?;
    }
    first_deltas(&mut talk).await
}

async fn first_deltas(talk: &mut Talk) -> Result<Samples, Trouble> {
    let mut first = Vec::new();
    for _ in 0..MEASURED_TURNS {
        let seen = talk.turn(&turn_body("fake-text-20", "go on")).await?;
        all_completed("a server", usize::from(!seen.completed))?;
        first.push(seen.first_delta_ms);
    }
    Ok(Samples::new(first))
}
