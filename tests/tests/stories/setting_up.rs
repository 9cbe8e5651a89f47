//! `dispatch init`: from nothing to a model that answers, and what happens when it does not.

use crate::host::{Host, Ran};
use dispatch_testkit::fake_llm::{Action, Rule, Script};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

fn host() -> Host {
    Host::new(Script::rules(vec![Rule::always(vec![Action::text("ready")])]))
}

fn init(host: &Host, base_url: &str, words: &[&str]) -> Ran {
    let mut command = host.bare(&["init", "--base-url", base_url, "--model", "scripted"]);
    command.args(words).env("MY_KEY", "sk-canary");
    Ran::of(command.output().expect("started"))
}

fn config(host: &Host) -> PathBuf {
    host.home().join("config/config.toml")
}

#[test]
fn an_endpoint_that_answers_is_written_down_beside_what_was_there_and_used_from_then_on() {
    let host = host();
    std::fs::create_dir_all(host.home().join("config")).expect("made");
    std::fs::write(config(&host), "# mine\n[transport-http]\nhosts = [\"a\"] # kept\n").expect("written");
    let ran = init(&host, &host.llm.base_url(), &["--key-env", "MY_KEY"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.contains("`provider-openai-compat` answers"), "{}", ran.stdout);
    assert_eq!(host.llm.requests()[0].header("authorization"), Some("Bearer sk-canary"));
    let text = std::fs::read_to_string(config(&host)).expect("written");
    assert!(text.starts_with("# mine\n[transport-http]\nhosts = [\"a\"] # kept\n"), "{text}");
    assert!(text.contains("api_key = { env = \"MY_KEY\" }") && !text.contains("canary"), "{text}");
    let mode = std::fs::metadata(config(&host)).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let mut hello = host.bare(&["run", "hello"]);
    let ran = Ran::of(hello.env("MY_KEY", "sk-canary").output().expect("started"));
    assert!(ran.code == Some(0) && ran.stdout.contains("ready"), "{ran:?}");
    // Again: what it wrote itself is replaced.
    let again = init(&host, &host.llm.base_url(), &["--no-try", "--key-env", "OTHER_KEY"]);
    assert_eq!(again.code, Some(0), "{again:?}");
    let text = std::fs::read_to_string(config(&host)).expect("written");
    assert!(text.contains("OTHER_KEY") && !text.contains("MY_KEY") && text.contains("# kept"), "{text}");
}

#[test]
fn what_does_not_answer_is_not_written() {
    let host = host();
    let closed = init(&host, "http://127.0.0.1:9/v1", &["--key-env", "MY_KEY"]);
    assert_eq!(closed.code, Some(1), "{closed:?}");
    assert!(
        closed.stderr.contains("nothing was written") && closed.stderr.contains("`--no-try`"),
        "{closed:?}"
    );
    let unset = init(&host, &host.llm.base_url(), &["--key-env", "NO_SUCH_KEY"]);
    assert!(unset.code == Some(2) && unset.stderr.contains("`NO_SUCH_KEY` is not set"), "{unset:?}");
    let nobody = Ran::of(host.bare(&["init"]).output().expect("started"));
    assert!(nobody.code == Some(2) && nobody.stderr.contains("--base-url URL"), "{nobody:?}");
    assert!(!config(&host).exists());
}
