//! The file with the whole output: when there is one, what it holds, and what all of them may weigh.

use super::{open, run, sh, shim};
use crate::ExecLocal;
use crate::artifact::{Artifact, Bounds, Kept};
use dispatch_sdk::contracts::exec::{SpawnParams, SpawnReply};
use dispatch_testkit::{FakeHost, Opened};
use rustix::fs::FlockOperation;
use serde_json::json;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Far more than a test waits.
const WAIT: Duration = Duration::from_secs(10);

async fn guarded() -> Opened {
    open(json!({ "shim": shim() })).await
}

fn output_dir(exec: &Opened) -> PathBuf {
    Path::new(&exec.host().dirs().cache).join("exec-local/output")
}

fn names(dir: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let mut names: Vec<_> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("it is there").permissions().mode() & 0o7777
}

async fn ran(exec: &Opened, params: &SpawnParams) -> SpawnReply {
    run(exec, params).await.1.expect("it ended")
}

#[tokio::test]
async fn output_that_is_cut_lies_whole_in_a_private_file() {
    let exec = guarded().await;
    let line = "seq 1 40000; printf 'a\\377b' >&2";
    let reply = ran(&exec, &SpawnParams { output_bytes_max: 1000, ..sh(line) }).await;
    let path = PathBuf::from(reply.output_file.expect("there is one"));
    assert_eq!((path.parent(), reply.output_file_note.as_str()), (Some(output_dir(&exec).as_path()), ""));
    let kept = fs::read(&path).expect("it is there");
    assert_eq!(kept.len() as u64, reply.output_bytes);
    let numbers: Vec<u8> = (1..=40_000).flat_map(|n| format!("{n}\n").into_bytes()).collect();
    assert!(kept == [numbers.as_slice(), b"a\xffb"].concat(), "both streams, byte by byte");
    assert_eq!((mode(&path), mode(&output_dir(&exec))), (0o600, 0o700));
}

#[tokio::test]
async fn output_that_is_passed_on_whole_leaves_no_file_unless_it_is_wanted() {
    let exec = guarded().await;
    for line in ["true", "echo short", "seq 1 40000"] {
        let reply = ran(&exec, &sh(line)).await;
        assert_eq!((reply.output_file, reply.output_file_note), (None, String::new()), "{line}");
    }
    let over = |bytes| SpawnParams { output_file_over_bytes: bytes, ..sh("printf 12345") };
    assert_eq!(ran(&exec, &over(5)).await.output_file, None);
    assert_eq!(names(&output_dir(&exec)), [""; 0]);
    let path = ran(&exec, &over(4)).await.output_file.expect("there is one");
    assert_eq!(fs::read(path).expect("it is there"), b"12345");
}

#[tokio::test]
async fn a_program_that_is_killed_leaves_what_it_wrote() {
    let exec = guarded().await;
    let params = SpawnParams { timeout_ms: 300, output_bytes_max: 1000, ..sh("seq 1 20000; sleep 61") };
    let reply = ran(&exec, &params).await;
    assert!(reply.timed_out, "{reply:?}");
    let kept = fs::read(reply.output_file.expect("there is one")).expect("it is there");
    assert_eq!(kept.len() as u64, reply.output_bytes);
}

