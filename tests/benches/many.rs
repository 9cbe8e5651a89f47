//! 200 turns at once, each of 200 deltas 10 ms apart: durable at the host, bare at the floor.
//!
//! It must not know how the server shares its threads.

use crate::client::Seen;
use crate::load::{Talk, World, client, turn_body};
use crate::process::{cpu_ms, memory_mb};
use crate::servers::Served;
use crate::{Trouble, note, say};
use house::bench::{Figure, Goal, Samples};

const TURNS: usize = 200;
const MODEL: &str = "fake-text-200-delay-10-stamp";
/// 199 pauses of 10 ms: no host can be faster.
const IDEAL_S: f64 = 1.99;

pub(crate) struct Load {
    failed: usize,
    pub(crate) turn_s: Samples,
    pub(crate) delta_ms: Samples,
    pub(crate) cpu_s: f64,
    peak_mb: f64,
    pub(crate) client_cpu_s: f64,
}

pub(crate) fn run() -> Result<(), Trouble> {
    let world = World::start(&[])?;
    let floor = load("the floor", &world.floor)?;
    let host = load("the host", &world.host)?;
    let bare = "the floor";
    let client = format!("the client itself used {:.2} s of CPU", host.client_cpu_s);
    say(&Figure::new("turns that failed, of 200 at once", host.failed as f64, "")
        .beside(bare, floor.failed as f64)
        .goal(Goal::AtMost(0.0))
        .note(client));
    say(&Figure::new("turn, p99 (ideal 1.99)", host.turn_s.p99(), "s")
        .beside(bare, floor.turn_s.p99())
        .goal(Goal::AtMost(2.06))
        .note(format!("p50 {:.3} s; at least {IDEAL_S} s by the model's pauses", host.turn_s.p50())));
    say(&Figure::new("CPU of the server", host.cpu_s, "s").beside(bare, floor.cpu_s).goal(Goal::AtMost(2.0)));
    say(&Figure::new("RSS of the server, peak", host.peak_mb, "MB")
        .beside(bare, floor.peak_mb)
        .goal(Goal::AtMost(60.0)));
    say(&Figure::new("delta, model → client, p99", host.delta_ms.p99(), "ms")
        .beside(bare, floor.delta_ms.p99())
        .goal(Goal::AtMost(10.0))
        .note(format!(
            "p50 {:.2}, max {:.1} ms, {} deltas",
            host.delta_ms.p50(),
            host.delta_ms.max(),
            host.delta_ms.n()
        )));
    Ok(())
}

pub(crate) fn load(who: &str, served: &Served) -> Result<Load, Trouble> {
    note(&format!("200 turns at once at {who}"));
    client(async {
        let talks = Talk::open_many(&served.server, TURNS).await?;
        // One turn before them, so that what is lazy is there.
        Talk::open(&served.server).await?.turn(&turn_body("fake-text-20", "hello")).await?;
        let (before, own_before) = (cpu_ms(served.pid()), cpu_ms(std::process::id()));
        let one = |mut talk: Talk| async move { talk.turn(&turn_body(MODEL, "hello")).await };
        let seen = futures_util::future::join_all(talks.into_iter().map(one)).await;
        let cpu_s = (cpu_ms(served.pid()) - before) / 1_000.0;
        let client_cpu_s = (cpu_ms(std::process::id()) - own_before) / 1_000.0;
        let troubles: Vec<&String> = seen.iter().filter_map(|seen| seen.as_ref().err()).collect();
        if let Some(trouble) = troubles.first() {
            note(&format!("{} turns failed, the first: {trouble}", troubles.len()));
        }
        let good: Vec<&Seen> = seen.iter().flatten().filter(|seen| seen.completed).collect();
        Ok(Load {
            failed: TURNS - good.len(),
            turn_s: Samples::new(good.iter().map(|seen| seen.ended_ms / 1_000.0).collect()),
            delta_ms: Samples::new(good.iter().flat_map(|seen| seen.delta_ms.iter().copied()).collect()),
            cpu_s,
            peak_mb: memory_mb(served.pid(), "VmHWM").unwrap_or(0.0),
            client_cpu_s,
        })
    })
}
