//! What everything else is compared with, by itself: the model, the floor before it, the client's own cost, the disk.
//!
//! It must not know the host.

use crate::flood::flood;
use crate::http::{Connection, Server};
use crate::load::client;
use crate::many::load;
use crate::process::cpu_ms;
use crate::servers::{Model, floor, scratch};
use crate::timing::ms;
use crate::{Trouble, disk, note, say};
use house::bench::{Figure, Samples};
use serde_json::json;
use std::time::Instant;

const DELTAS: usize = 20_000;
const REPEATS: usize = 5;

pub(crate) fn run() -> Result<(), Trouble> {
    let model = Model::start()?;
    let served = floor(&model)?;
    note("20,000 deltas straight from the model");
    let straight = client(straight(&Server { address: model.address, token: None }))?;
    let own_before = cpu_ms(std::process::id());
    let flooded = flood("the floor", &served)?;
    // The turns with stamps are read as well.
    let own_us = (cpu_ms(std::process::id()) - own_before) * 1_000.0 / (2 * REPEATS * DELTAS) as f64;
    say(&Figure::new("floor: deltas of the model a second, p50", flooded.rate.p50(), "1/s")
        .beside("bytes read straight from the model, not parsed", straight));
    say(&Figure::new("floor: CPU, each delta", flooded.cpu_us, "µs").beside("the client itself", own_us));
    let many = load("the floor", &served)?;
    say(&Figure::new("floor: turn, p99, of 200 at once", many.turn_s.p99(), "s")
        .beside("the model's pauses", 1.99));
    say(&Figure::new("floor: delta, model → client, p99, of 200 turns at once", many.delta_ms.p99(), "ms"));
    say(&Figure::new("floor: CPU of 200 turns at once", many.cpu_s, "s")
        .beside("the client itself", many.client_cpu_s));
    let commits = disk::commits(scratch()?.path())?;
    say(&Figure::new("a bare SQLite commit, fully synced, p50", commits.p50(), "µs")
        .note(format!("p99 {:.0} µs", commits.p99())));
    Ok(())
}

/// Deltas a second without anything between model and client.
async fn straight(server: &Server) -> Result<f64, Trouble> {
    let message = json!({ "role": "user", "content": "hello" });
    let body = json!({ "model": format!("fake-text-{DELTAS}"), "stream": true, "messages": [message] });
    let body = body.to_string();
    let mut rates = Vec::new();
    for _ in 0..REPEATS {
        let connection = Connection::open(server).await?;
        let began = Instant::now();
        let mut answer = connection.open_stream("POST", "/v1/chat/completions", &body).await?;
        while answer.more().await? {
            answer.text.clear();
        }
        rates.push(DELTAS as f64 / ms(began.elapsed()) * 1_000.0);
    }
    Ok(Samples::new(rates).p50())
}
