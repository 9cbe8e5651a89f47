//! How programs start, what they see, and what is said when they cannot.

use super::{bare, guarded, open, run, sh, shim, wait_for};
use crate::{CHILDREN_MAX, ExecLocal};
use dispatch_sdk::Fault;
use dispatch_sdk::contracts::exec::{Spawn, SpawnParams, SpawnReply};
use dispatch_sdk::contracts::tool::OutputStream;
use dispatch_testkit::FakeHost;
use serde_json::json;
use std::collections::BTreeMap;

fn program(words: &[&str]) -> SpawnParams {
    SpawnParams { argv: words.iter().map(|word| (*word).to_owned()).collect(), ..sh("") }
}

#[tokio::test]
async fn a_missing_program_is_not_found_and_both_names_are_said() {
    for exec in [guarded().await, bare().await] {
        let fault = run(&exec, &program(&["no-such-program-here"])).await.1.expect_err("nothing runs");
        let message =
            "cannot run `no-such-program-here` in `/`: no such program, or its interpreter is missing";
        assert_eq!(fault, Fault::new("not_found", message));
    }
}

#[tokio::test]
async fn a_file_that_is_no_program_is_denied() {
    for exec in [guarded().await, bare().await] {
        let fault = run(&exec, &program(&["/etc/passwd"])).await.1.expect_err("nothing runs");
        let message = "cannot run `/etc/passwd` in `/`: it may not be executed";
        assert_eq!(fault, Fault::new("denied", message));
    }
}

#[tokio::test]
async fn a_directory_that_is_missing_relative_or_a_file_is_invalid() {
    let exec = bare().await;
    for (cwd, found) in [
        ("/no/such/directory", "there is no directory of that name, or none any more"),
        ("relative", "it is not an absolute path of a directory"),
        ("", "it is not an absolute path of a directory"),
        ("/etc/passwd", "it is no directory"),
    ] {
        let params = SpawnParams { cwd: cwd.to_owned(), ..program(&["true"]) };
        let message = format!("cannot run `true` in `{cwd}`: {found}");
        assert_eq!(run(&exec, &params).await.1, Err(Fault::new("invalid", message)));
    }
}

#[tokio::test]
async fn words_that_no_program_can_get_are_invalid() {
    let exec = bare().await;
    let with_env = |name: &str, value: &str| SpawnParams {
        env: BTreeMap::from([(name.to_owned(), value.to_owned())]),
        ..program(&["true"])
    };
    let wrong = [
        program(&[]),
        program(&[""]),
        program(&["echo", "a\0b"]),
        with_env("A=B", "c"),
        with_env("", "c"),
        with_env("A", "\0"),
    ];
    for params in wrong {
        let fault = run(&exec, &params).await.1.expect_err("nothing runs");
        assert_eq!(fault.code, "invalid", "{fault}");
    }
}

#[tokio::test]
async fn a_shim_that_is_missing_is_named() {
    let exec = FakeHost::new().open::<ExecLocal>("exec-local", json!({})).await.expect("it opens");
    let fault = run(&exec, &program(&["true"])).await.1.expect_err("the fake host has no binary");
    assert_eq!(fault.code, "io");
    assert!(fault.message.contains("/dispatch`, which guards programs: "), "{fault}");
}

#[tokio::test]
async fn a_wrong_configuration_is_refused_by_name() {
    let refused = async |config| match FakeHost::new().open::<ExecLocal>("exec-local", config).await {
        Ok(_) => panic!("it opened"),
        Err(fault) => fault.message,
    };
    assert_eq!(
        refused(json!({ "limits": { "luck": 1 } })).await,
        "`exec-local`: no limit `luck`; known: as, core, cpu, fsize, nofile, nproc"
    );
    assert_eq!(
        refused(json!({ "shim": [], "limits": { "cpu": 1 } })).await,
        "`exec-local`: `limits` need a `shim`"
    );
    assert!(refused(json!({ "shimm": [] })).await.contains("unknown field `shimm`"));
}

