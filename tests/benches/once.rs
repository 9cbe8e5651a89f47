//! Whole processes: `dispatch --version`, and `dispatch run` of a turn of 20 deltas.
//!
//! It must not know what they do inside.

use crate::process::{children_cpu_ms, command, peak_mb, wall};
use crate::servers::{Install, Model, PROVIDER, scratch};
use crate::timing::ms;
use crate::{Trouble, note, say};
use house::bench::{Figure, Goal, Samples};
use std::process::Command;

const RUNS: usize = 40;
/// Runs whose memory is watched; watching costs time, so they are not timed.
const WATCHED_RUNS: usize = 10;

struct Whole {
    wall: Samples,
    cpu_ms: f64,
    peak_mb: f64,
}

fn measure(mut command: impl FnMut() -> Command) -> Result<Whole, Trouble> {
    // Once for the caches.
    wall(&mut command())?;
    let before = children_cpu_ms();
    let mut samples = Vec::new();
    for _ in 0..RUNS {
        samples.push(ms(wall(&mut command())?));
    }
    let cpu_ms = (children_cpu_ms() - before) / RUNS as f64;
    let mut peak: f64 = 0.0;
    for _ in 0..WATCHED_RUNS {
        peak = peak.max(peak_mb(&mut command())?);
    }
    Ok(Whole { wall: Samples::new(samples), cpu_ms, peak_mb: peak })
}

pub(crate) fn run() -> Result<(), Trouble> {
    note("whole processes");
    let (install, home, model) = (Install::new()?, scratch()?, Model::start()?);
    let nothing = measure(|| command("true"))?;
    let version = measure(|| {
        let mut command = install.dispatch(home.path());
        command.arg("--version");
        command
    })?;
    let turn = measure(|| {
        let mut command = install.dispatch(home.path());
        command.env("DISPATCH_SET__PROVIDER_OPENAI_COMPAT__BASE_URL", model.base_url());
        command.args(["run", "--provider", PROVIDER, "--model", "fake-text-20", "hello"]);
        command
    })?;
    let p99 = |whole: &Whole| format!("p99 {:.1} ms", whole.wall.p99());
    say(&Figure::new("`dispatch --version`, p50", version.wall.p50(), "ms")
        .beside("`true`", nothing.wall.p50())
        .goal(Goal::AtMost(5.0))
        .note(p99(&version)));
    let bare = "`dispatch --version`";
    say(&Figure::new("`dispatch run`, 20 deltas, wall p50", turn.wall.p50(), "ms")
        .beside(bare, version.wall.p50())
        .goal(Goal::AtMost(60.0))
        .note(p99(&turn)));
    say(&Figure::new("`dispatch run`, 20 deltas, CPU", turn.cpu_ms, "ms")
        .beside(bare, version.cpu_ms)
        .goal(Goal::AtMost(50.0)));
    // 45 MiB.
    say(&Figure::new("`dispatch run`, 20 deltas, peak memory", turn.peak_mb, "MB")
        .beside(bare, version.peak_mb)
        .goal(Goal::AtMost(47.2)));
    drop(model.running);
    Ok(())
}
