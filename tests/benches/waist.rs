//! Calls and frames over real libraries, beside the same over bare tokio.
//!
//! It must not know how the router works.

use crate::kernel::{Booted, EchoInline, EchoSpawned, Flood, Relay, RelayCalls, call};
use crate::timing::{IDLE_SAMPLES, hot, idle, of_ns, us};
use crate::{Trouble, note, points, say};
use dispatch_kernel::{Attached, Frame};
use house::bench::{Figure, Goal, Samples};
use serde_json::{Value, json};
use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::mpsc;

const BUILD: &str = r#"
[[extension]]
id = "toy-bench"
path = "BIN/libtoy_bench.so"

[[extension]]
id = "second"
from = "toy-bench"
path = "BIN/libtoy_bench.so"
"#;

const TOY: &str = "toy-bench";
const SECOND: &str = "second";
/// Calls without a pause.
const HOT_CALLS: usize = 50_000;
/// Frames of a flood.
const FRAMES: u64 = 50_000;
/// Frames that come one at a time.
const SPACED_FRAMES: u64 = 1_000;

pub(crate) fn run() -> Result<(), Trouble> {
    let host_runtime = runtime(2)?;
    // What an instance has: a runtime of its own with one worker.
    let other = runtime(1)?;
    let there = other.handle().clone();
    // Measured in a task, as the host's callers are; `block_on` would poll on a thread of its own.
    let measured = host_runtime.spawn(measure(there));
    let done = host_runtime.block_on(measured).map_err(|e| format!("the measuring task failed: {e}"))?;
    other.shutdown_background();
    done
}

fn runtime(workers: usize) -> Result<Runtime, Trouble> {
    let built = Builder::new_multi_thread().worker_threads(workers).enable_all().build();
    built.map_err(|e| format!("cannot start a runtime: {e}"))
}

async fn measure(there: Handle) -> Result<(), Trouble> {
    let booted = Booted::new(BUILD).await?;
    let host = &booted.host;
    calls(host, &there).await?;
    frames_one_at_a_time(host, &there).await?;
    frames_in_a_flood(host, &there).await?;
    points::measure().await;
    booted.stop().await;
    Ok(())
}

/// A plain function behind a box, which is what any trait with async methods costs.
fn boxed_echo(body: Vec<u8>) -> Pin<Box<dyn Future<Output = Vec<u8>> + Send>> {
    Box::pin(async move { body })
}

fn encode(value: &Value) -> Vec<u8> {
    serde_json::to_vec(value).expect("JSON")
}

fn decode(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).expect("JSON")
}

async fn calls(host: &Attached, there: &Handle) -> Result<(), Trouble> {
    note("calls, one at a time");
    let body = json!({});
    let bare = idle(|| async { decode(&boxed_echo(encode(&body)).await) }).await;
    let bare_spawned = idle(|| async {
        let bytes = encode(&body);
        decode(&there.spawn(boxed_echo(bytes)).await.expect("nobody panics"))
    })
    .await;
    let inline = idle(|| call(host, EchoInline, TOY, &body)).await;
    let spawned = idle(|| call(host, EchoSpawned, TOY, &body)).await;
    let bare_hot = hot(HOT_CALLS, || async { decode(&boxed_echo(encode(&body)).await) }).await;
    let inline_hot = hot(HOT_CALLS, || call(host, EchoInline, TOY, &body)).await;
    let spawned_hot = hot(HOT_CALLS, || call(host, EchoSpawned, TOY, &body)).await;
    let plan = json!({ "target": SECOND, "calls": IDLE_SAMPLES, "gap_ms": 1 });
    let between = of_ns(&call(host, RelayCalls, TOY, &plan).await?["call_ns"]);
    let plan = json!({ "target": SECOND, "calls": IDLE_SAMPLES, "gap_ms": 1, "spawned": true });
    let between_spawned = of_ns(&call(host, RelayCalls, TOY, &plan).await?["call_ns"]);

    let boxed = "a boxed async call";
    let task = "a task on another runtime";
    let p99 = |samples: &Samples| format!("p99 {:.1} µs", samples.p99());
    let figure = |what: &str, samples: &Samples| Figure::new(what, samples.p50(), "µs").note(p99(samples));
    say(&figure("host → extension, inline, idle p50", &inline)
        .beside(boxed, bare.p50())
        .goal(Goal::AtMost(1.5)));
    say(&figure("host → extension, spawned, idle p50", &spawned)
        .beside(task, bare_spawned.p50())
        .goal(Goal::AtMost(8.0)));
    say(&figure("host → extension, inline, one directly after another, p50", &inline_hot)
        .beside(boxed, bare_hot.p50()));
    say(&figure("host → extension, spawned, one directly after another, p50", &spawned_hot)
        .beside(task, bare_spawned.p50()));
    say(&figure("extension → extension, inline, idle p50", &between).beside(boxed, bare.p50()));
    say(&figure("extension → extension, spawned, idle p50", &between_spawned)
        .beside(task, bare_spawned.p50()));
    Ok(())
}

