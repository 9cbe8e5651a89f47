//! `http.v1/mount`: routes of another extension, as long as it wants them.

use super::{World, host, serve};
use crate::TransportHttp;
use dispatch_sdk::contracts::http::{
    Mount, MountFrame, MountParams, Request, RequestParams, ResponseFrame, Route,
};
use dispatch_sdk::contracts::instance::{Serve, ServeParams};
use dispatch_sdk::contracts::verb::Empty;
use dispatch_sdk::fault::{CONFLICT, INVALID};
use dispatch_sdk::{Call, Config, Contributions, Extension, Fault, Host, Item, Verbs};
use dispatch_testkit::OpenedStream;
use serde::Deserialize;
use serde_json::json;
use std::sync::{Arc, Mutex};
use tokio::sync::oneshot;

/// An extension with a page: mounts what it is configured to.
struct Page {
    host: Host,
    routes: Vec<Route>,
    unmount: Mutex<Option<oneshot::Sender<()>>>,
}

#[derive(Deserialize)]
struct PageConfig {
    routes: Vec<Route>,
}

struct MountNow;
impl dispatch_sdk::Verb for MountNow {
    type Params = Empty;
    type Reply = Empty;
    type Frame = dispatch_sdk::contracts::verb::NoFrame;
    const NAME: &'static str = "page.v1/mount";
    const MODE: dispatch_sdk::Mode = dispatch_sdk::Mode::Spawned;
    const LIMITS: dispatch_sdk::contracts::Limits = dispatch_sdk::contracts::Limits::short(10_000);
}

struct UnmountNow;
impl dispatch_sdk::Verb for UnmountNow {
    type Params = Empty;
    type Reply = Empty;
    type Frame = dispatch_sdk::contracts::verb::NoFrame;
    const NAME: &'static str = "page.v1/unmount";
    const MODE: dispatch_sdk::Mode = dispatch_sdk::Mode::Spawned;
    const LIMITS: dispatch_sdk::contracts::Limits = dispatch_sdk::contracts::Limits::short(10_000);
}

impl Extension for Page {
    fn open(host: Host, config: Config) -> Result<Self, Fault> {
        let config: PageConfig = config.parse()?;
        Ok(Self { host, routes: config.routes, unmount: Mutex::default() })
    }

    fn verbs(verbs: &mut Verbs<Self>) {
        verbs.on(MountNow, Self::mount);
        verbs.on(UnmountNow, Self::unmount);
        verbs.on(Request, Self::request);
    }

    async fn start(self: Arc<Self>) -> Result<Contributions, Fault> {
        Ok(Contributions::default())
    }
}

impl Page {
    async fn mount(self: Arc<Self>, _: Call, _: Empty) -> Result<Empty, Fault> {
        let params = MountParams { routes: self.routes.clone() };
        let mut mount = self.host.stream(Mount, &params);
        let Item::Frame(MountFrame::Mounted {}) = mount.next().await? else { panic!("it ended") };
        let (sender, dropped) = oneshot::channel();
        *self.unmount.lock().expect("nobody panicked") = Some(sender);
        tokio::spawn(async move {
            tokio::select! {
                _ = mount.next() => {}
                _ = dropped => {}
            }
        });
        Ok(Empty {})
    }

    async fn unmount(self: Arc<Self>, _: Call, _: Empty) -> Result<Empty, Fault> {
        self.unmount.lock().expect("nobody panicked").take();
        Ok(Empty {})
    }

    async fn request(self: Arc<Self>, call: Call, params: RequestParams) -> Result<Empty, Fault> {
        let head = |status, headers: &[(&str, &str)]| ResponseFrame::Head {
            status,
            headers: headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect(),
        };
        let text = |text: &str| ResponseFrame::Text { text: text.to_owned() };
        match params.params.get("how").map_or("", String::as_str) {
            "" | "echo" => {
                let ours = [
                    ("content-type", "application/json"),
                    ("connection", "close"),
                    ("content-length", "1"),
                    ("access-control-allow-origin", "*"),
                    ("x-own", "yes"),
                ];
                call.emit(&head(201, &ours)).await?;
                call.emit(&text(&serde_json::to_string(&params).expect("it encodes"))).await?;
            }
            "bytes" => {
                call.emit(&head(200, &[("cache-control", "max-age=60")])).await?;
                call.emit(&ResponseFrame::Data { data: "AP/+".to_owned() }).await?;
                call.emit(&text("!")).await?;
            }
            "fault" => return Err(Fault::new("not_found", "no such page")),
            "headless" => call.emit(&text("x")).await?,
            "nothing" => {}
            "status" => call.emit(&head(99, &[])).await?,
            "header" => call.emit(&head(200, &[("bad name", "x")])).await?,
            "split" => call.emit(&head(200, &[("x-own", "a\r\nx-planted: b")])).await?,
            "broken" => {
                call.emit(&head(200, &[])).await?;
                call.emit(&text("half")).await?;
                return Err(Fault::new("io", "it broke"));
            }
            "endless" => {
                call.emit(&head(200, &[("content-type", "text/event-stream")])).await?;
                call.emit(&text(": hello\n\n")).await?;
                call.cancelled().await;
            }
            other => panic!("{other}"),
        }
        Ok(Empty {})
    }
}