#[tokio::test]
async fn a_call_that_is_dropped_leaves_no_file() {
    let exec = guarded().await;
    exec.host().set_cancel_grace_ms(0);
    // One that ended at once when asked could still answer.
    let line = "trap '' TERM; seq 1 40000; while :; do sleep 0.02; done";
    let params = SpawnParams { output_bytes_max: 1000, ..sh(line) };
    let stream = exec.stream(dispatch_sdk::contracts::exec::Spawn, &params);
    let until = std::time::Instant::now() + WAIT;
    while names(&output_dir(&exec)).is_empty() {
        assert!(std::time::Instant::now() < until, "no file came");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    drop(stream);
    while !names(&output_dir(&exec)).is_empty() {
        assert!(std::time::Instant::now() < until, "the file stayed");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Bounds that a test reaches.
const SMALL: Bounds = Bounds { file_bytes_max: 100_000, all_bytes_max: 250_000, files_max: 4 };

async fn kept(path: &Path, n_bytes: usize) -> Kept {
    let mut artifact = Artifact::new(path.to_owned(), SMALL);
    for _ in 0..n_bytes / 1000 {
        artifact.push(&[b'x'; 1000]);
        artifact.settle().await;
    }
    artifact.finish(true, WAIT).await
}

#[tokio::test]
async fn a_file_has_a_bound_and_says_that_more_came() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("1.log");
    let note = "it holds only the first 100000 bytes".to_owned();
    assert_eq!(kept(&path, 300_000).await, Kept { file: Some(path.display().to_string()), note });
    let text = fs::read_to_string(path).expect("it is there");
    let last = "\n[… only the first 100000 bytes are kept …]\n";
    assert_eq!(text, format!("{}{last}", "x".repeat(100_000)));
}

#[tokio::test]
async fn the_oldest_files_make_room_but_none_that_is_still_written() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = |name: &str| dir.path().join(name);
    fs::write(path("other.txt"), [b'x'; 300_000]).expect("the directory is ours");
    for (n, name) in ["1.log", "2.log", "3.log"].iter().enumerate() {
        let file = File::create(path(name)).expect("the directory is ours");
        file.set_len(70_000).expect("the file is ours");
        let at = std::time::UNIX_EPOCH + Duration::from_secs(1_000 + n as u64);
        file.set_modified(at).expect("the file is ours");
    }
    // As another host does that writes it.
    let written = File::open(path("1.log")).expect("it is there");
    rustix::fs::flock(&written, FlockOperation::LockExclusive).expect("nobody else has it");
    kept(&path("4.log"), 1000).await.file.expect("there is room");
    assert_eq!(names(dir.path()), ["1.log", "3.log", "4.log", "other.txt"]);
    // Their number has a bound too.
    for name in ["5.log", "6.log"] {
        kept(&path(name), 1000).await.file.expect("there is room");
    }
    assert_eq!(names(dir.path()), ["1.log", "4.log", "5.log", "6.log", "other.txt"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_that_write_at_once_keep_to_the_bound_and_every_answer_is_true() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    for round in 0..10 {
        let writers = (0..4).map(|n| {
            let path = dir.path().join(format!("{round}-{n}.log"));
            tokio::spawn(async move { (kept(&path, 90_000).await, path) })
        });
        for writer in writers.collect::<Vec<_>>() {
            let (kept, path) = writer.await.expect("it does not panic");
            // Kept, and cleared away since, or not; or given up, and then it is gone.
            assert!(kept.file.is_some() != kept.note.starts_with("its output was not kept: "), "{kept:?}");
            assert!(kept.file.is_some() || !path.exists(), "{kept:?}");
        }
    }
    let sizes = fs::read_dir(dir.path()).expect("ours").flatten().map(|entry| entry.metadata());
    let sizes: Vec<u64> = sizes.map(|found| found.expect("ours").len()).collect();
    assert!(sizes.iter().all(|bytes| *bytes == 90_000), "what stays is whole: {sizes:?}");
    // As many as write at once may each be over by one file.
    let bound = SMALL.all_bytes_max + 4 * SMALL.file_bytes_max;
    assert!(!sizes.is_empty() && sizes.iter().sum::<u64>() <= bound, "{sizes:?}");
}

#[tokio::test]
async fn where_others_take_all_room_nothing_is_kept_and_the_reason_is_said() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let other = File::create(dir.path().join("1.log")).expect("the directory is ours");
    other.set_len(200_000).expect("the file is ours");
    rustix::fs::flock(&other, FlockOperation::LockExclusive).expect("nobody else has it");
    let note = "its output was not kept: the output of other programs takes all the room there is".to_owned();
    assert_eq!(kept(&dir.path().join("2.log"), 1000).await, Kept { file: None, note });
    assert_eq!(names(dir.path()), ["1.log"]);
}

#[tokio::test]
async fn a_full_disk_costs_the_file_and_is_said() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let full = File::options().write(true).open("/dev/full").expect("a Linux machine");
    let path = dir.path().join("1.log");
    fs::write(&path, "half").expect("the directory is ours");
    let mut artifact = Artifact::onto(path, full);
    for _ in 0..1000 {
        artifact.push(&[b'x'; 1000]);
        artifact.settle().await;
    }
    let note = "its output was not kept: the disk is full".to_owned();
    assert_eq!(artifact.finish(true, WAIT).await, Kept { file: None, note });
    assert_eq!(names(dir.path()), [""; 0]);
}

#[tokio::test]
async fn a_program_does_not_suffer_when_its_output_cannot_be_kept() {
    let host = FakeHost::new();
    fs::write(Path::new(&host.dirs().cache).join("exec-local"), "in the way").expect("the directory is ours");
    let exec = host.open::<ExecLocal>("exec-local", json!({ "shim": shim() })).await.expect("it opens");
    let params = SpawnParams { output_bytes_max: 1000, ..sh("seq 1 40000") };
    let reply = ran(&exec, &params).await;
    assert_eq!((reply.exit_code, reply.output_file), (Some(0), None));
    assert!(reply.output_file_note.starts_with("its output was not kept: "), "{}", reply.output_file_note);
}