/// A frame like the toy's.
fn frame(n: u64) -> Vec<u8> {
    encode(&json!({ "n": n, "at": now_ns() }))
}

#[expect(
    clippy::disallowed_methods,
    reason = "a frame is timed from one library to another: both read one clock"
)]
fn now_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}

fn way_us(bytes: &[u8]) -> f64 {
    now_ns().saturating_sub(decode(bytes)["at"].as_u64().unwrap_or(0)) as f64 / 1_000.0
}

/// Sends frames from another runtime over a channel, and reads them here: `(µs of each send, µs of each way)`.
async fn bare_frames(there: &Handle, frames: u64, gap: Duration) -> (Samples, Samples) {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let sending = there.spawn(async move {
        let mut send_us = Vec::new();
        for n in 0..frames {
            if !gap.is_zero() {
                tokio::time::sleep(gap).await;
            }
            let began = Instant::now();
            // The reader reads to the end.
            let _ = sender.send(frame(n));
            send_us.push(us(began.elapsed()));
        }
        send_us
    });
    let mut way = Vec::new();
    while let Some(bytes) = receiver.recv().await {
        way.push(way_us(&bytes));
    }
    (Samples::new(sending.await.unwrap_or_default()), Samples::new(way))
}

async fn frames_one_at_a_time(host: &Attached, there: &Handle) -> Result<(), Trouble> {
    note("frames, one at a time");
    let (send, way) = bare_frames(there, SPACED_FRAMES, Duration::from_millis(1)).await;
    let plan = json!({ "frames": SPACED_FRAMES, "gap_ms": 1 });
    let (emit, receipt) = flood(host, &plan).await?;
    let relayed = call(host, Relay, TOY, &with(&plan, "target", json!(SECOND))).await?;
    let (emit_between, receipt_between) = (of_ns(&relayed["reply"]["emit_ns"]), of_ns(&relayed["way_ns"]));

    let channel = "a tokio channel, same JSON";
    let figure = |what: &str, samples: &Samples| {
        Figure::new(what, samples.p50(), "µs").note(format!("p99 {:.1} µs", samples.p99()))
    };
    say(&figure("frame to the host, at return of `emit`, p50", &emit).beside(channel, send.p50()));
    say(&figure("frame to the host, at receipt, p50", &receipt).beside(channel, way.p50()));
    say(&figure("frame to an extension, at return of `emit`, p50", &emit_between).beside(channel, send.p50()));
    say(&figure("frame to an extension, at receipt, p50", &receipt_between).beside(channel, way.p50()));
    Ok(())
}

async fn frames_in_a_flood(host: &Attached, there: &Handle) -> Result<(), Trouble> {
    note("frames, in a flood");
    let each = |began: Instant| us(began.elapsed()) / FRAMES as f64;
    let began = Instant::now();
    bare_frames(there, FRAMES, Duration::ZERO).await;
    let bare = each(began);
    let plan = json!({ "frames": FRAMES });
    let began = Instant::now();
    flood(host, &plan).await?;
    let to_host = each(began);
    let began = Instant::now();
    call(host, Relay, TOY, &with(&plan, "target", json!(SECOND))).await?;
    let between = each(began);
    let channel = "a tokio channel, same JSON";
    say(&Figure::new("frame to the host, each of 50,000", to_host, "µs").beside(channel, bare));
    say(&Figure::new("frame to an extension, each of 50,000", between, "µs").beside(channel, bare));
    Ok(())
}

fn with(plan: &Value, key: &str, value: Value) -> Value {
    let mut plan = plan.clone();
    plan[key] = value;
    plan
}

/// Reads a flood of the toy as the host: `(µs of each emit, µs of each way)`.
async fn flood(host: &Attached, plan: &Value) -> Result<(Samples, Samples), Trouble> {
    let mut call = host.stream_named(Flood, TOY, plan).map_err(|fault| fault.to_string())?;
    let mut way = Vec::new();
    loop {
        match call.next().await.map_err(|fault| fault.to_string())? {
            Frame::Frame(frame) => {
                let at = frame["at"].as_u64().unwrap_or(0);
                way.push(now_ns().saturating_sub(at) as f64 / 1_000.0);
            }
            Frame::End(reply) => return Ok((of_ns(&reply["emit_ns"]), Samples::new(way))),
        }
    }
}
