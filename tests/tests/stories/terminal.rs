//! A real terminal: questions are asked on it, and nothing that a model says can command it.

use crate::host::Host;
use dispatch_testkit::fake_llm::{Action, Rule, Script};
use serde_json::json;
use std::io::{Read as _, Write as _};
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

/// Runs under `script`, which gives it a terminal, and types each answer once its question stands there; what stood on
/// the screen. `typed` is typed at once, before anything is asked.
#[expect(clippy::disallowed_methods, reason = "a terminal for the process under test")]
fn on_a_terminal(host: &Host, words: &[&str], typed: &str, answers: &[&str]) -> String {
    let quote = |word: &std::ffi::OsStr| format!("'{}'", word.to_string_lossy().replace('\'', "'\\''"));
    let command = host.command(words);
    let line: Vec<String> =
        std::iter::once(command.get_program()).chain(command.get_args()).map(quote).collect();
    let mut child = Command::new("script")
        .args(["-qefc", &line.join(" "), "/dev/null"])
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("TERM", "xterm")
        .env("DISPATCH_HOME", host.home())
        .current_dir(host.cwd())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .expect("`script` of util-linux is there");
    // Held open until the end: the end of its input would end the terminal.
    let mut input = child.stdin.take().expect("piped");
    let mut output = child.stdout.take().expect("piped");
    let mut type_text =
        |text: &str| input.write_all(text.as_bytes()).and_then(|()| input.flush()).expect("typed");
    type_text(typed);
    let (mut screen, mut piece) = (Vec::new(), [0; 4096]);
    let mut answers = answers.iter();
    let mut n_answered = 0;
    loop {
        let n = output.read(&mut piece).expect("read");
        if n == 0 {
            break;
        }
        screen.extend_from_slice(&piece[..n]);
        let n_asked = String::from_utf8_lossy(&screen).matches("[N]o ").count();
        while n_answered < n_asked {
            type_text(answers.next().expect("an answer for each question"));
            n_answered += 1;
        }
    }
    child.wait().expect("ended");
    String::from_utf8_lossy(&screen).into_owned()
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
    let screen = on_a_terminal(&host, &["do it"], "", &["y\n", "n\n"]);
    assert!(screen.contains("touch one.txt") && screen.contains("done"), "{screen}");
    assert!(host.cwd().join("one.txt").exists(), "{screen}");
    assert!(!host.cwd().join("two.txt").exists(), "{screen}");
}

#[test]
fn always_holds_for_the_conversation() {
    let host = Host::new(ask_twice());
    let screen = on_a_terminal(&host, &["do it"], "", &["a\n"]);
    assert!(screen.contains("done"), "{screen}");
    assert!(host.cwd().join("one.txt").exists() && host.cwd().join("two.txt").exists(), "{screen}");
}

#[test]
fn what_was_typed_before_a_question_does_not_answer_it() {
    let host = Host::new(ask_twice());
    let screen = on_a_terminal(&host, &["do it"], "y\ny\ny\n", &["n\n", "n\n"]);
    assert!(screen.contains("done"), "{screen}");
    assert!(!host.cwd().join("one.txt").exists() && !host.cwd().join("two.txt").exists(), "{screen}");
}

#[test]
fn a_person_sees_that_something_goes_on_and_live_output_as_it_comes() {
    let call = Action::tool_call("shell", json!({ "command": "echo first; sleep 1; echo last" }));
    let host = Host::new(Script::steps(vec![vec![call], vec![Action::text("done")]]));
    let screen = on_a_terminal(&host, &["--allow", "exec", "go"], "", &[]);
    let at = |text: &str| screen.find(text).unwrap_or_else(|| panic!("`{text}` in {screen:?}"));
    assert!(at("· conversation ") < at("│ first"), "{screen:?}");
    assert!(at("│ first") < screen.rfind("shell runs").expect("a status"), "{screen:?}");
    assert!(screen.contains("\u{1b}[2m"), "{screen:?}");
    let last = screen.trim_end().lines().last().expect("a line");
    assert!(last.contains("go on with"), "{screen:?}");
}

#[test]
fn where_no_line_can_be_written_over_none_is() {
    let call = Action::tool_call("shell", json!({ "command": "echo first; sleep 1; echo last" }));
    let host = Host::new(Script::steps(vec![vec![call], vec![Action::text("done")]]));
    let mut command = host.command(&["--allow", "exec", "go"]);
    command.env("TERM", "xterm").env("CLICOLOR_FORCE", "1");
    let ran = crate::host::Ran::of(command.output().expect("started"));
    assert!(!ran.stderr.contains("runs") && !ran.stderr.contains('\r'), "{:?}", ran.stderr);
    assert!(ran.stderr.contains("\u{1b}[2m"), "colours were forced: {:?}", ran.stderr);
    let mut command = host.command(&["--conversation", "x", "go"]);
    command.env("CLICOLOR_FORCE", "1").env("NO_COLOR", "1");
    let ran = crate::host::Ran::of(command.output().expect("started"));
    assert!(!has_control(&ran.stderr), "{:?}", ran.stderr);
}
