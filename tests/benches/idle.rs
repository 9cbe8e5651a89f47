//! `dispatch serve` at rest: how soon it is ready, how much memory it holds, and what a resting conversation adds.
//!
//! It must not know what it holds.

use crate::load::{OPEN_AT_ONCE, World, client, turn_body, turns};
use crate::process::memory_mb;
use crate::servers::{Install, Model, Served, floor, host, scratch};
use crate::{Trouble, note, say};
use house::bench::{Figure, Goal, Samples, growth};
use std::time::Duration;

const STARTS: usize = 15;
/// How long a server is left alone before its memory is read: longer than any of its threads waits for work.
const REST: Duration = Duration::from_secs(3);
const CONVERSATIONS: usize = 400;

pub(crate) fn run() -> Result<(), Trouble> {
    starts()?;
    let world = World::start(&[])?;
    let (host_rest, host_each) = memory(&world.host)?;
    let (floor_rest, floor_each) = memory(&world.floor)?;
    say(&Figure::new("`serve` at rest, RSS", host_rest, "MB")
        .beside("the floor", floor_rest)
        .goal(Goal::AtMost(25.0)));
    say(&Figure::new("a conversation at rest, RSS", host_each * 1000.0, "kB")
        .beside("the floor", floor_each * 1000.0)
        .goal(Goal::AtMost(50.0))
        .note(format!("growth over {CONVERSATIONS} conversations of one turn each")));
    Ok(())
}

fn starts() -> Result<(), Trouble> {
    note("starts of `serve`");
    let (install, home, model) = (Install::new()?, scratch()?, Model::start()?);
    host(&install, home.path(), &model, &[])?;
    let (mut hosts, mut floors) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        hosts.push(host(&install, home.path(), &model, &[])?.ready_ms);
        floors.push(floor(&model)?.ready_ms);
    }
    let (hosts, floors) = (Samples::new(hosts), Samples::new(floors));
    say(&Figure::new("`serve`, start to ready, warm, p50", hosts.p50(), "ms")
        .beside("the floor", floors.p50())
        .goal(Goal::AtMost(25.0))
        .note(format!("p99 {:.1} ms; each before ended by a kill", hosts.p99())));
    Ok(())
}

/// Memory at rest, and growth for each conversation that had a turn and rests, in MB.
fn memory(served: &Served) -> Result<(f64, f64), Trouble> {
    note("memory at rest");
    let resting = || {
        std::thread::sleep(REST);
        memory_mb(served.pid(), "VmRSS").ok_or_else(|| "a server has ended".to_owned())
    };
    let rest = resting()?;
    let talk = |n: usize| {
        client(async {
            turns(served, &turn_body("fake-text-20", "hello"), n).await?;
            Ok(())
        })
    };
    // Pools and caches fill with the first ones.
    talk(CONVERSATIONS / 4)?;
    let before = resting()?;
    talk(CONVERSATIONS)?;
    // What warms the server up are conversations, too.
    Ok((rest, growth(before, resting()?, CONVERSATIONS + OPEN_AT_ONCE)))
}
