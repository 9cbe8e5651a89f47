//! Stream ops as server-sent events: ids, resuming, ends, faults, heartbeats, and clients that do not read.

use super::client::{Event, Stream, event};
use super::{World, host, run, serve, until};
use dispatch_sdk::Fault;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Notify;

const EVENTS: &str = "GET /v1/things/1/events";

async fn open(world: &World, path: &str, lines: &str) -> Stream {
    let mut client = world.client().await;
    client.write(world.head(path, lines).as_bytes()).await;
    Stream::of(client).await
}

/// Emits frames after the cursor up to 5, then ends.
fn counting() -> dispatch_testkit::FakeHost {
    let host = host();
    run(&host, |input, out| async move {
        let after = input["after"].as_u64().unwrap_or(0);
        for seq in after + 1..=5 {
            out.emit(json!({ "seq": seq, "type": "tick", "data": { "n": seq } })).await?;
        }
        Ok(json!({ "cursor": 5 }))
    });
    host
}

#[tokio::test]
async fn frames_are_events_with_the_cursor_as_id_and_the_reply_is_the_end() {
    let world = serve(counting(), json!({})).await;
    let mut stream = open(&world, EVENTS, "").await;
    assert_eq!(stream.raw().await, Event::Retry);
    for seq in 1..=5 {
        let data = json!({ "seq": seq, "type": "tick", "data": { "n": seq } }).to_string();
        assert_eq!(stream.raw().await, event(&seq.to_string(), "tick", &data));
    }
    assert_eq!(stream.raw().await, event("", "end", r#"{"cursor":5}"#));
    assert_eq!(stream.raw().await, Event::End);
    assert_eq!(world.inputs(), [json!({ "thing_id": "1" })]);
}

#[tokio::test]
async fn a_client_resumes_by_header_or_by_query_and_the_header_wins() {
    let world = serve(counting(), json!({})).await;
    for (path, lines, first) in [
        (format!("{EVENTS}?after=3"), "", "4"),
        (EVENTS.to_owned(), "Last-Event-ID: 2\r\n", "3"),
        (format!("{EVENTS}?after=3"), "Last-Event-ID: 1\r\n", "2"),
        (format!("{EVENTS}?after=1"), "Last-Event-ID: 4\r\n", "5"),
        (format!("{EVENTS}?after=4"), "Last-Event-ID: \r\n", "5"),
    ] {
        let mut stream = open(&world, &path, lines).await;
        let Event::Data { id, .. } = stream.next().await else { panic!("an event") };
        assert_eq!(id, first, "{path} {lines}");
    }
}

#[tokio::test]
async fn a_cursor_that_is_no_number_is_refused_before_the_op() {
    let world = serve(counting(), json!({})).await;
    for bad in ["-1", "x", "1.5", "+1", "18446744073709551616", "%20", ""] {
        let refused = world.get(&format!("/v1/things/1/events?after={bad}")).await;
        assert_eq!((refused.status, refused.code().as_str()), (400, "invalid"), "{bad}");
    }
    for bad in ["-1", "x", "1.5", "+1", "18446744073709551616", "1 2"] {
        let refused = world.ask(EVENTS, &format!("Last-Event-ID: {bad}\r\n"), "").await;
        assert_eq!((refused.status, refused.code().as_str()), (400, "invalid"), "{bad}");
    }
    // A good header does not hide a bad query.
    let refused = world.ask(&format!("{EVENTS}?after=x"), "Last-Event-ID: 1\r\n", "").await;
    assert_eq!(refused.status, 400);
    assert!(world.inputs().is_empty());
}

#[tokio::test]
async fn a_fault_before_the_first_frame_is_a_response_and_after_it_an_event() {
    let host = host();
    run(&host, |input, out| async move {
        if input["thing_id"] == "gone" {
            return Err(Fault::new("stale", "too old").with_detail(json!({ "first": 9 })));
        }
        out.emit(json!({ "seq": 1, "type": "tick" })).await?;
        Err(Fault::new("overloaded", "too much"))
    });
    let world = serve(host, json!({})).await;
    let refused = world.get("/v1/things/gone/events").await;
    assert_eq!((refused.status, refused.code().as_str()), (410, "stale"));
    assert_eq!(refused.json()["fault_detail"], json!({ "first": 9 }));
    let head = world.ask("HEAD /v1/things/gone/events", "", "").await;
    assert_eq!(head.status, 410);
    let mut stream = open(&world, EVENTS, "").await;
    assert!(matches!(stream.next().await, Event::Data { id, .. } if id == "1"));
    let Event::Data { id, name, data } = stream.next().await else { panic!("an event") };
    let problem: Value = serde_json::from_str(&data).expect("JSON");
    assert_eq!((id.as_str(), name.as_str(), &problem["code"]), ("", "problem", &json!("overloaded")));
    assert_eq!(stream.next().await, Event::End);
    world.number_is("dispatch_http_sse_clients", 0).await;
}

#[tokio::test]
async fn a_silent_stream_has_its_head_soon_and_a_comment_at_times() {
    let host = host();
    run(&host, |_, out| async move {
        out.cancelled().await;
        Ok(json!({}))
    });
    let world = serve(host, json!({ "heartbeat_ms": 20 })).await;
    let mut stream = open(&world, EVENTS, "").await;
    assert_eq!(stream.raw().await, Event::Retry);
    for _ in 0..3 {
        assert_eq!(stream.raw().await, Event::Comment("still here".to_owned()));
    }
    drop(stream);
    world.number_is("dispatch_http_sse_clients", 0).await;
}

#[tokio::test]
async fn what_frames_look_like_does_not_break_the_stream() {
    let host = host();
    run(&host, |_, out| async move {
        for frame in [
            json!({ "type": "a\nid: 7", "seq": 1 }),
            json!({ "seq": "1", "type": 7 }),
            json!({ "seq": -1 }),
            json!([1]),
            json!("text\r\n\r\nevent: x"),
        ] {
            out.emit(frame).await?;
        }
        Ok(json!({}))
    });
    let world = serve(host, json!({})).await;
    let mut stream = open(&world, EVENTS, "").await;
    assert_eq!(stream.next().await, event("1", "", r#"{"seq":1,"type":"a\nid: 7"}"#));
    assert_eq!(stream.next().await, event("", "", r#"{"seq":"1","type":7}"#));
    assert_eq!(stream.next().await, event("", "", r#"{"seq":-1}"#));
    assert_eq!(stream.next().await, event("", "", "[1]"));
    assert_eq!(stream.next().await, event("", "", r#""text\r\n\r\nevent: x""#));
    assert_eq!(stream.next().await, event("", "end", "{}"));
}

#[tokio::test]
async fn one_stream_too_many_is_told_to_come_back() {
    let host = host();
    run(&host, |_, out| async move {
        out.emit(json!({})).await?;
        out.cancelled().await;
        Ok(json!({}))
    });
    let world = serve(host, json!({ "sse_clients_max": 2 })).await;
    let first = open(&world, EVENTS, "").await;
    let _second = open(&world, EVENTS, "").await;
    let refused = world.get("/v1/things/1/events").await;
    assert_eq!((refused.status, refused.code().as_str()), (503, "overloaded"));
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(world.inputs().len(), 2);
    drop(first);
    world.number_is("dispatch_http_sse_clients", 1).await;
    open(&world, EVENTS, "").await;
}

/// Emits large frames without end, and counts them.
fn flooding(emitted: &Arc<AtomicU64>) -> dispatch_testkit::FakeHost {
    let host = host();
    let emitted = Arc::clone(emitted);
    run(&host, move |input, out| {
        let emitted = Arc::clone(&emitted);
        async move {
            let slow = input["thing_id"] == "slow";
            let text = "x".repeat(8 * 1024);
            for seq in 1_u64.. {
                out.emit(json!({ "seq": seq, "type": "tick", "text": text })).await?;
                if slow {
                    emitted.store(seq, Ordering::Release);
                }
            }
            Ok(json!({}))
        }
    });
    host
}

#[tokio::test]
async fn a_client_that_never_reads_is_cut_and_holds_little_while_another_goes_on() {
    let emitted = Arc::new(AtomicU64::new(0));
    let world = serve(flooding(&emitted), json!({ "write_deadline_ms": 300 })).await;
    let mut slow = world.client().await;
    slow.write(world.head("GET /v1/things/slow/events", "").as_bytes()).await;
    let mut fast = open(&world, "GET /v1/things/fast/events", "").await;
    let mut last = 0;
    while world.number("dispatch_http_slow_clients_cut_total").await == 0 {
        for _ in 0..50 {
            let Event::Data { id, .. } = fast.next().await else { panic!("an event") };
            let seq: u64 = id.parse().expect("a number");
            assert_eq!(seq, last + 1);
            last = seq;
        }
    }
    world.number_is("dispatch_http_sse_clients", 1).await;
    // What the kernel keeps for both sides, the credit, and our own buffers: nothing of it grows with time.
    let held = emitted.load(Ordering::Acquire) * 8;
    assert!(held < 8 * 1024, "{held} KiB were taken for a client that reads nothing");
    assert!(last > 100, "the other client had {last} events");
}

#[tokio::test]
async fn a_slow_reader_that_reads_is_not_cut() {
    let emitted = Arc::new(AtomicU64::new(0));
    let world = serve(flooding(&emitted), json!({ "write_deadline_ms": 400 })).await;
    let mut stream = open(&world, "GET /v1/things/slow/events", "").await;
    let begun = std::time::Instant::now();
    let mut last = 0;
    while begun.elapsed().as_millis() < 1_200 {
        for _ in 0..20 {
            let Event::Data { id, .. } = stream.next().await else { panic!("it was cut") };
            last += 1;
            assert_eq!(id, last.to_string());
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(world.number("dispatch_http_slow_clients_cut_total").await, 0);
}

#[tokio::test]
async fn what_is_ready_goes_out_together_and_nothing_is_held_back() {
    let host = host();
    let more = Arc::new(Notify::new());
    let gate = Arc::clone(&more);
    run(&host, move |_, out| {
        let gate = Arc::clone(&gate);
        async move {
            for seq in 1..=100 {
                out.emit(json!({ "seq": seq })).await?;
            }
            gate.notified().await;
            out.emit(json!({ "seq": 101 })).await?;
            out.cancelled().await;
            Ok(json!({}))
        }
    });
    let world = serve(host, json!({})).await;
    let mut client = world.client().await;
    client.write(world.head(EVENTS, "").as_bytes()).await;
    assert_eq!(client.read_head().await.status, 200);
    let (mut n_chunks, mut text) = (0, String::new());
    while text.matches("data: ").count() < 100 {
        let chunk = client.chunk().await.expect("more comes");
        text.push_str(std::str::from_utf8(&chunk).expect("text"));
        n_chunks += 1;
    }
    assert!(n_chunks < 50, "100 frames came in {n_chunks} writes");
    more.notify_one();
    let chunk = client.chunk().await.expect("more comes");
    assert_eq!(chunk, b"id: 101\ndata: {\"seq\":101}\n\n");
}

#[tokio::test]
async fn a_client_that_leaves_ends_its_call() {
    let host = host();
    let ended = Arc::new(Notify::new());
    let tell = Arc::clone(&ended);
    run(&host, move |_, out| {
        let tell = Arc::clone(&tell);
        async move {
            out.emit(json!({ "seq": 1 })).await?;
            out.cancelled().await;
            tell.notify_one();
            Ok(json!({}))
        }
    });
    let world = serve(host, json!({})).await;
    let stream = open(&world, EVENTS, "").await;
    until("the op runs", || world.inputs().len() == 1).await;
    drop(stream);
    tokio::time::timeout(super::PATIENCE, ended.notified()).await.expect("it is cancelled");
}
