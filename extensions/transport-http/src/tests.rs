//! The listener over real sockets, in a host that answers `op.v1` and `kernel.v1`.

mod client;
mod gate;
mod limits;
mod lives;
mod metrics;
mod mounts;
mod openapi;
mod ops;
mod pieces;
mod sockets;
mod streams;
mod tokens;

use crate::TransportHttp;
use client::{Client, Response};
use dispatch_sdk::Fault;
use dispatch_sdk::contracts::instance::{Metrics, Serve, ServeParams};
use dispatch_sdk::contracts::verb::Empty;
use dispatch_testkit::{FakeHost, FakeOut, Opened};
use serde_json::{Value, json};
use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Longest time that a test waits for something that must come.
const PATIENCE: Duration = Duration::from_secs(10);

/// A listener that serves on a port of its own.
struct World {
    host: FakeHost,
    http: Opened,
    address: SocketAddr,
    token: String,
}

/// A host with some ops, which echo their input.
fn host() -> FakeHost {
    let host = FakeHost::new();
    host.grant_identity("transport-http");
    host.on("op.v1/list", |_| Ok(json!({ "ops": ops() })));
    run(&host, |input, out| async move {
        Ok(
            json!({ "op": out.target(), "input": input, "actor": out.meta().actor, "trace": out.meta().trace }),
        )
    });
    host.on("kernel.v1/inventory", |_| Ok(inventory()));
    host.on("kernel.v1/health", |_| {
        let of = json!({ "id": "toy", "calls": 7, "panics": 1, "overloaded": 2, "calls_in_flight": 3 });
        Ok(json!({ "calls_open": 4, "long_calls_open": 2, "instances": [of] }))
    });
    host
}

/// Answers every op.
fn run<F, Fut>(host: &FakeHost, answer: F)
where
    F: Fn(Value, FakeOut) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Value, Fault>> + Send + 'static,
{
    host.on_stream("op.v1/run", answer);
}

fn inventory() -> Value {
    let instance = |id: &str, serves: Value| json!({ "id": id, "from": id, "version": "0.1.0", "state": "active", "serves": serves });
    json!({
        "kernel": "0.1.0-test",
        "host_id": "host-1",
        "services": {},
        "instances": [
            instance("toy", json!(["check", "metrics"])),
            instance("plain", json!([])),
            instance("transport-http", json!(["metrics"])),
        ],
    })
}

fn op(id: &str, method: &str, path: &str, intent: &str, properties: Value, required: Value) -> Value {
    json!({
        "instance": "toy",
        "schema_hash": "0",
        "id": id,
        "summary": format!("Does {id}."),
        "verb": "toy.v1/do",
        "input_schema": {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": "Input",
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": false,
            "$defs": { "Colour": { "type": "string", "enum": ["red", "blue"] } },
        },
        "output_schema": { "type": "object" },
        "intent": intent,
        "surface": { "http_method": method, "http_path": path },
    })
}

