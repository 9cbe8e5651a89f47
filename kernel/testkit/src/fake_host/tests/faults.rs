//! Panics, refused ids, failed starts, and what a host gives: clock, ids, records.

use super::toy::{Ask, Do, DoInline, Toy, ask};
use crate::fake_host::CLOCK_START_MS;
use crate::fake_host::handle::host_object;
use crate::{FakeHost, Opened, Published};
use dispatch_abi::abi_stable::std_types::RResult;
use dispatch_abi::{CallOpts, EMIT_OVER, SharedBytes};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

async fn toy() -> Opened {
    FakeHost::new().open::<Toy>("toy", json!({})).await.expect("it opens")
}

#[tokio::test]
async fn a_panic_in_entry_poll_or_drop_is_a_fault_and_the_instance_lives() {
    let toy = toy().await;
    for act in ["panic", "panic_poll", "panic_drop"] {
        let spawned = toy.call(Do, &ask(act)).await.expect_err("it panics");
        let inline = toy.call(DoInline, &ask(act)).await.expect_err("it panics");
        assert_eq!([spawned.code.as_str(), inline.code.as_str()], ["panicked", "panicked"], "{act}");
        assert!(spawned.message.contains("told to panic"), "{spawned}");
    }
    assert_eq!(toy.call(Do, &Ask { body: json!(1), ..ask("echo") }).await, Ok(json!(1)));
}

#[tokio::test]
async fn a_panic_in_the_drop_of_a_cancelled_call_stays_inside() {
    let toy = toy().await;
    toy.host().set_cancel_grace_ms(10);
    let spawned = toy.stream(Do, &ask("panic_late_drop"));
    spawned.cancel();
    assert_eq!(spawned.finish().await.1.expect_err("it never answers").code, "cancelled");
    let inline = toy.stream(DoInline, &ask("panic_late_drop"));
    inline.cancel();
    assert_eq!(inline.finish().await.1.expect_err("it never answers").code, "cancelled");
    assert_eq!(toy.call(Do, &Ask { body: json!(1), ..ask("echo") }).await, Ok(json!(1)));
}

#[tokio::test]
async fn tokio_is_there_for_spawned_code_and_not_for_inline_code() {
    let toy = toy().await;
    let inline = toy.call(DoInline, &ask("tokio")).await.expect_err("there is no runtime");
    assert_eq!(inline.code, "panicked");
    assert_eq!(toy.call(Do, &ask("tokio")).await, Ok(json!(null)));
}

#[tokio::test]
async fn a_call_out_of_a_call_that_is_not_open_or_not_its_own_is_bad() {
    let toy = toy().await;
    let host = toy.host().clone();
    let (began, open_id) = (Arc::new(Notify::new()), Arc::new(std::sync::OnceLock::new()));
    host.on_stream("signal.v1/wait", {
        let (began, open_id) = (Arc::clone(&began), Arc::clone(&open_id));
        move |_, out| {
            open_id.set(out.call_id()).expect("it is called once");
            began.notify_one();
            async move {
                out.cancelled().await;
                Ok(json!(null))
            }
        }
    });
    let stream = toy.stream(Do, &Ask { verb: "signal.v1/wait".into(), ..ask("relay") });
    began.notified().await;
    let of_the_fake = *open_id.get().expect("it has begun");
    let object = host_object(host.shared(), "toy", &Arc::default());
    for parent_call_id in [of_the_fake, 1_000_000] {
        let opts = CallOpts { parent_call_id, stream_id: 0, budget_ms: 0, meta: SharedBytes::default() };
        let reply = object.call("signal.v1/wait".into(), opts, SharedBytes::default()).await;
        let RResult::RErr(fault) = reply else { panic!("call {parent_call_id} is not the toy's") };
        assert_eq!(fault.code.as_str(), "bad_call");
        assert_eq!(object.emit(parent_call_id, SharedBytes::default()), EMIT_OVER);
        assert!(object.is_cancelled(parent_call_id));
        assert!(
            matches!(object.drained(parent_call_id).await, RResult::RErr(fault) if fault.code == "cancelled")
        );
    }
    drop(stream);
}