fn route(method: &str, path: &str) -> Route {
    Route { method: method.to_owned(), path: path.to_owned() }
}

fn routes() -> Vec<Route> {
    vec![route("GET", "/web/{how}"), route("POST", "/web/{how}"), route("GET", "/web/files/{*rest}")]
}

/// A page that is mounted, at a listener that serves.
async fn mounted() -> (World, dispatch_testkit::Opened) {
    let host = host();
    let world = serve(host.clone(), json!({ "body_bytes_max": 1_000 })).await;
    host.bind("http.v1", "transport-http");
    let page = host.open::<Page>("page", json!({ "routes": routes() })).await.expect("it opens");
    page.call(MountNow, &Empty {}).await.expect("it mounts");
    (world, page)
}

#[tokio::test]
async fn a_request_comes_without_credentials_and_its_frames_are_the_response() {
    let (world, _page) = mounted().await;
    let lines = "Cookie: a=b\r\nProxy-Authorization: x\r\nX-Thing: 1\r\nContent-Length: 3\r\n";
    let got = world.ask("POST /web/echo?a=%20&b", lines, "a\u{7f}b").await;
    assert_eq!((got.status, got.header("x-own")), (201, Some("yes")));
    assert_eq!(got.header("access-control-allow-origin"), None);
    assert_eq!(got.header("content-length"), None);
    assert_eq!(got.header("connection"), None);
    let seen = got.json();
    let expected = json!({
        "route_idx": 1, "method": "POST", "path": "/web/echo", "params": { "how": "echo" },
        "query": "a=%20&b", "body": "YX9i",
        "headers": [["host", world.address.to_string()], ["x-thing", "1"], ["content-length", "3"]],
    });
    assert_eq!(seen, expected);
    let rest = world.get("/web/files/a/b%20c").await.json();
    assert_eq!((&rest["params"]["rest"], &rest["path"]), (&json!("a/b c"), &json!("/web/files/a/b%20c")));
    let bytes = world.get("/web/bytes").await;
    assert_eq!((bytes.status, bytes.body.as_slice()), (200, b"\x00\xff\xfe!".as_slice()));
    assert_eq!(bytes.header("cache-control"), Some("max-age=60"));
    let head = world.ask("HEAD /web/echo", "", "").await;
    assert_eq!((head.status, head.body.len()), (201, 0));
    assert_eq!(world.ask("PUT /web/echo", "", "").await.header("allow"), Some("GET, HEAD, POST"));
    let large = "x".repeat(1_001);
    assert_eq!(world.send("POST /web/echo", &large).await.status, 413);
}

#[tokio::test]
async fn a_mounted_route_stands_behind_the_same_rules() {
    let (world, _page) = mounted().await;
    let before = world.host.calls_of("http_host.v1/request").len();
    let bare = format!("GET /web/echo HTTP/1.1\r\nHost: {}\r\n", world.address);
    let token = format!("Authorization: Bearer {}\r\n", world.token);
    for (request, status) in [
        (format!("{bare}\r\n"), 401),
        (format!("{bare}{token}Origin: http://evil.test\r\n\r\n"), 403),
        (format!("{bare}{token}Sec-Fetch-Site: cross-site\r\n\r\n"), 403),
        (format!("GET /web/echo HTTP/1.1\r\nHost: evil.test\r\n{token}\r\n"), 421),
    ] {
        assert_eq!(world.client().await.ask(&request).await.status, status, "{request}");
    }
    assert_eq!(world.host.calls_of("http_host.v1/request").len(), before);
}

#[tokio::test]
async fn what_breaks_the_contract_is_no_response() {
    let (world, _page) = mounted().await;
    let failed = world.get("/web/fault").await;
    assert_eq!((failed.status, failed.code().as_str()), (404, "not_found"));
    for how in ["headless", "nothing", "status", "header", "split"] {
        let failed = world.get(&format!("/web/{how}")).await;
        assert_eq!((failed.status, failed.code().as_str()), (500, "broken"), "{how}");
    }
    let mut client = world.client().await;
    client.write(world.head("GET /web/broken", "").as_bytes()).await;
    let answer = String::from_utf8(client.closed().await).expect("text");
    // Nobody takes what came for the whole.
    assert!(!answer.ends_with("0\r\n\r\n"), "{answer}");
}

#[tokio::test]
async fn a_stream_of_a_mount_ends_with_its_client_and_no_drain_waits_for_it() {
    let (world, page) = mounted().await;
    let mut client = world.client().await;
    client.write(world.head("GET /web/endless", "").as_bytes()).await;
    assert_eq!(client.read_head().await.status, 200);
    assert_eq!(client.chunk().await.expect("it comes"), b": hello\n\n");
    world.number_is("dispatch_http_requests_in_flight", 0).await;
    page.call(UnmountNow, &Empty {}).await.expect("it goes");
    // The call that mounted it is gone, and with it what it answered.
    assert_eq!(client.chunk().await, None);
}

