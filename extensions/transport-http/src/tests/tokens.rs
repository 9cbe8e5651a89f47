//! The token's file: how it is made, what is refused, and that a rotation holds at once.

use super::{World, host, serve, token_file, world};
use crate::TransportHttp;
use dispatch_sdk::contracts::instance::{Serve, ServeParams};
use dispatch_sdk::fault::{DENIED, INVALID, IO};
use serde_json::{Value, json};
use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).expect("it is there").mode() & 0o7777
}

async fn status(world: &World, token: &str) -> u16 {
    let request = format!(
        "GET /v1/things/1 HTTP/1.1\r\nHost: {}\r\nAuthorization: bearer {token}\r\n\r\n",
        world.address
    );
    world.client().await.ask(&request).await.status
}

async fn refused(config: Value, prepare: impl FnOnce(&Path)) -> (String, String) {
    let host = host();
    let file = token_file(&host);
    std::fs::create_dir_all(file.parent().expect("it has one")).expect("a directory");
    prepare(&file);
    let mut config = config;
    config["listen"] = json!(["127.0.0.1:0"]);
    let http = host.open::<TransportHttp>("transport-http", config).await.expect("it opens");
    let fault = http.call(Serve, &ServeParams::default()).await.expect_err("it does not serve");
    (fault.code, fault.message)
}

#[tokio::test]
async fn a_token_of_256_bits_is_made_for_this_user_alone_and_kept() {
    let world = world(json!({})).await;
    let file = token_file(&world.host);
    assert_eq!((mode(&file), mode(file.parent().expect("it has one"))), (0o600, 0o700));
    assert_eq!(world.token.len(), 64);
    assert!(world.token.bytes().all(|b| b.is_ascii_hexdigit()));
    let beside = std::fs::read_dir(file.parent().expect("it has one")).expect("a directory").count();
    assert_eq!(beside, 1);
    world.http.stop().await.expect("it stops");
    let again = serve(world.host.clone(), json!({})).await;
    assert_eq!(again.token, world.token);
    let logged = format!("{:?}", world.host.logs());
    assert!(!logged.contains(&world.token), "a secret stands in the log");
}

#[tokio::test]
async fn a_rotated_token_holds_at_once_and_the_old_one_no_more() {
    let world = world(json!({})).await;
    let file = token_file(&world.host);
    let mut before = world.token.clone();
    for n in 0..20 {
        // In place and of the same length, faster than any clock of a file system ticks.
        let next = format!("{n:064}");
        std::fs::write(&file, &next).expect("a file");
        assert_eq!((status(&world, &next).await, status(&world, &before).await), (200, 401));
        before = next;
    }
}

#[tokio::test]
async fn with_a_file_that_cannot_be_used_nobody_gets_in() {
    let world = world(json!({})).await;
    let file = token_file(&world.host);
    std::fs::remove_file(&file).expect("it was there");
    for _ in 0..3 {
        assert_eq!(status(&world, &world.token).await, 401);
    }
    for bad in ["", "\n", "short"] {
        std::fs::write(&file, bad).expect("a file");
        std::fs::set_permissions(&file, Permissions::from_mode(0o600)).expect("it is ours");
        assert_eq!(status(&world, bad.trim()).await, 401);
        assert_eq!(status(&world, "").await, 401);
    }
    std::fs::write(&file, &world.token).expect("a file");
    assert_eq!(status(&world, &world.token).await, 200);
    std::fs::set_permissions(&file, Permissions::from_mode(0o644)).expect("it is ours");
    assert_eq!(status(&world, &world.token).await, 401);
    let probe = format!("GET /readyz HTTP/1.1\r\nHost: {}\r\n\r\n", world.address);
    assert_eq!(world.client().await.ask(&probe).await.status, 200);
}

#[tokio::test]
async fn a_file_that_others_can_read_or_planted_is_refused_at_the_start() {
    let token = "0123456789abcdef0123456789abcdef";
    for open in [0o644, 0o640, 0o604, 0o620] {
        let (code, message) = refused(json!({}), |file| {
            std::fs::write(file, token).expect("a file");
            std::fs::set_permissions(file, Permissions::from_mode(open)).expect("it is ours");
        })
        .await;
        assert_eq!(code, DENIED);
        assert!(message.ends_with("`chmod 600` it"), "{message}");
    }
    let (_, message) = refused(json!({}), |file| {
        let other = file.with_extension("other");
        std::fs::write(&other, token).expect("a file");
        symlink(other, file).expect("a link");
    })
    .await;
    assert!(message.contains("no file, or a link"), "{message}");
    let (_, message) = refused(json!({}), |file| {
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, file, rustix::fs::FileType::Fifo, mode, 0).expect("a pipe");
    })
    .await;
    assert!(message.contains("no file, or a link"), "{message}");
    let (code, message) = refused(json!({ "token_file": "/proc/nothing/token" }), |_| {}).await;
    assert_eq!(code, IO, "{message}");
}

#[tokio::test]
async fn a_token_of_the_configuration_needs_no_file() {
    let token = "a token of the configuration";
    let world = serve(host(), json!({ "token": token })).await;
    assert_eq!((status(&world, token).await, status(&world, "x").await), (200, 401));
    assert!(!token_file(&world.host).exists());
    let short = host().open::<TransportHttp>("transport-http", json!({ "token": "short" })).await;
    let Err(fault) = short else { panic!("it opened") };
    assert_eq!(fault.code, INVALID);
    assert!(!fault.message.contains("`short`"), "{fault}");
}
