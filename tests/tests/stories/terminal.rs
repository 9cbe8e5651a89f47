//! A real terminal: questions are asked on it, and nothing that a model says can command it.

use crate::host::Host;
use dispatch_testkit::fake_llm::{Action, Rule, Script};
use serde_json::json;
use std::io::Write as _;
use std::process::{Command, Stdio};

const EVIL: &str = "\u{1b}]0;owned\u{7}\u{1b}[31mred\u{1b}[0m\r\u{9b}2Jgone\u{202e}";

fn evil() -> Script {
    Script::steps(vec![
        vec![
            Action::text(EVIL),
            Action::tool_call(
                "shell",
                json!({ "command": "printf '\\033[2J\\033]52;c;eA==\\007'; touch done.txt" }),
            ),
        ],
        vec![Action::text("{{last_tool_result}}")],
    ])
}

fn has_control(text: &str) -> bool {
    text.chars().any(|c| (c.is_control() && c != '\n' && c != '\t') || c == '\u{202e}')
}

#[test]
fn no_escape_sequence_of_a_model_or_a_tool_reaches_the_output() {
    let host = Host::new(evil());
    let ran = host.run(&["--allow", "exec", "be evil"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stdout.contains("red") && !has_control(&ran.stdout), "{:?}", ran.stdout);
    assert!(!has_control(&ran.stderr), "{:?}", ran.stderr);
    let host = Host::new(evil());
    let ran = host.run(&["--json", "--allow", "exec", "be evil"]);
    assert!(ran.stdout.contains("\\u001b") && !has_control(&ran.stdout), "{:?}", ran.stdout);
}

/// Runs under `script`, which gives it a terminal, and types `typed` at once; what stood on the screen.
#[expect(clippy::disallowed_methods, reason = "a terminal for the process under test")]
fn on_a_terminal(host: &Host, words: &[&str], typed: &str) -> String {
    let quote = |word: &std::ffi::OsStr| format!("'{}'", word.to_string_lossy().replace('\'', "'\\''"));
    let command = host.command(words);
    let line: Vec<String> =
        std::iter::once(command.get_program()).chain(command.get_args()).map(quote).collect();
    let mut child = Command::new("script")
        .args(["-qefc", &line.join(" "), "/dev/null"])
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("DISPATCH_HOME", host.home())
        .current_dir(host.cwd())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .expect("`script` of util-linux is there");
    // Held open until the end: the end of its input would end the terminal.
    let mut input = child.stdin.take().expect("piped");
    input.write_all(typed.as_bytes()).expect("typed");
    input.flush().expect("typed");
    let output = child.wait_with_output().expect("ended");
    drop(input);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn ask_twice() -> Script {
    let call = |file: &str| vec![Action::tool_call("shell", json!({ "command": format!("touch {file}") }))];
    Script::rules(vec![
        Rule::once(call("one.txt")),
        Rule::once(call("two.txt")),
        Rule::always(vec![Action::text("done")]),
    ])
}

#[test]
fn on_a_terminal_a_tool_that_runs_programs_is_asked_for() {
    let host = Host::new(ask_twice());
    let screen = on_a_terminal(&host, &["do it"], "y\nn\n");
    assert!(screen.contains("touch one.txt") && screen.contains("done"), "{screen}");
    assert!(host.cwd().join("one.txt").exists(), "{screen}");
    assert!(!host.cwd().join("two.txt").exists(), "{screen}");
}

#[test]
fn always_holds_for_the_conversation() {
    let host = Host::new(ask_twice());
    let screen = on_a_terminal(&host, &["do it"], "a\n");
    assert!(screen.contains("done"), "{screen}");
    assert!(host.cwd().join("one.txt").exists() && host.cwd().join("two.txt").exists(), "{screen}");
}