#[tokio::test]
async fn routes_go_with_their_mount() {
    let (world, page) = mounted().await;
    assert_eq!(world.get("/web/echo").await.status, 201);
    page.call(UnmountNow, &Empty {}).await.expect("it goes");
    let begun = std::time::Instant::now();
    while world.get("/web/echo").await.status != 404 {
        assert!(begun.elapsed() < super::PATIENCE);
    }
    page.call(MountNow, &Empty {}).await.expect("it mounts again");
    assert_eq!(world.get("/web/echo").await.status, 201);
}

async fn refused(world: &World, routes: Vec<Route>) -> Fault {
    let mut mount: OpenedStream<Mount> = world.http.stream(Mount, &MountParams { routes });
    match mount.next().await {
        Err(fault) => fault,
        Ok(_) => panic!("it was mounted"),
    }
}

#[tokio::test]
async fn a_route_that_is_taken_or_may_not_be_is_refused_and_none_of_the_others_is_left() {
    let (world, _page) = mounted().await;
    for taken in [
        route("GET", "/livez"),
        route("GET", "/metrics"),
        route("GET", "/web/{other}"),
        route("GET", "/web/{*all}"),
    ] {
        let fault = refused(&world, vec![route("GET", "/fine"), taken.clone()]).await;
        assert_eq!(fault.code, CONFLICT, "{taken:?}");
        assert_eq!(fault.detail, json!({ "method": taken.method, "path": taken.path }));
    }
    let twice = refused(&world, vec![route("GET", "/fine"), route("GET", "/fine")]).await;
    assert_eq!(twice.code, CONFLICT);
    for bad in [
        route("GET", "/v1/things"),
        route("GET", "/v1"),
        route("GET", "/{all}"),
        route("GET", "/{*all}"),
        route("get", "/x"),
        route("HEAD", "/x"),
        route("CONNECT", "/x"),
        route("GET", "x"),
        route("GET", "/x/{a}b"),
        route("GET", "/x/{*a}/b"),
        route("GET", "/x/{a}/{a}"),
        route("GET", "/x/{}"),
        route("GET", "/x/../y"),
        route("GET", "/x?y"),
        route("GET", "/x y"),
    ] {
        let fault = refused(&world, vec![route("GET", "/fine"), bad.clone()]).await;
        assert_eq!(fault.code, INVALID, "{bad:?}");
    }
    assert_eq!(refused(&world, Vec::new()).await.code, INVALID);
    let many = (0..65).map(|n| route("GET", &format!("/many/{n}"))).collect();
    assert_eq!(refused(&world, many).await.code, INVALID);
    assert_eq!(world.get("/fine").await.status, 404);
    assert_eq!(world.ask("POST /livez", "", "").await.status, 405);
}

#[tokio::test]
async fn a_mount_may_come_before_the_listener_serves() {
    let host = host();
    let config = json!({ "listen": ["127.0.0.1:0"] });
    let http = host.open::<TransportHttp>("transport-http", config).await.expect("it opens");
    let page = host.open::<Page>("page", json!({ "routes": routes() })).await.expect("it opens");
    page.call(MountNow, &Empty {}).await.expect("it mounts");
    let reply = http.call(Serve, &ServeParams::default()).await.expect("it serves");
    let address = reply.addresses[0].strip_prefix("http://").expect("one").parse().expect("one");
    let token = std::fs::read_to_string(super::token_file(&host)).expect("a token").trim().to_owned();
    let world = World { host, http, address, token };
    assert_eq!(world.get("/web/echo").await.status, 201);
    assert_eq!(world.get("/v1/things/1").await.status, 200);
}

#[tokio::test]
async fn an_op_finds_a_mounted_place_taken_and_others_go_on() {
    let (world, _page) = mounted().await;
    world.host.on("op.v1/list", |_| {
        let mut ops = super::ops();
        ops.push(super::op("web.get", "GET", "/web/{page}", "read", json!({}), json!([])));
        ops.push(super::op("late.get", "GET", "/late", "read", json!({}), json!([])));
        Ok(json!({ "ops": ops }))
    });
    let begun = std::time::Instant::now();
    while world.get("/late").await.status != 200 {
        assert!(begun.elapsed() < super::PATIENCE);
    }
    assert_eq!(world.get("/web/echo").await.status, 201);
    let fault = refused(&world, vec![route("GET", "/late")]).await;
    assert_eq!(fault.code, CONFLICT);
}

#[tokio::test]
async fn a_drain_refuses_what_a_mount_may_change() {
    let (world, _page) = mounted().await;
    let params = dispatch_sdk::contracts::instance::DrainParams { deadline_ms: 0 };
    world.http.call(dispatch_sdk::contracts::instance::Drain, &params).await.expect("it drains");
    assert_eq!(world.ask("POST /web/echo", "", "").await.status, 503);
    assert_eq!(world.get("/web/echo").await.status, 201);
}
