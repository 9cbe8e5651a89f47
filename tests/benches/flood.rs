//! A turn of 20,000 deltas as fast as the model can: rate, CPU, the first delta, the longest silence.
//!
//! It must not know how deltas are put together on their way: only the text must be the same.

use crate::client::Seen;
use crate::load::{Talk, World, all_completed, client, turn_body};
use crate::process::cpu_ms;
use crate::servers::Served;
use crate::{Trouble, note, say};
use house::bench::{Figure, Goal, Samples};
use std::fmt::Write as _;

const DELTAS: usize = 20_000;
const REPEATS: usize = 5;

pub(crate) struct Flood {
    /// Deltas of the model a second, from the request to the end.
    pub(crate) rate: Samples,
    /// CPU of the server for each delta of the model, in µs.
    pub(crate) cpu_us: f64,
    first_ms: Samples,
    gap_ms: Samples,
    events: usize,
    bytes: usize,
}

pub(crate) fn run() -> Result<(), Trouble> {
    let world = World::start(&[])?;
    let floor = flood("the floor", &world.floor)?;
    let host = flood("the host", &world.host)?;
    let bare = "the floor";
    let joined = format!(
        "a turn came in {} events of {} bytes together; the floor's in {} of {}",
        host.events, host.bytes, floor.events, floor.bytes
    );
    say(&Figure::new("deltas of the model a second, p50", host.rate.p50(), "1/s")
        .beside(bare, floor.rate.p50())
        .goal(Goal::TimesAtLeast(0.2))
        .note(joined));
    say(&Figure::new("CPU of the server, each delta", host.cpu_us, "µs")
        .beside(bare, floor.cpu_us)
        .goal(Goal::TimesAtMost(5.0)));
    say(&Figure::new("first delta, model → client, worst of 5", host.first_ms.max(), "ms")
        .beside(bare, floor.first_ms.max())
        .goal(Goal::AtMost(5.0)));
    say(&Figure::new("longest silence between two events, worst of 5", host.gap_ms.max(), "ms")
        .beside(bare, floor.gap_ms.max())
        .goal(Goal::AtMost(20.0)));
    Ok(())
}

pub(crate) fn flood(who: &str, served: &Served) -> Result<Flood, Trouble> {
    note(&format!("20,000 deltas at {who}"));
    let expected = (0..DELTAS).fold(String::new(), |mut text, n| {
        write!(text, "w{n} ").expect("a string takes all text");
        text
    });
    client(async {
        let mut talk = Talk::open(&served.server).await?;
        let mut turn = async |model: String| -> Result<Seen, Trouble> {
            let seen = talk.turn(&turn_body(&model, "hello")).await?;
            all_completed(who, usize::from(!seen.completed))?;
            Ok(seen)
        };
        turn("fake-text-20".to_owned()).await?;
        let (mut rate, mut first, mut gap) = (Vec::new(), Vec::new(), Vec::new());
        let (mut events, mut bytes) = (0, 0);
        let before = cpu_ms(served.pid());
        for _ in 0..REPEATS {
            let seen = turn(format!("fake-text-{DELTAS}")).await?;
            if seen.text() != expected {
                return Err(format!("the text that came from {who} is not the model's"));
            }
            rate.push(DELTAS as f64 / seen.ended_ms * 1_000.0);
            (events, bytes) = (seen.events, seen.bytes);
        }
        let cpu_us = (cpu_ms(served.pid()) - before) * 1_000.0 / (REPEATS * DELTAS) as f64;
        for _ in 0..REPEATS {
            let seen = turn(format!("fake-text-{DELTAS}-stamp")).await?;
            first.push(seen.delta_ms.first().copied().unwrap_or(f64::INFINITY));
            gap.push(seen.gap_max_ms);
        }
        let (rate, first_ms, gap_ms) = (Samples::new(rate), Samples::new(first), Samples::new(gap));
        Ok(Flood { rate, cpu_us, first_ms, gap_ms, events, bytes })
    })
}
