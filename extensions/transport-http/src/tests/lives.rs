//! The listener's life: it opens no port unasked, refuses what is unsafe, drains, reloads, is looked at, and stops.

use super::client::{Client, Event, Stream};
use super::{World, host, run, serve, until, world};
use crate::TransportHttp;
use dispatch_sdk::Fault;
use dispatch_sdk::contracts::instance::{
    Check, CheckStatus, Drain, DrainParams, DrainReply, Reload, ReloadParams, ReloadReply, Serve, ServeParams,
};
use dispatch_sdk::contracts::verb::Empty;
use dispatch_sdk::fault::{CONFLICT, INVALID, UNAVAILABLE};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

async fn opened(config: Value) -> dispatch_testkit::Opened {
    host().open::<TransportHttp>("transport-http", config).await.expect("it opens")
}

async fn refused(listen: &[&str], config: Value) -> Fault {
    let http = opened(config).await;
    let listen = listen.iter().map(|text| (*text).to_owned()).collect();
    http.call(Serve, &ServeParams { listen }).await.expect_err("it does not serve")
}

async fn drain(world: &World, deadline_ms: u64) -> DrainReply {
    world.http.call(Drain, &DrainParams { deadline_ms }).await.expect("it answers")
}

#[tokio::test]
async fn it_opens_no_port_before_it_is_asked_to_serve() {
    let free = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = free.local_addr().expect("an address");
    drop(free);
    let http = opened(json!({ "listen": [address.to_string()] })).await;
    assert!(TcpStream::connect(address).await.is_err());
    assert_eq!(http.host().calls(), []);
    let reply = http.call(Serve, &ServeParams::default()).await.expect("it serves");
    assert_eq!(reply.addresses, [format!("http://{address}")]);
    TcpStream::connect(address).await.expect("it listens");
    let again = http.call(Serve, &ServeParams::default()).await.expect_err("it serves already");
    assert_eq!(again.code, CONFLICT);
}

#[tokio::test]
async fn what_can_be_reached_from_other_machines_is_refused_unless_allowed() {
    for remote in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0", "[::ffff:192.0.2.1]:0"] {
        let fault = refused(&["127.0.0.1:0", remote], json!({})).await;
        assert_eq!(fault.code, INVALID);
        assert!(fault.message.contains("`allow_plain_remote = true`"), "{fault}");
        assert!(fault.message.contains("TLS"), "{fault}");
    }
    let http = opened(json!({ "allow_plain_remote": true })).await;
    let listen = vec!["0.0.0.0:0".to_owned()];
    let reply = http.call(Serve, &ServeParams { listen }).await.expect("it serves");
    let port = reply.addresses[0].rsplit_once(':').expect("a port").1.to_owned();
    let io = TcpStream::connect(format!("127.0.0.1:{port}")).await.expect("it listens");
    let mut client = Client::new(io);
    for (host, status) in [("127.0.0.1", 200), ("localhost", 200), ("0.0.0.0", 421), ("evil.test", 421)] {
        let probe = format!("GET /livez HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n");
        assert_eq!(client.ask(&probe).await.status, status, "{host}");
    }
}

#[tokio::test]
async fn an_address_that_cannot_be_had_leaves_nothing_open() {
    let held = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let taken = held.local_addr().expect("an address");
    let free = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("an address");
    let fault = refused(&[&free.to_string(), &taken.to_string()], json!({})).await;
    assert_eq!(fault.code, UNAVAILABLE);
    assert!(fault.message.contains("something listens there already"), "{fault}");
    assert!(TcpStream::connect(free).await.is_err());
    for bad in ["", "127.0.0.1", "localhost", "example.com:80", "unix:x.sock", "unix:"] {
        let fault = refused(&[bad], json!({})).await;
        assert_eq!(fault.code, INVALID, "{bad}");
    }
    assert_eq!(refused(&[], json!({ "listen": [] })).await.code, INVALID);
}

#[tokio::test]
async fn readyz_says_when_work_may_come_in() {
    let world = world(json!({})).await;
    for path in ["/livez", "/readyz"] {
        let probe = world.get(path).await;
        assert_eq!((probe.status, probe.body.len()), (200, 0), "{path}");
    }
    let version = world.get("/version").await;
    assert_eq!(version.json(), json!({ "kernel": "0.1.0-test", "host_id": "host-1" }));
    drain(&world, 0).await;
    assert_eq!((world.get("/livez").await.status, world.get("/readyz").await.status), (200, 503));
}

