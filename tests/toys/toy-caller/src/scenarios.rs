//! The scenarios: each shows one rule of the waist and answers what was seen.

use crate::Caller;
use crate::verbs::{
    Abort, Absent, Block, Bounce, Echo, Flood, Hang, InlineEmit, Panic, Partial, Seen, Silent, Unlisted,
};
use dispatch_sdk::contracts::Empty;
use dispatch_sdk::contracts::kernel::Health;
use dispatch_sdk::contracts::turn::BoundaryReason;
use dispatch_sdk::{Call, Fault, Host, Item, Meta, Verb};
use serde_json::{Value, json};
use std::time::Duration;

/// Most looks at something that must become true.
const LOOKS_MAX: u32 = 200;

pub(crate) async fn play(caller: &Caller, call: &Call, scenario: &str) -> Result<Value, Fault> {
    let host = call.host();
    match scenario {
        "echo" => host.call(Echo, &json!({ "a": [1, "é"] })).await,
        "meta" => {
            let meta = Meta {
                actor: "user:mallory".to_owned(),
                conversation_id: Some("c-1".to_owned()),
                ..Meta::default()
            };
            caller.host.with_meta(&meta).call(Echo, &json!({})).await
        }
        "flood" => flood(&host).await,
        "starve" => starve(&host).await,
        "partial" => partial(&host).await,
        "hang" => hang(&host).await,
        "silent" => silent(&host).await,
        "panic" => panics(&host).await,
        "inline-emit" => host.stream(InlineEmit, &json!({})).finish().await,
        "block" => block(&host).await,
        "abort" => host.call(Abort, &json!({})).await,
        "exit" => host.call(Abort, &json!({ "exit": true })).await,
        "unlisted" => host.call(Unlisted, &json!({})).await,
        "absent" => host.call(Absent, &json!({})).await,
        "unknown" => {
            let reply = host.call_raw("toy.v1/nope", b"{}".to_vec()).await?;
            Ok(serde_json::from_slice(&reply).unwrap_or_default())
        }
        "bounce" => host.call(Bounce, &json!({ "left": 5 })).await,
        "too-deep" => host.call(Bounce, &json!({ "left": 40 })).await,
        "overloaded" => overloaded(&host).await,
        "topics" => topics(&host).await,
        "overflow" => {
            crate::turn::run(caller, &host, vec![BoundaryReason::Start, BoundaryReason::Overflow]).await
        }
        "overflow-unasked" => crate::turn::run(caller, &host, Vec::new()).await,
        other => Ok(json!({ "no such scenario": other })),
    }
}

