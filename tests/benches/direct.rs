//! Durable turns of the default build through its ops, in this process: everything but a transport.
//!
//! It must not know how a turn is kept. Beside the served figures it tells what the transport costs.

use crate::kernel::{Booted, Op, call};
use crate::process::cpu_ms;
use crate::servers::{Model, PROVIDER, scratch};
use crate::timing::ms;
use crate::{Trouble, disk, note, say};
use dispatch_kernel::{Attached, Frame};
use house::bench::{Figure, Goal, Samples};
use serde_json::{Value, json};
use std::time::Instant;

const TURNS: usize = 1_000;
const WARM_UP: usize = 50;

pub(crate) fn run() -> Result<(), Trouble> {
    let model = Model::start()?;
    let base_url = model.base_url();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|e| format!("cannot start a runtime: {e}"))?;
    let measured = runtime.spawn(measure(base_url));
    runtime.block_on(measured).map_err(|e| format!("the measuring task failed: {e}"))?
}

async fn measure(base_url: String) -> Result<(), Trouble> {
    let build = house::workspace_dir().join("manifests/default.toml");
    let build = format!("include = [{:?}]\n", build.to_string_lossy());
    let booted = Booted::tuned(&build, |plan| {
        for instance in plan.instances.iter_mut().filter(|instance| instance.id.ends_with(PROVIDER)) {
            instance.config = json!({ "base_url": base_url, "api_key": "bench" });
        }
    })
    .await?;
    note("durable turns without a transport");
    for _ in 0..WARM_UP {
        turn(&booted.host).await?;
    }
    let (mut accepted, mut ended) = (Vec::new(), Vec::new());
    let before = cpu_ms(std::process::id());
    for _ in 0..TURNS {
        let (accepted_ms, ended_ms) = turn(&booted.host).await?;
        accepted.push(accepted_ms);
        ended.push(ended_ms);
    }
    let cpu = (cpu_ms(std::process::id()) - before) / TURNS as f64;
    booted.stop().await;
    let commits = disk::commits(scratch()?.path())?;
    let (accepted, ended) = (Samples::new(accepted), Samples::new(ended));
    let (bare, floor_ms) = ("three bare commits", 3.0 * commits.p50() / 1_000.0);
    say(&Figure::new("durable turn without a transport, 20 deltas, p50", ended.p50(), "ms")
        .beside(bare, floor_ms)
        .goal(Goal::AtMost(2.0))
        .note(format!("accepted p50 {:.2} ms", accepted.p50())));
    say(&Figure::new("durable turn without a transport, p99", ended.p99(), "ms")
        .beside(bare, 3.0 * commits.p99() / 1_000.0)
        .goal(Goal::AtMost(6.0)));
    say(&Figure::new("CPU of a turn without a transport", cpu, "ms").goal(Goal::AtMost(1.5)));
    Ok(())
}

/// One turn in a new conversation: `(ms to the ack, ms to the end)`.
async fn turn(host: &Attached) -> Result<(f64, f64), Trouble> {
    let params = json!({ "input": "hello", "provider": PROVIDER, "model": "fake-text-20", "cwd": "/" });
    let began = Instant::now();
    let started = call(host, Op, "turns.start", &params).await?;
    let accepted_ms = ms(began.elapsed());
    let watch = json!({
        "conversation_id": started["conversation_id"],
        "after": started["cursor"],
        "until_turn": started["turn_id"],
    });
    let mut watched = host.stream_named(Op, "turns.watch", &watch).map_err(|fault| fault.to_string())?;
    let mut last = Value::Null;
    while let Frame::Frame(event) = watched.next().await.map_err(|fault| fault.to_string())? {
        last = event;
    }
    match last["data"]["status"] == "completed" {
        true => Ok((accepted_ms, ms(began.elapsed()))),
        false => Err(format!("a turn did not complete: {last}")),
    }
}
