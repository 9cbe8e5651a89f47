//! Signals at any time: the host ends in order, says so by its exit code, and nothing that ran is lost.

use crate::host::{Host, Ran, Running, conversation_of, dialogue, only};
use dispatch_testkit::fake_llm::{Action, Rule, Script};
use house::bin_dir;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, ErrorKind, PipeReader, Read as _, Write as _};
use std::process::{Child, Command, Stdio};

/// Most lines of a log among which one is looked for, and most looks at what another process writes.
const LOOKED_AT_MAX: usize = 10_000;

/// Says half of an answer and then nothing; later requests are answered.
fn stalling() -> Host {
    Host::new(Script::rules(vec![
        Rule::once(vec![Action::text("half a thought"), Action::Stall]),
        Rule::always(vec![Action::text("going on")]),
    ]))
}

#[expect(clippy::disallowed_methods, reason = "std sends no signal but SIGKILL")]
fn signal(name: &str, pid: u32) {
    let status = Command::new("kill").args(["-s", name, &pid.to_string()]).status();
    assert!(status.expect("kill is there").success());
}

#[test]
fn a_host_that_is_told_to_end_while_it_starts_stops_all_that_has_started_in_reverse() {
    let host = stalling();
    let library = bin_dir().join("libtoy_callee.so");
    let entry = |id: &str, fail: &str| {
        format!(
            "[[extension]]\nid = \"{id}\"\nfrom = \"toy-callee\"\npath = \"{}\"\nconfig = {{ tells = true, fail = \"{fail}\" }}\n",
            library.display()
        )
    };
    let caller = format!(
        "[[extension]]\nid = \"toy-caller\"\npath = \"{}\"\n",
        bin_dir().join("libtoy_caller.so").display()
    );
    let text = format!(
        "bind = {{ \"toy.v1\" = \"first\" }}\n{}{}{}{caller}",
        entry("first", ""),
        entry("slow", "slow in start"),
        entry("third", "")
    );
    let build = host.write("slow.toml", &text);
    for (words, name, code) in [
        (&["serve"][..], "TERM", 143),
        (&["toy", "echo"], "INT", 130),
        (&["toy", "echo"], "HUP", 129),
        (&["doctor"], "TERM", 143),
        (&["backup", "create", "copy"], "TERM", 143),
    ] {
        let mut command = host.bare(words);
        command.arg("--build").arg(&build).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("started");
        let mut log = BufReader::new(child.stderr.take().expect("piped"));
        let (mut line, mut told) = (String::new(), Vec::new());
        while line != "toy `slow` is being started\n" {
            line.clear();
            assert!(log.read_line(&mut line).expect("readable") > 0, "the log ended: {told:?}");
            told.push(line.clone());
            assert!(told.len() < LOOKED_AT_MAX, "{told:?}");
        }
        signal(name, child.id());
        let mut rest = String::new();
        log.read_to_string(&mut rest).expect("readable");
        assert_eq!(child.wait().expect("waited").code(), Some(code), "{words:?} {name}: {rest}");
        let toys: Vec<&str> = rest.lines().filter(|line| line.starts_with("toy ")).collect();
        assert_eq!(toys, ["toy `slow` is being stopped", "toy `first` is being stopped"], "{words:?} {name}");
        assert!(!rest.contains("left behind"), "{rest}");
        let locks = std::fs::read_dir(host.home().join("state/hosts")).expect("there").count();
        assert_eq!(locks, 0, "{words:?} {name}: its lock is gone");
    }
}

#[test]
fn a_turn_whose_run_is_told_to_end_is_interrupted_and_kept() {
    for (name, code, status) in
        [("TERM", 143, "interrupted"), ("HUP", 129, "interrupted"), ("INT", 130, "cancelled")]
    {
        let host = stalling();
        let mut run: Running = host.start(&["think"]);
        run.until("text_delta");
        run.signal(name);
        let (ended, rest) = run.end();
        assert_eq!(ended, Some(code), "{name}: {rest:#?}");
        assert_eq!(only(&rest, "turn_ended")["status"], status, "{name}");
        let conversation = conversation_of(&rest);
        let ran = host.run(&["--conversation", &conversation, "go on"]);
        assert_eq!(ran.code, Some(0), "{name}: {}", ran.stderr);
        let requests = host.llm.requests();
        let sent = dialogue(requests[1].messages());
        assert!(
            sent.contains(&"user: think".to_owned()) && sent.contains(&"user: go on".to_owned()),
            "{sent:?}"
        );
        assert!(sent.iter().any(|said| said.starts_with("assistant: half a thought")), "{name}: {sent:?}");
    }
}

#[test]
fn a_tool_that_runs_when_its_run_is_told_to_end_has_a_result() {
    let host = Host::new(Script::rules(vec![Rule::once(vec![Action::tool_call(
        "shell",
        json!({ "command": "echo started; sleep 600" }),
    )])]));
    let mut run = host.start(&["--allow", "exec", "wait"]);
    run.until("tool_output");
    run.signal("TERM");
    let (code, rest) = run.end();
    assert_eq!(code, Some(143), "{rest:#?}");
    assert_eq!(only(&rest, "tool_result")["status"], "cancelled");
    assert_eq!(only(&rest, "turn_ended")["status"], "interrupted");
}

