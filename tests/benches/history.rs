//! A history of 1 MB on its way from the store over the orchestrator and the kernel to a provider, all in one process.
//!
//! It must not know how the history is kept. The store is in memory: what is measured is the way, not the disk.

use crate::kernel::{Booted, Op, call};
use crate::timing::ms;
use crate::{Trouble, note, say};
use dispatch_kernel::{Attached, Frame};
use house::bench::{Figure, Goal, Samples};
use serde_json::{Value, json};
use std::time::Instant;

const BUILD: &str = r#"
[[extension]]
id = "storage-memory"

[[extension]]
id = "conversation-store"

[[extension]]
id = "orchestrator"

[[extension]]
id = "toy-bench"
"#;

/// Turns that make the history, and bytes of text that each adds.
const MAKING_TURNS: usize = 20;
const TURN_TEXT_BYTES: usize = 52_000;
/// Turns that are measured.
const TURNS: usize = 40;

pub(crate) fn run() -> Result<(), Trouble> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|e| format!("cannot start a runtime: {e}"))?;
    let measured = runtime.spawn(measure());
    runtime.block_on(measured).map_err(|e| format!("the measuring task failed: {e}"))?
}

async fn measure() -> Result<(), Trouble> {
    let booted = Booted::new(BUILD).await?;
    let host = &booted.host;
    note("making a conversation of 1 MB");
    let mut long: Option<String> = None;
    for _ in 0..MAKING_TURNS {
        let turn = turn(host, long.as_deref(), &format!("text-{TURN_TEXT_BYTES}")).await?;
        long = Some(turn.conversation_id);
    }
    let short = turn(host, None, "text-2").await?.conversation_id;
    note("turns");
    let (mut on_long, mut on_short) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        on_short.push(turn(host, Some(&short), "text-2").await?.first_ms);
        on_long.push(turn(host, long.as_deref(), "text-2").await?.first_ms);
    }
    let (on_short, on_long) = (Samples::new(on_short), Samples::new(on_long));
    let bare = copy_and_parse();
    let baseline = "copied and parsed once";
    say(&Figure::new("turn over 1 MB, start → first delta, p50", on_long.p50(), "ms")
        .beside(baseline, bare)
        .goal(Goal::AtMost(15.0))
        .note(format!("p99 {:.2} ms", on_long.p99())));
    say(&Figure::new("the same over an empty history, p50", on_short.p50(), "ms").beside(baseline, bare));
    let each = (on_long.p50() - on_short.p50()).max(0.0);
    say(&Figure::new("1 MB of history, store → provider", each, "ms").beside(baseline, bare));
    booted.stop().await;
    Ok(())
}

struct Turn {
    conversation_id: String,
    first_ms: f64,
}

/// One turn to its end.
async fn turn(host: &Attached, conversation_id: Option<&str>, model: &str) -> Result<Turn, Trouble> {
    let mut params = json!({ "input": "go on", "provider": "toy-bench", "model": model, "cwd": "/" });
    if let Some(id) = conversation_id {
        params["conversation_id"] = json!(id);
    }
    let began = Instant::now();
    let started = call(host, Op, "turns.start", &params).await?;
    let watch = json!({
        "conversation_id": started["conversation_id"],
        "after": started["cursor"],
        "until_turn": started["turn_id"],
    });
    let mut watched = host.stream_named(Op, "turns.watch", &watch).map_err(|fault| fault.to_string())?;
    let mut first_ms = None;
    let mut ended = Value::Null;
    loop {
        match watched.next().await.map_err(|fault| fault.to_string())? {
            Frame::Frame(event) if event["type"] == "text_delta" => {
                first_ms.get_or_insert_with(|| ms(began.elapsed()));
            }
            Frame::Frame(event) if event["type"] == "turn_ended" => ended = event["data"].clone(),
            Frame::Frame(_) => {}
            Frame::End(_) => break,
        }
    }
    match (first_ms, ended["status"] == "completed") {
        (Some(first_ms), true) => {
            let conversation_id = started["conversation_id"].as_str().unwrap_or_default().to_owned();
            Ok(Turn { conversation_id, first_ms })
        }
        _ => Err(format!("a turn ended without text, or not completed: {ended}")),
    }
}

/// The same messages as one JSON text, copied and parsed: what even the barest host would do once; in ms.
fn copy_and_parse() -> f64 {
    let text = "words ".repeat(TURN_TEXT_BYTES / 6 + 1);
    let message = json!({ "role": "assistant", "parts": [{ "type": "text", "text": text }] });
    let history = serde_json::to_vec(&vec![message; MAKING_TURNS]).expect("JSON");
    let once = || {
        let began = Instant::now();
        let copy = std::hint::black_box(history.clone());
        let parsed: Value = serde_json::from_slice(&copy).expect("JSON");
        std::hint::black_box(parsed);
        ms(began.elapsed())
    };
    Samples::new((0..TURNS).map(|_| once()).collect()).p50()
}
