//! Processes that end in the middle of commits.
//!
//! The test's own binary is the child: told by the environment, the test commits and prints what was acked.

use super::{commit, integrity, keys, open_at, puts, value_of};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use tokio::task::JoinSet;

const CHILD: &str = "STORAGE_SQLITE_TEST_CHILD";
const THIS: &str = "tests::kills::no_acked_commit_is_lost_when_processes_are_killed";
const WRITERS: usize = 8;
const ROUNDS: usize = 5;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::disallowed_methods, reason = "the child of this test is told by its environment")]
async fn no_acked_commit_is_lost_when_processes_are_killed() {
    if let Some(told) = std::env::var_os(CHILD) {
        let told = told.into_string().unwrap();
        let (name, path) = told.split_once(':').unwrap();
        return commit_until_killed(name, Path::new(path)).await;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("dispatch.db");
    let mut acked = Vec::new();
    for round in 0..ROUNDS {
        // Two at once: one is killed, the other goes on meanwhile and is killed later.
        let mut first = child(&format!("{round}a"), &path);
        let mut second = child(&format!("{round}b"), &path);
        acked.extend(acks_until_kill(&mut first, 30 + 45 * round));
        acked.extend(acks_until_kill(&mut second, 60));
    }
    assert!(acked.len() >= ROUNDS * 90, "enough was acked: {}", acked.len());
    let store = open_at(&path).await.unwrap();
    let kept = keys(&store).await;
    let lost: Vec<_> = acked.iter().filter(|key| kept.binary_search(key).is_err()).collect();
    assert!(lost.is_empty(), "lost {} of {}: {lost:?}", lost.len(), acked.len());
    for key in kept.iter().filter(|key| !key.ends_with("/twin")) {
        assert_eq!(value_of(&store, &format!("{key}/twin")).await.as_deref(), Some("2"), "half of a commit");
    }
    store.stop().await.unwrap();
    assert_eq!(integrity(&path), "ok");
}

#[expect(clippy::disallowed_methods, reason = "the test kills this process, so it starts it")]
fn child(name: &str, path: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", THIS, "--nocapture"])
        .env(CHILD, format!("{name}:{}", path.display()))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Reads acks, kills after `n` of them, and reads those that were on their way.
fn acks_until_kill(child: &mut Child, n: usize) -> Vec<String> {
    let mut acked = Vec::new();
    for line in BufReader::new(child.stdout.take().unwrap()).split(b'\n') {
        // The harness writes lines of its own; a killed child may leave half a line.
        let line = String::from_utf8(line.unwrap()).unwrap();
        if let Some(key) = line.strip_prefix("acked ").and_then(|rest| rest.strip_suffix('.')) {
            acked.push(key.to_owned());
        }
        if acked.len() == n {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    acked
}

async fn commit_until_killed(name: &str, path: &Path) {
    let store = open_at(path).await.unwrap();
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let (store, name) = (store.clone(), name.to_owned());
        writers.spawn(async move {
            for i in 0.. {
                let key = format!("{name}/{writer}/{i:06}");
                commit(&store, &puts(&[(&key, "1"), (&format!("{key}/twin"), "2")])).await.unwrap();
                // Not `println!`, which the harness may hold back.
                std::io::stdout().write_all(format!("acked {key}.\n").as_bytes()).unwrap();
            }
        });
    }
    writers.join_all().await;
}