/// What the store has of the only turn of a conversation.
fn explained(host: &Host, conversation: &str) -> Value {
    let ran = Ran::of(host.bare(&["explain", conversation, "--json"]).output().expect("started"));
    serde_json::from_str(&ran.stdout).unwrap_or_else(|e| panic!("{e}: {ran:?}"))
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a terminal for the process under test")]
fn a_terminal_that_goes_away_ends_its_turn_in_order() {
    let host = stalling();
    let command = host.command(&["think"]);
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let line: Vec<String> = words.map(|word| format!("'{}'", word.to_string_lossy())).collect();
    let mut terminal = Command::new("script")
        .args(["-qefc", &format!("exec {}", line.join(" ")), "/dev/null"])
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("TERM", "xterm")
        .env("DISPATCH_HOME", host.home())
        .current_dir(host.cwd())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("`script` of util-linux is there");
    let mut screen = Vec::new();
    let mut output = terminal.stdout.take().expect("piped");
    let mut piece = [0; 4096];
    while !String::from_utf8_lossy(&screen).contains("half a thought") {
        let n = output.read(&mut piece).expect("read");
        assert!(n > 0, "{}", String::from_utf8_lossy(&screen));
        screen.extend_from_slice(&piece[..n]);
    }
    let shown = String::from_utf8_lossy(&screen).into_owned();
    let (_, after) = shown.split_once("· conversation ").expect("named at the start");
    let conversation: String = after.chars().take_while(|c| c.is_ascii_hexdigit() || *c == '-').collect();
    // With whoever holds it the terminal goes, and everybody in its session is told.
    terminal.kill().expect("killed");
    terminal.wait().expect("waited");
    host.llm.block_on(host.llm.await_no_connections(std::time::Duration::from_secs(60)));
    let hosts = host.home().join("state/hosts");
    let lives = || std::fs::read_dir(&hosts).is_ok_and(|mut locks| locks.next().is_some());
    for _ in 0..LOOKED_AT_MAX {
        if !lives() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let turn = explained(&host, &conversation);
    assert_eq!(turn["ended"]["status"], "interrupted", "{turn:#}");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a shell that ignores a signal, as nohup does")]
fn a_run_that_was_started_to_outlive_its_terminal_does() {
    let host = Host::new(Script::rules(vec![Rule::always(vec![Action::text_deltas(60, 20)])]));
    let command = host.command(&["--json", "think"]);
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' HUP; exec \"$@\"", "sh"]).arg(command.get_program()).args(command.get_args());
    shell.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").env("DISPATCH_HOME", host.home());
    let mut child =
        shell.current_dir(host.cwd()).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("started");
    let mut events = BufReader::new(child.stdout.take().expect("piped"));
    let mut line = String::new();
    while !line.contains("text_delta") {
        line.clear();
        assert!(events.read_line(&mut line).expect("readable") > 0, "the output ended");
    }
    signal("HUP", child.id());
    let mut rest = String::new();
    events.read_to_string(&mut rest).expect("readable");
    assert_eq!(child.wait().expect("waited").code(), Some(0), "{rest}");
    assert!(rest.contains("\"completed\""), "{rest}");
}

/// A standard output that takes nothing: a pipe that is full and that nobody reads.
fn full_pipe() -> (PipeReader, Stdio) {
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    rustix::io::ioctl_fionbio(&writer, true).expect("a pipe can be told not to wait");
    let full = loop {
        if let Err(e) = writer.write(&[0]) {
            break e;
        }
    };
    assert_eq!(full.kind(), ErrorKind::WouldBlock, "{full}");
    rustix::io::ioctl_fionbio(&writer, false).expect("and told to wait again");
    (reader, writer.into())
}

/// The exit code, for which is waited no longer than a host may take in all.
fn code_of(mut child: Child) -> Option<i32> {
    for _ in 0..LOOKED_AT_MAX {
        if let Some(status) = child.try_wait().expect("waited") {
            return status.code();
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    child.kill().expect("killed");
    panic!("it did not end: {:?}", child.wait_with_output());
}

#[test]
fn one_signal_ends_a_run_whose_output_nobody_reads() {
    for (name, code) in [("TERM", 143), ("INT", 130)] {
        let host = stalling();
        let (_reader, unread) = full_pipe();
        let mut command = host.command(&["--json", "think"]);
        let child = command.stdout(unread).stderr(Stdio::piped()).spawn().expect("started");
        // By then it has shown that the turn began, and waits until somebody reads it.
        host.llm.block_on(host.llm.await_requests(1, std::time::Duration::from_secs(60)));
        signal(name, child.id());
        assert_eq!(code_of(child), Some(code), "{name}");
        let locks = std::fs::read_dir(host.home().join("state/hosts")).expect("there").count();
        assert_eq!(locks, 0, "{name}: it ended in order");
    }
}