async fn flood(host: &Host) -> Result<Value, Fault> {
    let mut stream = host.stream(Flood, &json!({ "frames": 400, "bytes": 4096 }));
    let mut next = 0;
    loop {
        match stream.next().await? {
            Item::Frame(frame) => {
                if frame["n"] != next {
                    return Ok(json!({ "out of order": frame["n"], "expected": next }));
                }
                next += 1;
                if next % 50 == 0 {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
            Item::End(reply) => return Ok(json!({ "frames": next, "reply": reply })),
        }
    }
}

/// Reads one frame, then nothing more: the callee must stop at the credit and end when the stream is dropped.
async fn starve(host: &Host) -> Result<Value, Fault> {
    let before = host.call(Seen, &json!({})).await?["emitted"].as_u64().unwrap_or(0);
    let mut stream = host.stream(Flood, &json!({ "frames": 100_000, "bytes": 1000 }));
    stream.next().await?;
    let mut emitted = 0;
    // It has stopped when two looks in a row show the same.
    for _ in 0..LOOKS_MAX {
        host.sleep(Duration::from_millis(20)).await;
        let now = host.call(Seen, &json!({})).await?["emitted"].as_u64().unwrap_or(0) - before;
        if now == emitted && now > 0 {
            break;
        }
        emitted = now;
    }
    drop(stream);
    Ok(json!({ "stopped at the credit": emitted < 200, "calls left open": open_calls_settle(host).await? }))
}

/// Waits until only this command's own calls are open.
async fn open_calls_settle(host: &Host) -> Result<u64, Fault> {
    let mut open = u64::MAX;
    for _ in 0..LOOKS_MAX {
        // The command and this very call are open.
        open = host.call(Health, &Empty {}).await?.calls_open - 2;
        if open == 0 {
            break;
        }
        host.sleep(Duration::from_millis(20)).await;
    }
    Ok(open)
}

async fn partial(host: &Host) -> Result<Value, Fault> {
    let mut stream = host.with_budget_ms(100).stream(Partial, &json!({}));
    let mut frames = Vec::new();
    loop {
        match stream.next().await? {
            Item::Frame(frame) => frames.push(frame),
            Item::End(reply) => return Ok(json!({ "frames": frames, "reply": reply })),
        }
    }
}

async fn hang(host: &Host) -> Result<Value, Fault> {
    let fault = fault_of(host.with_budget_ms(50), Hang).await;
    let after_deadline = dropped_settles(host, 1).await?;
    let mut stream = host.stream(Hang, &json!({}));
    stream.next().await?;
    drop(stream);
    let open = open_calls_settle(host).await?;
    let after_drop = dropped_settles(host, 2).await?;
    Ok(json!({ "fault": fault, "dropped": [after_deadline, after_drop], "calls left open": open }))
}

/// Waits until so many futures of `hang` were dropped; an abandoned task is dropped on the callee's own thread.
async fn dropped_settles(host: &Host, expected: u64) -> Result<u64, Fault> {
    let mut dropped = 0;
    for _ in 0..LOOKS_MAX {
        dropped = host.call(Seen, &json!({})).await?["dropped"].as_u64().unwrap_or(0);
        if dropped >= expected {
            break;
        }
        host.sleep(Duration::from_millis(10)).await;
    }
    Ok(dropped)
}

async fn silent(host: &Host) -> Result<Value, Fault> {
    let mut stream = host.stream(Silent, &json!({}));
    let first = match stream.next().await? {
        Item::Frame(frame) | Item::End(frame) => frame,
    };
    let end = stream.next().await.map(|_| ()).map_err(|fault| fault.code);
    Ok(json!({ "first": first, "end": end.err() }))
}

async fn fault_of<V: Verb<Params = Value>>(host: Host, verb: V) -> Option<String> {
    host.stream(verb, &json!({})).finish().await.err().map(|fault| fault.code)
}

async fn panics(host: &Host) -> Result<Value, Fault> {
    let poll = host.call(Panic, &json!({ "place": "poll" })).await.err().map(|fault| fault.message);
    let end = host.call(Panic, &json!({ "place": "end" })).await.err().map(|fault| fault.code);
    let mut stream = host.stream(Panic, &json!({ "place": "drop" }));
    stream.next().await?;
    drop(stream);
    let open = open_calls_settle(host).await?;
    let alive = host.call(Echo, &json!("alive")).await?["params"].clone();
    Ok(json!({ "poll": poll, "end": end, "calls left open": open, "then": alive }))
}

/// A callee that blocks its own runtime does not keep its inline verbs, or anybody else, from answering.
async fn block(host: &Host) -> Result<Value, Fault> {
    let params = json!({ "block_ms": 400 });
    let blocked = std::pin::pin!(host.call(Block, &params));
    let echoes = std::pin::pin!(async {
        for n in 0..20 {
            host.call(Echo, &json!(n)).await?;
        }
        Ok::<_, Fault>(())
    });
    let mut order = Vec::new();
    let (mut blocked, mut echoes) = (Some(blocked), Some(echoes));
    while blocked.is_some() || echoes.is_some() {
        tokio::select! {
            done = async { blocked.as_mut().expect("guarded").await }, if blocked.is_some() => {
                done?;
                blocked = None;
                order.push("block");
            }
            done = async { echoes.as_mut().expect("guarded").await }, if echoes.is_some() => {
                done?;
                echoes = None;
                order.push("echoes");
            }
        }
    }
    Ok(json!({ "ended in order": order }))
}

/// The callee has two slots: a third call is refused at once.
async fn overloaded(host: &Host) -> Result<Value, Fault> {
    let mut first = host.stream(Partial, &json!({}));
    let mut second = host.stream(Partial, &json!({}));
    first.next().await?;
    second.next().await?;
    let refused = host.call(Echo, &json!({})).await.err();
    let refused = refused.map(|fault| json!({ "code": fault.code, "detail": fault.detail }));
    drop((first, second));
    let open = open_calls_settle(host).await?;
    let then = host.call(Echo, &json!("again")).await?["params"].clone();
    Ok(json!({ "refused": refused, "calls left open": open, "then": then }))
}

/// One notification is being handled and four wait; of ten the rest is missed, and that is said.
async fn topics(host: &Host) -> Result<Value, Fault> {
    host.publish("another.ping", &"in another one's name")?;
    for n in 0..10 {
        host.publish("toy-caller.ping", &n)?;
        if n == 0 {
            // The first must be out of the queue before the rest comes, or the count depends on luck.
            host.sleep(Duration::from_millis(100)).await;
        }
    }
    host.call(Seen, &json!({ "let_topics": 100 })).await?;
    let mut seen = Value::Null;
    for _ in 0..LOOKS_MAX {
        seen = host.call(Seen, &json!({})).await?["topics"].clone();
        if seen.as_array().is_some_and(|rows| rows.len() == 5) {
            break;
        }
        host.sleep(Duration::from_millis(10)).await;
    }
    Ok(seen)
}