#[tokio::test]
async fn the_reply_says_how_it_ended() {
    for exec in [guarded().await, bare().await] {
        let end = async |line: &str| {
            let SpawnReply { exit_code, signal, output_bytes, .. } =
                run(&exec, &sh(line)).await.1.expect("it ran");
            (exit_code, signal, output_bytes)
        };
        assert_eq!(end("exit 0").await, (Some(0), None, 0));
        assert_eq!(end("echo out; echo err >&2; exit 7").await, (Some(7), None, 8));
        assert_eq!(end("exit 127").await, (Some(127), None, 0));
        assert_eq!(end("kill -9 $$").await, (None, Some(9), 0));
        assert_eq!(end("kill -TERM $$").await, (None, Some(15), 0));
    }
}

#[tokio::test]
async fn both_streams_are_told_apart() {
    let line = "echo out; sleep 0.05; echo err >&2";
    let (frames, reply) = guarded().await.stream(Spawn, &sh(line)).finish().await;
    reply.expect("it ran");
    let frames: Vec<_> = frames.iter().map(|frame| (frame.stream, frame.text.as_str())).collect();
    assert_eq!(frames, [(OutputStream::Stdout, "out\n"), (OutputStream::Stderr, "err\n")]);
}

#[tokio::test]
async fn a_program_has_no_input_no_terminal_and_a_default_sigpipe() {
    let line = "cat; (exec </dev/tty) 2>/dev/null || echo no terminal; yes | head -n 1; ls -l /proc/self/fd | grep -c socket";
    let (output, reply) = run(&guarded().await, &sh(line)).await;
    reply.expect("it ran");
    // Control would be a socket.
    assert_eq!(output, "no terminal\ny\n0\n");
}

#[tokio::test]
async fn of_the_hosts_environment_only_the_listed_variables_pass() {
    // Cargo sets these for every test; to a program they are as foreign as a secret.
    #[expect(clippy::disallowed_methods, reason = "the claim is about the environment of this process")]
    let secrets = ["CARGO_PKG_NAME", "CARGO_MANIFEST_DIR"].map(std::env::var_os);
    assert!(secrets.iter().all(Option::is_some));
    let config = json!({ "shim": shim(), "env_also": ["CARGO_PKG_NAME"] });
    for (exec, also) in [(guarded().await, ""), (open(config).await, "CARGO_PKG_NAME=ext-exec-local\n")] {
        let asked =
            [("ASKED", "for"), ("PAGER", "less")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        let env = BTreeMap::from(asked);
        let (output, reply) = run(&exec, &SpawnParams { env, ..program(&["env"]) }).await;
        assert_eq!(reply.expect("it ran").exit_code, Some(0));
        let listed = |name: &str| crate::environment::PASSED.contains(&name) || name.starts_with("LC_");
        let mut rest: Vec<_> = output
            .split_inclusive('\n')
            .filter(|line| !line.split_once('=').is_some_and(|(name, _)| listed(name)))
            .collect();
        rest.sort_unstable();
        let expected = format!(
            "AGENT=dispatch\nAI_AGENT=dispatch\nASKED=for\n{also}GIT_EDITOR=true\nGIT_PAGER=cat\n\
             GIT_TERMINAL_PROMPT=0\nMANPAGER=cat\nPAGER=less\nTERM=dumb\n"
        );
        assert_eq!(rest.concat(), expected);
        assert!(output.contains("PATH="));
    }
}

#[tokio::test]
async fn limits_of_the_build_bind_every_program() {
    let exec = open(json!({ "shim": shim(), "limits": { "nofile": 64, "core": 0 } })).await;
    let (output, _) = run(&exec, &sh("ulimit -n; ulimit -Hn; ulimit -c")).await;
    assert_eq!(output, "64\n64\n0\n");
}

#[tokio::test]
async fn more_programs_than_the_bound_are_refused_until_one_ends() {
    let exec = bare().await;
    let mut running = Vec::new();
    for _ in 0..CHILDREN_MAX {
        let mut stream = exec.stream(Spawn, &sh("echo up; exec sleep 61"));
        wait_for(&mut stream, "up\n").await;
        running.push(stream);
    }
    let fault = run(&exec, &program(&["true"])).await.1.expect_err("all places are taken");
    assert_eq!((fault.code.as_str(), fault.detail), ("overloaded", json!({ "retry_after_ms": 1000 })));
    let first = running.swap_remove(0);
    first.cancel();
    first.finish().await.1.expect("a cancelled call answers");
    assert_eq!(run(&exec, &program(&["true"])).await.1.expect("there is room again").exit_code, Some(0));
}