fn ops() -> Vec<Value> {
    let id = json!({ "type": "string", "description": "Which thing." });
    let get = op(
        "things.get",
        "GET",
        "/v1/things/{thing_id}",
        "read",
        json!({
            "thing_id": id,
            "deep": { "type": "boolean" },
            "limit": { "type": ["integer", "null"], "format": "uint32", "minimum": 0 },
            "ratio": { "type": "number" },
            "tags": { "type": "array", "items": { "type": "string" } },
            "colour": { "anyOf": [{ "$ref": "#/$defs/Colour" }, { "type": "null" }] },
            "where": { "type": "object" },
        }),
        json!(["thing_id"]),
    );
    let mut make = op(
        "things.make",
        "POST",
        "/v1/things",
        "write",
        json!({ "name": { "type": "string" }, "n": { "type": "integer" } }),
        json!(["name"]),
    );
    make["surface"]["http_status"] = json!(201);
    make["admits_work"] = json!(true);
    make["error_codes"] = json!(["conflict", "no_space"]);
    make["examples"] = json!([{ "summary": "A thing.", "input": { "name": "one" } }]);
    let put = op(
        "things.put",
        "PUT",
        "/v1/things/{thing_id}",
        "write",
        json!({ "thing_id": id, "name": { "type": "string" } }),
        json!(["thing_id", "name"]),
    );
    let mut drop = op(
        "things.drop",
        "DELETE",
        "/v1/things/{thing_id}",
        "destroy",
        json!({ "thing_id": id }),
        json!(["thing_id"]),
    );
    drop["surface"]["http_status"] = json!(204);
    let mut watch = op(
        "things.watch",
        "GET",
        "/v1/things/{thing_id}/events",
        "read",
        json!({ "thing_id": id, "after": { "type": "integer", "format": "uint64", "minimum": 0, "default": 0 } }),
        json!(["thing_id"]),
    );
    watch["stream"] = json!(true);
    watch["frame_schema"] = json!({
        "type": "object",
        "properties": { "seq": { "type": "integer" }, "type": { "$ref": "#/$defs/Kind" } },
        "$defs": { "Kind": { "type": "string" } },
    });
    let mut quiet = op("things.quiet", "", "", "read", json!({}), json!([]));
    quiet["surface"] = json!({});
    vec![drop, get, make, put, quiet, watch]
}

/// A listener with this configuration.
async fn world(config: Value) -> World {
    serve(host(), config).await
}

async fn serve(host: FakeHost, mut config: Value) -> World {
    if config.get("listen").is_none() {
        config["listen"] = json!(["127.0.0.1:0"]);
    }
    let http = host.open::<TransportHttp>("transport-http", config.clone()).await.expect("it opens");
    let reply = http.call(Serve, &ServeParams::default()).await.expect("it serves");
    let address = reply.addresses[0].strip_prefix("http://").expect("an address");
    let address = address.parse().expect("an address");
    let token = match config["token"].as_str() {
        Some(token) => token.to_owned(),
        None => std::fs::read_to_string(token_file(&host)).expect("a token").trim().to_owned(),
    };
    World { host, http, address, token }
}

fn token_file(host: &FakeHost) -> PathBuf {
    PathBuf::from(host.dirs().data).join("transport-http/token")
}

impl World {
    async fn client(&self) -> Client {
        Client::new(tokio::net::TcpStream::connect(self.address).await.expect("it takes connections"))
    }

    /// A request's head with Host and token, and these lines beside.
    fn head(&self, first: &str, lines: &str) -> String {
        format!(
            "{first} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n{lines}\r\n",
            self.address, self.token
        )
    }

    /// Asks on a connection of its own.
    async fn ask(&self, first: &str, lines: &str, body: &str) -> Response {
        let head = self.head(first, lines);
        self.client().await.ask(&format!("{head}{body}")).await
    }

    async fn get(&self, path: &str) -> Response {
        self.ask(&format!("GET {path}"), "", "").await
    }

    /// Sends JSON.
    async fn send(&self, first: &str, body: &str) -> Response {
        let lines = format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
        self.ask(first, &lines, body).await
    }

    /// A number of the listener's own, without labels.
    async fn number(&self, name: &str) -> u64 {
        let reply = self.http.call(Metrics, &Empty {}).await.expect("it tells its numbers");
        let metric = reply.metrics.into_iter().find(|metric| metric.name == name).expect("a metric");
        metric.samples[0].value as u64
    }

    /// Waits until a number of the listener's own is `wanted`.
    async fn number_is(&self, name: &str, wanted: u64) {
        let begun = std::time::Instant::now();
        while self.number(name).await != wanted {
            assert!(begun.elapsed() < PATIENCE, "{name} is {} and not {wanted}", self.number(name).await);
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// The inputs that ops were run with.
    fn inputs(&self) -> Vec<Value> {
        self.host.calls_of("op.v1/run")
    }
}

/// Waits until `holds` does.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = std::time::Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "it never came: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