#[tokio::test]
async fn readyz_is_what_the_host_can_do_and_comes_back_by_itself() {
    let state = Arc::new(Mutex::new("ok"));
    let host = host();
    host.on("kernel.v1/health", {
        let state = Arc::clone(&state);
        move |_| {
            let state = *state.lock().expect("no panic");
            Ok(json!({ "state": state, "calls_open": 0, "long_calls_open": 0, "instances": [] }))
        }
    });
    let world = serve(host, json!({})).await;
    let bare = format!("GET /readyz HTTP/1.1\r\nHost: {}\r\n\r\n", world.address);
    for (now, status) in [("ok", 200), ("degraded", 503), ("ok", 200), ("failed", 503), ("of later", 503)] {
        *state.lock().expect("no panic") = now;
        let begun = Instant::now();
        loop {
            let probe = world.client().await.ask(&bare).await;
            assert!(probe.body.is_empty(), "a probe says nothing but its status");
            if probe.status == status {
                break;
            }
            assert!(begun.elapsed() < super::PATIENCE, "{now}: {} and not {status}", probe.status);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(world.get("/livez").await.status, 200, "it lives");
    }
}

#[tokio::test]
async fn probes_ask_the_kernel_now_and_then_and_wait_for_it_but_briefly() {
    let world = world(json!({})).await;
    let begun = Instant::now();
    for _ in 0..200 {
        assert_eq!(world.get("/readyz").await.status, 200);
    }
    let asked = world.host.calls_of("kernel.v1/health").len() as u128;
    assert!(asked <= begun.elapsed().as_millis() / 500 + 1, "{asked} times in {:?}", begun.elapsed());

    let host = host();
    host.on_stream("kernel.v1/health", |_, _| std::future::pending());
    let silent = serve(host, json!({})).await;
    assert_eq!(silent.get("/readyz").await.status, 503, "a kernel that says nothing is not ready");
}

/// Ops named `wait` wait for the gate; streams go on until they are cancelled.
fn waiting(gate: &Arc<Notify>) -> dispatch_testkit::FakeHost {
    let host = host();
    let gate = Arc::clone(gate);
    run(&host, move |_, out| {
        let gate = Arc::clone(&gate);
        async move {
            if out.target() == "things.watch" {
                out.emit(json!({ "seq": 1 })).await?;
                out.cancelled().await;
            } else if out.target() != "things.drop" {
                gate.notified().await;
            }
            Ok(json!({}))
        }
    });
    host
}

#[tokio::test]
async fn a_drain_refuses_new_work_and_waits_for_what_runs_but_not_for_streams() {
    let gate = Arc::new(Notify::new());
    let world = serve(waiting(&gate), json!({})).await;
    let mut watching = world.client().await;
    watching.write(world.head("GET /v1/things/1/events", "").as_bytes()).await;
    let mut stream = Stream::of(watching).await;
    assert!(matches!(stream.next().await, Event::Data { .. }));
    assert_eq!(drain(&world, 0).await, DrainReply { unfinished: 0 });
    let refused = world.send("POST /v1/things", "{}").await;
    assert_eq!((refused.status, refused.code().as_str()), (503, "unavailable"));
    assert_eq!(refused.header("retry-after"), Some("5"));
    assert_eq!(world.ask("DELETE /v1/things/1", "", "").await.status, 204, "it ends work, it brings in none");
    let mut reading = world.client().await;
    reading.write(world.head("GET /v1/things/1", "").as_bytes()).await;
    until("the read runs", || world.inputs().len() == 3).await;
    assert_eq!(drain(&world, 50).await, DrainReply { unfinished: 1 });
    let (drained, ()) = tokio::join!(drain(&world, 60_000), async { gate.notify_one() });
    assert_eq!(drained, DrainReply { unfinished: 0 });
    assert_eq!(reading.response(false).await.status, 200);
}

#[tokio::test]
async fn a_stream_whose_op_ends_in_a_drain_ends_with_a_word_and_no_problem() {
    for (drains, expected) in [(true, true), (false, false)] {
        let ended = Arc::new(Notify::new());
        let host = host();
        run(&host, {
            let ended = Arc::clone(&ended);
            move |_, out| {
                let ended = Arc::clone(&ended);
                async move {
                    out.emit(json!({ "seq": 1 })).await?;
                    ended.notified().await;
                    Err(Fault::new("cancelled", "whoever answered was stopped"))
                }
            }
        });
        let world = serve(host, json!({})).await;
        let mut watching = world.client().await;
        watching.write(world.head("GET /v1/things/1/events", "").as_bytes()).await;
        let mut stream = Stream::of(watching).await;
        assert!(matches!(stream.next().await, Event::Data { .. }));
        if drains {
            drain(&world, 0).await;
        }
        ended.notify_one();
        let last = stream.raw().await;
        let is_goodbye = last == Event::Comment("the host ends; resume by the last id".to_owned());
        assert_eq!(is_goodbye, expected, "{last:?}");
        assert_eq!(stream.raw().await, Event::End);
    }
}

#[tokio::test]
async fn a_stop_ends_streams_with_a_word_and_is_held_up_by_nobody() {
    let gate = Arc::new(Notify::new());
    let world = serve(waiting(&gate), json!({})).await;
    let mut watching = world.client().await;
    watching.write(world.head("GET /v1/things/1/events", "").as_bytes()).await;
    let mut stream = Stream::of(watching).await;
    assert!(matches!(stream.next().await, Event::Data { .. }));
    let mut idle = world.client().await;
    assert_eq!(idle.ask(&world.head("GET /livez", "")).await.status, 200);
    let mut silent = world.client().await;
    let mut half = world.client().await;
    half.write(b"GET /liv").await;
    let mut body = world.client().await;
    let lines = "Content-Type: application/json\r\nContent-Length: 100\r\n";
    body.write(world.head("POST /v1/things", lines).as_bytes()).await;
    let mut waits = world.client().await;
    waits.write(world.head("GET /v1/things/1", "").as_bytes()).await;
    until("the op runs", || world.inputs().len() == 2).await;
    let begun = Instant::now();
    world.http.stop().await.expect("it stops");
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    assert_eq!(stream.raw().await, Event::Comment("the host ends; resume by the last id".to_owned()));
    assert_eq!(stream.raw().await, Event::End);
    for client in [&mut idle, &mut silent, &mut half, &mut body, &mut waits] {
        client.closed().await;
    }
    assert!(TcpStream::connect(world.address).await.is_err());
}

#[tokio::test]
async fn a_reload_holds_at_once_and_says_what_needs_a_restart() {
    let world = world(json!({ "heartbeat_ms": 1_000 })).await;
    let config = json!({
        "listen": ["127.0.0.1:1"], "allow_plain_remote": true, "hosts": ["box.example"], "heartbeat_ms": 2_000,
        "body_bytes_max": 10,
    });
    let params = ReloadParams { config: config.clone() };
    let reply = world.http.call(Reload, &params).await.expect("it reloads");
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let applied = names(&["body_bytes_max", "heartbeat_ms", "hosts"]);
    let needs_restart = names(&["allow_plain_remote", "listen"]);
    assert_eq!(reply, ReloadReply { applied, needs_restart });
    let probe = "GET /livez HTTP/1.1\r\nHost: box.example\r\n\r\n";
    assert_eq!(world.client().await.ask(probe).await.status, 200);
    assert_eq!(world.send("POST /v1/things", "{\"name\":\"one\"}").await.status, 413);
    for (bad, says) in [
        (json!({ "hosts": "box.example" }), "`hosts`"),
        (json!({ "token": { "secret": "a secret of the configuration" } }), "`token`"),
        (json!({ "hosst": [] }), "`hosst`"),
        (json!({ "heartbeat_ms": 0 }), "`heartbeat_ms` is 0"),
        (json!({ "origins": ["*"] }), "`origins` holds `*`"),
        (json!({ "header_bytes_max": 1 }), "`header_bytes_max` is 1"),
        (json!([]), "no table"),
    ] {
        let params = ReloadParams { config: bad.clone() };
        let fault = world.http.call(Reload, &params).await.expect_err("it does not hold");
        assert_eq!(fault.code, INVALID, "{bad}");
        assert!(fault.message.contains(says) && !fault.message.contains("a secret"), "{bad}: {fault}");
    }
    assert_eq!(world.client().await.ask(probe).await.status, 200);
    let same = world.http.call(Reload, &ReloadParams { config }).await.expect("it reloads");
    assert_eq!(same, ReloadReply::default());
}

#[tokio::test]
async fn a_wrong_configuration_does_not_open() {
    for config in [
        json!({ "listn": [] }),
        json!({ "origins": ["https://box.example/"] }),
        json!({ "origins": ["*"] }),
        json!({ "origins": ["null"] }),
        json!({ "write_deadline_ms": 0 }),
        json!({ "headers_max": 0 }),
    ] {
        let result = host().open::<TransportHttp>("transport-http", config.clone()).await;
        let Err(fault) = result else { panic!("it opened: {config}") };
        assert_eq!(fault.code, INVALID, "{config}");
    }
}

#[tokio::test]
async fn a_check_looks_at_the_token_and_the_addresses_and_changes_nothing() {
    let statuses = |reply: dispatch_sdk::contracts::instance::CheckReply| {
        reply.checks.into_iter().map(|check| (check.name, check.status)).collect::<Vec<_>>()
    };
    let expected = |token, listen| vec![("token".to_owned(), token), ("listen".to_owned(), listen)];
    let (ok, fail) = (CheckStatus::Ok, CheckStatus::Fail);
    let http = opened(json!({ "listen": ["127.0.0.1:0"] })).await;
    assert_eq!(statuses(http.call(Check, &Empty {}).await.expect("it looks")), expected(ok, ok));
    assert!(!super::token_file(http.host()).exists());
    http.call(Serve, &ServeParams::default()).await.expect("it serves");
    assert_eq!(statuses(http.call(Check, &Empty {}).await.expect("it looks")), expected(ok, ok));
    std::fs::write(super::token_file(http.host()), "").expect("a file");
    assert_eq!(statuses(http.call(Check, &Empty {}).await.expect("it looks")), expected(fail, ok));
    let taken = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let http = opened(json!({ "listen": [address] })).await;
    let reply = http.call(Check, &Empty {}).await.expect("it looks");
    assert_eq!(
        reply.checks.iter().map(|check| check.status).collect::<Vec<_>>(),
        [CheckStatus::Ok, CheckStatus::Warn]
    );
    assert!(reply.checks[1].recovery.starts_with("something listens there already"), "{reply:?}");
}
