//! However a call ends, its program and everything below it ends.

use super::{assert_alive, assert_gone, bare, guarded, mark, run, sh, text, wait_for};
use dispatch_sdk::contracts::exec::{Spawn, SpawnParams};
use dispatch_testkit::Opened;

/// A program that survives SIGTERM.
const STUBBORN: &str = "trap '' TERM; echo up; while :; do sleep 0.02; done";

async fn a_background_child_ends_with_its_program(exec: &Opened) {
    let mark = mark();
    let (output, reply) = run(exec, &sh(&format!("sleep {mark} & echo up"))).await;
    let reply = reply.expect("it ended by itself");
    assert_eq!((output.as_str(), reply.exit_code, reply.timed_out), ("up\n", Some(0), false));
    assert_gone(&mark).await;
}

#[tokio::test]
async fn a_child_that_holds_the_pipe_does_not_hold_the_call() {
    a_background_child_ends_with_its_program(&guarded().await).await;
    a_background_child_ends_with_its_program(&bare().await).await;
}

/// Fault test 8, with room for a busy machine; what holds the pipe would hold it for a minute.
const RETURNS_AFTER_MS: u64 = 500 + 1_500;

#[tokio::test]
async fn whoever_holds_a_pipe_and_whatever_it_still_writes_the_call_returns() {
    let exec = guarded().await;
    for holder in [
        "sleep MARK &",
        "setsid sleep MARK >/dev/null &",
        "(setsid sh -c 'sleep MARK & exec sleep MARK' 2>/dev/null &)",
        "(trap '' TERM PIPE; while :; do echo more; sleep MARK & sleep 0.01; done) &",
        "(yes; sleep MARK) &",
    ] {
        let mark = mark();
        let (_, reply) = run(&exec, &sh(&format!("{holder}\necho up").replace("MARK", &mark))).await;
        let reply = reply.expect("it ended by itself");
        assert_eq!((reply.exit_code, reply.timed_out), (Some(0), false), "{holder}");
        assert!(reply.duration_ms < RETURNS_AFTER_MS, "{holder}: {reply:?}");
        assert_gone(&mark).await;
    }
}

#[tokio::test]
async fn output_of_a_child_that_outlives_its_program_a_little_is_kept() {
    let (output, reply) = run(&guarded().await, &sh("(sleep 0.1; echo late) & echo up")).await;
    assert_eq!((output.as_str(), reply.expect("it ended").exit_code), ("up\nlate\n", Some(0)));
}

async fn a_timeout_kills(exec: &Opened) {
    let mark = mark();
    let line = format!("sleep {mark} & {STUBBORN}");
    let (output, reply) = run(exec, &SpawnParams { timeout_ms: 200, ..sh(&line) }).await;
    let reply = reply.expect("a timeout is an answer");
    assert_eq!((output.as_str(), reply.exit_code, reply.signal), ("up\n", None, Some(9)));
    assert!(reply.timed_out && !reply.cancelled, "{reply:?}");
    assert_gone(&mark).await;
}

#[tokio::test]
async fn a_timeout_kills_a_program_that_ignores_sigterm_and_keeps_its_output() {
    a_timeout_kills(&guarded().await).await;
    a_timeout_kills(&bare().await).await;
}

async fn cancelling_answers(exec: &Opened, line: &str) -> (String, Option<i32>, Option<i32>) {
    let mut stream = exec.stream(Spawn, &sh(line));
    wait_for(&mut stream, "up\n").await;
    stream.cancel();
    let (frames, reply) = stream.finish().await;
    let reply = reply.expect("a cancelled call answers within its grace");
    assert!(reply.cancelled && !reply.timed_out, "{reply:?}");
    (text(&frames), reply.exit_code, reply.signal)
}

#[tokio::test]
async fn cancelling_lets_a_program_say_its_last_words() {
    // The shell itself reports the end of its `sleep` on standard error.
    let line = "exec 2>/dev/null; trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.02; done";
    for exec in [guarded().await, bare().await] {
        assert_eq!(cancelling_answers(&exec, line).await, ("bye\n".to_owned(), Some(3), None));
    }
}

#[tokio::test]
async fn cancelling_kills_a_program_that_ignores_sigterm_and_its_children() {
    for exec in [guarded().await, bare().await] {
        let mark = mark();
        let line = format!("sleep {mark} & {STUBBORN}");
        assert_eq!(cancelling_answers(&exec, &line).await, (String::new(), None, Some(9)));
        assert_gone(&mark).await;
    }
}

#[tokio::test]
async fn a_call_that_is_dropped_without_a_grace_leaves_nothing() {
    for exec in [guarded().await, bare().await] {
        exec.host().set_cancel_grace_ms(0);
        let mark = mark();
        let mut stream = exec.stream(Spawn, &sh(&format!("sleep {mark} & {STUBBORN}")));
        wait_for(&mut stream, "up\n").await;
        assert_alive(&mark).await;
        drop(stream);
        assert_gone(&mark).await;
    }
}

#[tokio::test]
async fn stopping_the_instance_leaves_nothing() {
    let exec = guarded().await;
    let mark = mark();
    let mut stream = exec.stream(Spawn, &sh(&format!("echo up; exec sleep {mark}")));
    wait_for(&mut stream, "up\n").await;
    exec.stop().await.expect("it stops");
    drop((stream, exec));
    assert_gone(&mark).await;
}

#[tokio::test]
async fn neither_setsid_nor_a_double_fork_nor_nohup_escapes_the_guard() {
    let exec = guarded().await;
    for escape in [
        "setsid sleep MARK &",
        "(setsid sh -c 'sleep MARK & exec sleep MARK' &)",
        "nohup sleep MARK &",
        // An ignored signal stays ignored in what is started.
        "(trap '' TERM; setsid sh -c 'sleep MARK & exec sleep MARK' &)",
    ] {
        let mark = mark();
        let line = format!("{escape}\necho up; sleep 61").replace("MARK", &mark);
        let mut stream = exec.stream(Spawn, &sh(&line));
        wait_for(&mut stream, "up\n").await;
        assert_alive(&mark).await;
        stream.cancel();
        stream.finish().await.1.expect("a cancelled call answers");
        assert_gone(&mark).await;
    }
}

#[tokio::test]
async fn a_program_whose_guard_is_killed_dies_with_it() {
    let mark = mark();
    let (_, reply) = run(&guarded().await, &sh(&format!("kill -9 $PPID; exec sleep {mark}"))).await;
    assert_eq!(reply.expect("it ended").signal, Some(9));
    assert_gone(&mark).await;
}
