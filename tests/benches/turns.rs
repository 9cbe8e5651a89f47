//! Warm durable turns one after another, each in a new conversation: time, CPU, flushes; and turns with a tool.
//!
//! It must not know how a turn is kept.

use crate::load::{OPEN_AT_ONCE, Talk, Turns, World, all_completed, client, turn_body, turns};
use crate::servers::scratch;
use crate::{Trouble, disk, note, say};
use house::bench::{Figure, Goal, growth};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::time::Duration;

const TURNS: usize = 1_000;
const TOOL_TURNS: usize = 300;
/// How long is waited for flushes that come later.
const REST: Duration = Duration::from_secs(1);

pub(crate) fn run() -> Result<(), Trouble> {
    let world = World::start(&[])?;
    note("turns one after another");
    let body = turn_body("fake-text-20", "hello");
    let host = client(turns(&world.host, &body, TURNS))?;
    all_completed("the host", host.failed)?;
    let floor = client(turns(&world.floor, &body, TURNS))?;
    let commits = disk::commits(world.home.path())?;
    let with_commits = floor.ended.p50() + 3.0 * commits.p50() / 1_000.0;
    let durable = format!(
        "accepted p50 {:.2}, first delta p50 {:.2} ms; a bare commit takes {:.0} µs, so a floor with three of them \
         would take {with_commits:.2} ms",
        host.accepted.p50(),
        host.first.p50(),
        commits.p50()
    );
    say(&Figure::new("warm durable turn, 20 deltas, p50", host.ended.p50(), "ms")
        .beside("the floor", floor.ended.p50())
        .goal(Goal::AtMost(2.0))
        .note(durable));
    say(&Figure::new("warm durable turn, 20 deltas, p99", host.ended.p99(), "ms")
        .beside("the floor", floor.ended.p99())
        .goal(Goal::AtMost(6.0)));
    say(&Figure::new("CPU of a turn and its conversation", host.cpu_ms, "ms")
        .beside("the floor", floor.cpu_ms)
        .goal(Goal::AtMost(1.5)));
    tool_turns(&world, &floor)?;
    drop(world);
    flushes()
}

fn tool_turns(world: &World, floor: &Turns) -> Result<(), Trouble> {
    note("turns with a tool");
    let file = world.home.path().join("notes.txt");
    fs::write(&file, "a line to read\n").map_err(|e| format!("cannot write {}: {e}", file.display()))?;
    let input = json!({ "path": file }).to_string();
    let tools = client(turns(&world.host, &turn_body("fake-tool-read_file", &input), TOOL_TURNS))?;
    all_completed("the host with a tool", tools.failed)?;
    say(&Figure::new("turn with one in-process tool, p50", tools.ended.p50(), "ms")
        .beside("the floor, two turns", 2.0 * floor.ended.p50())
        .goal(Goal::AtMost(4.0))
        .note(format!("p99 {:.1} ms, CPU {:.2} ms", tools.ended.p99(), tools.cpu_ms)));
    Ok(())
}

/// Counts what the host flushes for turns: for conversations with a turn, less for conversations without.
fn flushes() -> Result<(), Trouble> {
    note("flushes, with a tracer");
    let dir = scratch()?;
    let trace = dir.path().join("trace");
    let out = trace.to_string_lossy().into_owned();
    let calls = "trace=fsync,fdatasync,sync_file_range,msync";
    let world = World::start(&["strace", "-f", "-qq", "--seccomp-bpf", "-e", calls, "-o", &out])?;
    let flushed = |turn: Option<&Value>| {
        let before = n_flushes(&trace);
        client(async {
            for _ in 0..TURNS / OPEN_AT_ONCE {
                for mut talk in Talk::open_many(&world.host.server, OPEN_AT_ONCE).await? {
                    if let Some(turn) = turn {
                        talk.turn(turn).await?;
                    }
                }
            }
            Ok(())
        })?;
        // What it does when it has time belongs to it, too.
        std::thread::sleep(REST);
        Ok::<_, Trouble>(n_flushes(&trace) - before)
    };
    let without = flushed(None)?;
    let with = flushed(Some(&turn_body("fake-text-20", "hello")))?;
    let each = growth(without as f64, with as f64, TURNS);
    let counted = format!(
        "{with} calls of fsync and its like over {TURNS} conversations with a turn, {without} over as many without"
    );
    say(&Figure::new("flushes a turn, checkpoints included", each, "").goal(Goal::AtMost(3.0)).note(counted));
    Ok(())
}

fn n_flushes(trace: &Path) -> usize {
    let text = fs::read_to_string(trace).unwrap_or_default();
    // A call that another thread's interrupts stands in two lines.
    text.lines().filter(|line| line.contains("sync") && !line.contains("resumed>")).count()
}
