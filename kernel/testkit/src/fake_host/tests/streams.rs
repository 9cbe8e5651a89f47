//! Call streams: credit in bytes, order, refusal, and the end of a call.

use super::toy::{Ask, Do, DoInline, Toy, ask};
use crate::fake_host::open_call::Caller;
use crate::fake_host::route::Wishes;
use crate::{FakeHost, Opened};
use dispatch_abi::{EMIT_FULL, STREAM_CREDIT_BYTES, SharedBytes};
use dispatch_contracts::fault::CANCELLED;
use dispatch_sdk::Item;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// Frames that hold 1 MB together.
const FRAMES: usize = 256;
const FRAME_BYTES: usize = 4096;

async fn toy() -> Opened {
    FakeHost::new().open::<Toy>("toy", json!({})).await.expect("it opens")
}

fn megabyte() -> Ask {
    Ask { n: FRAMES, bytes: FRAME_BYTES, ..ask("frames") }
}

fn numbers(frames: &[Value]) -> Vec<u64> {
    frames.iter().map(|frame| frame["i"].as_u64().expect("frames are numbered")).collect()
}

#[tokio::test]
async fn a_megabyte_reaches_a_slow_reader_whole_and_in_order() {
    let toy = toy().await;
    let mut stream = toy.stream(Do, &megabyte());
    let mut frames = Vec::new();
    let reply = loop {
        match stream.next().await.expect("no fault") {
            Item::Frame(frame) => frames.push(frame),
            Item::End(reply) => break reply,
        }
        // The callee gets every chance to run ahead, and cannot.
        tokio::task::yield_now().await;
    };
    assert_eq!(numbers(&frames), (0..FRAMES as u64).collect::<Vec<_>>());
    assert_eq!(reply, json!({ "emitted": FRAMES }));
}

#[tokio::test]
async fn a_megabyte_passes_through_an_instance_that_forwards_it() {
    let toy = toy().await;
    let relay = Ask { verb: "toy.v1/do".into(), body: json!(megabyte()), ..ask("relay_frames") };
    let (frames, reply) = toy.stream(Do, &relay).finish().await;
    assert_eq!(numbers(&frames), (0..FRAMES as u64).collect::<Vec<_>>());
    assert_eq!(reply, Ok(json!({ "emitted": FRAMES })));
}

#[tokio::test]
async fn a_frame_is_taken_whole_while_there_is_credit_and_waits_when_there_is_none() {
    const FRAME: u64 = 40_000;
    let host = FakeHost::new();
    host.on_stream("many.v1/emit", |_, _| std::future::pending());
    let caller = Caller::Test { name: "test".into(), frames: Arc::default() };
    let wishes = Wishes { parent_call_id: 0, stream_id: 1, budget_ms: 0, meta: SharedBytes::default() };
    let reply = host.shared().call(caller, None, "many.v1/emit", &wishes, SharedBytes::default());
    let call = host.shared().calls().values().next().cloned().expect("it is open");
    let emit = || call.emit(dispatch_wire::shared(vec![b' '; FRAME as usize])).0;
    assert_eq!(emit(), (STREAM_CREDIT_BYTES - FRAME).cast_signed());
    assert_eq!([emit(), emit()], [0, EMIT_FULL], "the second frame overdraws the credit");
    reply.grant(2 * FRAME - STREAM_CREDIT_BYTES);
    assert_eq!(emit(), EMIT_FULL, "what was overdrawn is paid back first");
    reply.grant(1);
    assert_eq!([emit(), emit()], [0, EMIT_FULL], "one byte of credit takes one frame");
}

#[tokio::test]
async fn a_caller_that_never_grants_leaves_the_callee_waiting_until_it_goes() {
    let toy = toy().await;
    toy.host().set_cancel_grace_ms(60_000);
    let stream = toy.with_budget_ms(100).stream(Do, &megabyte());
    // The budget ends the call: `drained` answers `cancelled`, the callee answers that at once, within the grace.
    let fault = stream.reply_unread().await.expect_err("it cannot end by itself");
    assert_eq!(fault.code, "deadline");
}

#[tokio::test]
async fn without_a_listener_frames_are_dropped_and_the_call_ends() {
    let toy = toy().await;
    assert_eq!(toy.call(Do, &megabyte()).await, Ok(json!({ "emitted": FRAMES })));
}

#[tokio::test]
async fn an_inline_verb_may_not_emit() {
    let toy = toy().await;
    let (frames, reply) = toy.stream(DoInline, &Ask { n: 1, bytes: 1, ..ask("frames") }).finish().await;
    let told =
        toy.host().logs().iter().any(|log| log.record.to_string().contains("is inline and may not emit"));
    assert_eq!((frames.len(), reply.expect_err("refused").code.as_str(), told), (0, CANCELLED, true));
}

#[tokio::test]
async fn a_frame_larger_than_its_bound_is_too_large() {
    let toy = toy().await;
    let large = Ask { n: 1, bytes: dispatch_abi::FRAME_BYTES_MAX, ..ask("frames") };
    let (frames, reply) = toy.stream(Do, &large).finish().await;
    assert_eq!((frames.len(), reply.expect_err("refused").code.as_str()), (0, "too_large"));
}

#[tokio::test]
async fn dropping_a_stream_cancels_its_callee_and_frees_who_waits_for_credit() {
    let host = FakeHost::new();
    let ended = Arc::new(Notify::new());
    host.on_stream("endless.v1/emit", {
        let ended = Arc::clone(&ended);
        move |_, out| {
            let ended = Arc::clone(&ended);
            async move {
                while out.emit(json!("x".repeat(1000))).await.is_ok() {}
                ended.notify_one();
                Ok(Value::Null)
            }
        }
    });
    let toy = host.open::<Toy>("toy", json!({})).await.expect("it opens");
    let reply = toy.call(Do, &Ask { verb: "endless.v1/emit".into(), ..ask("drop_stream") }).await;
    assert_eq!(reply, Ok(json!({ "had_frame": true })));
    tokio::time::timeout(Duration::from_secs(5), ended.notified()).await.expect("the callee is told");
}