#[tokio::test]
async fn a_call_in_the_name_of_an_instance_needs_it_open() {
    let toy = toy().await;
    let object = host_object(toy.host().shared(), "ghost", &Arc::default());
    let opts = CallOpts { parent_call_id: 0, stream_id: 0, budget_ms: 0, meta: SharedBytes::default() };
    let reply = object.call("toy.v1/do".into(), opts, SharedBytes::default()).await;
    assert!(matches!(reply, RResult::RErr(fault) if fault.code == "unavailable"));
}

#[tokio::test]
async fn what_fails_in_open_or_start_is_not_open_afterwards() {
    let host = FakeHost::new();
    let open =
        async |how: &str| host.open::<Toy>("toy", json!({ "open": how })).await.err().map(|fault| fault.code);
    assert_eq!(open("fault").await.as_deref(), Some("invalid"));
    assert_eq!(open("panic").await.as_deref(), Some("panicked"));
    assert_eq!(open("fail_start").await.as_deref(), Some("invalid"));
    assert_eq!(open("well").await, None);
    assert_eq!(open("well").await.as_deref(), Some("invalid"), "an id is open once");
}

#[tokio::test]
async fn a_stopped_instance_serves_nothing_and_can_be_opened_again() {
    let host = FakeHost::new();
    let toy = host.open::<Toy>("toy", json!({})).await.expect("it opens");
    let other = host.open::<Toy>("other", json!({})).await.expect("it opens");
    host.bind("toy.v1", "toy");
    other.stop().await.expect("it stops");
    let fault = other.call(Do, &ask("echo")).await.expect_err("it has been stopped");
    assert_eq!(fault.code, "unavailable");
    toy.call(Do, &ask("echo")).await.expect("the other one lives");
    host.open::<Toy>("other", json!({})).await.expect("the id is free again");
}

#[tokio::test]
async fn the_clock_stands_until_it_is_advanced_and_ids_count_up() {
    let toy = toy().await;
    let said = Ask { body: json!("x"), ..ask("publish") };
    let id = |n: u32| format!("00000000-0000-7000-8000-{n:012}");
    assert_eq!(toy.call(Do, &said).await, Ok(json!({ "id": id(1), "now_ms": CLOCK_START_MS })));
    toy.host().advance_ms(1_500);
    assert_eq!(toy.call(Do, &said).await, Ok(json!({ "id": id(2), "now_ms": CLOCK_START_MS + 1_500 })));
    let published = Published { instance: "toy".into(), topic: "toy.said".into(), data: json!("x") };
    assert_eq!(toy.host().published(), [published.clone(), published]);
}

#[tokio::test]
async fn a_sleep_is_real_and_moves_the_clock_by_as_much() {
    let toy = toy().await;
    let sleep = Ask { ms: 20, ..ask("sleep") };
    let began = std::time::Instant::now();
    // Inline, on a thread without tokio: the host brings its own runtime along.
    assert_eq!(toy.call(DoInline, &sleep).await, Ok(json!({ "now_ms": CLOCK_START_MS + 20 })));
    assert!(began.elapsed() >= Duration::from_millis(20));
}

#[tokio::test]
async fn on_a_manual_clock_a_sleep_ends_when_the_clock_is_moved_past_it() {
    let host = FakeHost::with_manual_clock();
    let toy = host.open::<Toy>("toy", json!({})).await.expect("it opens");
    let sleep = Ask { ms: 3_600_000, ..ask("sleep") };
    let sleeping = toy.call(Do, &sleep);
    let moving = async {
        // The sleep counts from when it begins, so the clock is moved until it has ended.
        loop {
            host.advance_ms(3_600_000);
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        reply = sleeping => assert!(reply.is_ok(), "{reply:?}"),
        () = moving => {}
    }
}
