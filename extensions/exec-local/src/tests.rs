//! What `exec-local` promises, against real processes and the real shim.

mod artifacts;
mod barring;
mod checking;
mod ending;
mod files;
mod output;
mod reaching;
mod running;
mod searching;
mod writing;

use crate::ExecLocal;
use dispatch_sdk::contracts::exec::{OutputFrame, Spawn, SpawnParams, SpawnReply};
use dispatch_sdk::{Fault, Item};
use dispatch_testkit::{FakeHost, Opened, OpenedStream};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Fault test 7: nothing is alive after this.
const GONE_AFTER: Duration = Duration::from_secs(3);

/// The command of the real shim, as cargo builds it beside the tests.
fn shim() -> Vec<String> {
    let test = std::env::current_exe().expect("a test knows its own file");
    let path = test.ancestors().nth(2).expect("target/debug").join("examples/exec-shim-under-test");
    assert!(path.exists(), "`{}` is missing; run the whole `cargo test -p ext-exec-local`", path.display());
    vec![path.to_string_lossy().into_owned(), "exec-shim".to_owned()]
}

async fn open(config: Value) -> Opened {
    FakeHost::new().open::<ExecLocal>("exec-local", config).await.expect("it opens")
}

async fn guarded() -> Opened {
    open(json!({ "shim": shim() })).await
}

async fn bare() -> Opened {
    open(json!({ "shim": [] })).await
}

fn sh(line: &str) -> SpawnParams {
    SpawnParams {
        argv: vec!["sh".to_owned(), "-c".to_owned(), line.to_owned()],
        cwd: "/".to_owned(),
        env: BTreeMap::new(),
        timeout_ms: 0,
        output_bytes_max: 0,
        output_file_over_bytes: 0,
    }
}

async fn run(exec: &Opened, params: &SpawnParams) -> (String, Result<SpawnReply, Fault>) {
    let (frames, reply) = exec.stream(Spawn, params).finish().await;
    (text(&frames), reply)
}

fn text(frames: &[OutputFrame]) -> String {
    frames.iter().map(|frame| frame.text.as_str()).collect()
}

/// Reads until the program has written `word`.
async fn wait_for(stream: &mut OpenedStream<Spawn>, word: &str) {
    let mut seen = String::new();
    while !seen.contains(word) {
        match stream.next().await.expect("it has not failed") {
            Item::Frame(frame) => seen.push_str(&frame.text),
            Item::End(reply) => panic!("it ended before it wrote `{word}`: {seen:?} {reply:?}"),
        }
    }
}

/// A duration for `sleep` that no other process on this machine sleeps.
fn mark() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("61.{:06}{:03}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Waits until no process has `mark` among its words.
async fn assert_gone(mark: &str) {
    let until = Instant::now() + GONE_AFTER;
    while let Some(pid) = alive(mark) {
        assert!(Instant::now() < until, "process {pid} is alive");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Waits until a process has `mark` among its words: a fork has happened before its exec.
async fn assert_alive(mark: &str) {
    let until = Instant::now() + GONE_AFTER;
    while alive(mark).is_none() {
        assert!(Instant::now() < until, "no process with `{mark}` came");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn alive(mark: &str) -> Option<String> {
    let processes = std::fs::read_dir("/proc").expect("a Linux machine").flatten();
    let words = |pid: &str| std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    processes.map(|process| process.file_name().to_string_lossy().into_owned()).find(|pid| {
        pid.bytes().all(|byte| byte.is_ascii_digit())
            && words(pid).split(|byte| *byte == 0).any(|word| word == mark.as_bytes())
    })
}

dispatch_testkit::settings_test!(super::Settings);
