//! The unix socket: who may use it, and what is done with one that was left behind.

use super::client::Client;
use super::host;
use crate::TransportHttp;
use crate::config::Settings;
use crate::gate::{Door, actor_rule, host_rule};
use crate::token::Tokens;
use dispatch_sdk::contracts::instance::{Serve, ServeParams};
use dispatch_sdk::fault::UNAVAILABLE;
use dispatch_testkit::{FakeHost, Opened};
use hyper::http::Request;
use serde_json::json;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use tokio::net::{UnixListener, UnixStream};

fn path_in(host: &FakeHost) -> PathBuf {
    PathBuf::from(host.dirs().run).join("below/http.sock")
}

async fn opened(host: &FakeHost) -> Opened {
    host.open::<TransportHttp>("transport-http", json!({})).await.expect("it opens")
}

async fn serve(http: &Opened, path: &Path) -> Result<Vec<String>, dispatch_sdk::Fault> {
    let listen = vec![format!("unix:{}", path.display())];
    http.call(Serve, &ServeParams { listen }).await.map(|reply| reply.addresses)
}

async fn client(path: &Path) -> Client {
    Client::new(UnixStream::connect(path).await.expect("it takes connections"))
}

#[tokio::test]
async fn the_user_needs_no_token_and_no_name_but_a_page_stays_out() {
    let host = host();
    let path = path_in(&host);
    let http = opened(&host).await;
    let addresses = serve(&http, &path).await.expect("it serves");
    assert_eq!(addresses, [format!("unix:{}", path.display())]);
    let found = std::fs::metadata(&path).expect("a socket");
    assert_eq!(found.permissions().mode() & 0o777, 0o600);
    let above = std::fs::metadata(path.parent().expect("it has one")).expect("a directory");
    assert_eq!(above.permissions().mode() & 0o777, 0o700);
    // No token was made for it.
    assert!(!super::token_file(&host).exists());
    for head in ["Host: anything\r\n", ""] {
        let got = client(&path).await.ask(&format!("GET /v1/things/1 HTTP/1.1\r\n{head}\r\n")).await;
        assert_eq!(got.status, 200);
        assert_eq!(got.json()["actor"], format!("uid:{}", found.uid()));
    }
    for page in ["Origin: http://evil.test\r\n", "Sec-Fetch-Site: cross-site\r\n"] {
        let refused = client(&path).await.ask(&format!("GET /v1/things/1 HTTP/1.1\r\n{page}\r\n")).await;
        assert_eq!(refused.status, 403);
    }
    http.stop().await.expect("it stops");
    assert!(!path.exists());
}

#[test]
fn another_user_stays_out_whatever_it_sends() {
    let own = rustix::process::geteuid().as_raw();
    let tokens = Tokens::new(PathBuf::from("/nowhere"));
    let settings = Settings {
        token: Some(crate::config::Secret("a token of the configuration".to_owned())),
        ..Settings::default()
    };
    let request = Request::get("/").header("authorization", "Bearer a token of the configuration");
    let (head, ()) = request.body(()).expect("a request").into_parts();
    for (uid, expected) in [(own, true), (0, true), (own + 1, false), (65_534, false)] {
        let door = Door::Unix { uid };
        assert!(host_rule(&door, &settings, &head).is_ok());
        let admitted = actor_rule(&door, &settings, &tokens, &head.headers);
        assert_eq!(admitted.is_ok(), expected, "{uid}");
        match admitted {
            Ok(actor) => assert_eq!(actor, format!("uid:{uid}")),
            Err(problem) => assert_eq!(problem.status, 403),
        }
    }
}

#[tokio::test]
async fn a_socket_of_a_host_that_is_gone_is_replaced_and_nothing_else_is() {
    let host = host();
    let path = path_in(&host);
    std::fs::create_dir_all(path.parent().expect("it has one")).expect("a directory");
    // Somebody answers there.
    let other = UnixListener::bind(&path).expect("a socket");
    let http = opened(&host).await;
    let fault = serve(&http, &path).await.expect_err("it is taken");
    assert_eq!(fault.code, UNAVAILABLE);
    assert!(fault.message.contains("another process answers"), "{fault}");
    // Nobody does any more.
    drop(other);
    assert!(path.exists());
    serve(&http, &path).await.expect("it serves");
    assert_eq!(client(&path).await.ask("GET /livez HTTP/1.1\r\n\r\n").await.status, 200);
    // What another host has put there since stays when this one stops.
    std::fs::remove_file(&path).expect("it was there");
    let _other = UnixListener::bind(&path).expect("a socket");
    http.stop().await.expect("it stops");
    assert!(path.exists());
    // A file is no socket.
    let file = path.with_extension("txt");
    std::fs::write(&file, "kept").expect("a file");
    let http = opened(&host).await;
    let fault = serve(&http, &file).await.expect_err("it is taken");
    assert!(fault.message.contains("no socket"), "{fault}");
    assert_eq!(std::fs::read_to_string(&file).expect("a file"), "kept");
}
