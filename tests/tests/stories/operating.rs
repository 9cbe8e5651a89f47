//! The host as whoever operates it sees it: signals, a supervisor, trust, and what it says of itself.

use crate::host::{Host, Ran, only};
use crate::served::Served;
use dispatch_testkit::fake_llm::{Action, Rule, Script};
use house::bin_dir;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::process::{ChildStderr, Command, Stdio};
use std::time::Duration;

/// Longest wait for a line or a datagram: far beyond what any takes.
const WAIT: Duration = Duration::from_secs(60);
/// Most lines, or datagrams, among which one is looked for.
const LOOKED_AT_MAX: usize = 10_000;

fn quiet() -> Host {
    Host::new(Script::steps(vec![vec![Action::text("ok")]]))
}

/// `serve` on a free port, its log piped; its options may be added.
fn serve(host: &Host) -> Command {
    let mut command = host.bare(&["serve", "--listen", "127.0.0.1:0", "--json"]);
    command
        .args(["--set", &format!("provider-openai-compat.base_url={}", host.llm.base_url())])
        .args(["--set", "provider-openai-compat.model=scripted"])
        .env("DISPATCH_LOG", "info")
        .stderr(Stdio::piped());
    command
}

/// Its log, line by line.
pub(crate) struct Log(pub(crate) BufReader<ChildStderr>);

impl Log {
    pub(crate) fn until(&mut self, part: &str) -> String {
        let mut line = String::new();
        for _ in 0..LOOKED_AT_MAX {
            line.clear();
            assert!(self.0.read_line(&mut line).expect("readable") > 0, "the log ended before `{part}`");
            if line.contains(part) {
                return line;
            }
        }
        panic!("no `{part}` among {LOOKED_AT_MAX} lines")
    }
}

/// The status that a request under this name gets.
fn status_under(served: &Served, name: &str) -> u16 {
    let mut stream = TcpStream::connect(&served.address).expect("it listens");
    stream.set_read_timeout(Some(WAIT)).expect("a duration");
    let port = served.address.rsplit(':').next().expect("a port");
    let head = format!(
        "GET /v1/conversations HTTP/1.1\r\nhost: {name}:{port}\r\nauthorization: Bearer {}\r\nconnection: close\r\n\r\n",
        served.token
    );
    stream.write_all(head.as_bytes()).expect("written");
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).expect("a status line");
    line.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status")
}

pub(crate) fn configure(host: &Host, text: &str) {
    std::fs::create_dir_all(host.home().join("config")).expect("made");
    std::fs::write(host.home().join("config/config.toml"), text).expect("written");
}

#[test]
fn a_served_host_that_is_told_to_end_ends_in_order() {
    let host = quiet();
    let served = Served::spawn(&host, serve(&host));
    served.signal("TERM");
    assert_eq!(served.wait(), Some(0));
}

#[test]
fn before_the_end_a_turn_that_runs_may_come_to_its_own() {
    let command = "echo began; while [ ! -e go ]; do sleep 0.05; done";
    let host = Host::new(Script::steps(vec![
        vec![Action::tool_call("shell", json!({ "command": command }))],
        vec![Action::text("done")],
    ]));
    let mut command = serve(&host);
    command.args(["--allow", "exec", "--drain-ms", "60000"]);
    let mut served = Served::spawn(&host, command);
    let mut log = Log(BufReader::new(served.stderr()));
    let conversation = served.conversation();
    let path = format!("/v1/conversations/{conversation}/turns");
    let started = served.ask("POST", &path, Some(&json!({ "input": "go", "cwd": host.cwd() })));
    assert_eq!(started.status, 202, "{}", started.text);
    let cursor = started.json()["cursor"].as_u64().expect("a cursor");
    served.events(&conversation, cursor, "tool_output");
    served.signal("TERM");
    log.until("told to end");
    host.write("go", "");
    log.until("drained");
    assert_eq!(served.wait(), Some(0));
    assert_eq!(host.llm.n_requests(), 2, "the model was told what its tool said");
}

#[test]
fn a_hangup_takes_over_a_changed_configuration_and_a_broken_one_changes_nothing() {
    let host = quiet();
    let mut served = Served::spawn(&host, serve(&host));
    let mut log = Log(BufReader::new(served.stderr()));
    assert_eq!(status_under(&served, "box.example"), 421);
    configure(&host, "[transport-http]\nhosts = [\"box.example\"]\n");
    served.signal("HUP");
    let line = log.until("reloaded");
    assert!(line.contains("transport-http") && line.contains("hosts"), "{line}");
    assert_eq!(status_under(&served, "box.example"), 200);
    configure(&host, "[transport-http\nhosts = [\"other.example\"]\n");
    served.signal("HUP");
    log.until("the configuration does not hold; nothing was changed");
    configure(&host, "[transport-http]\nhosts = 7\n");
    served.signal("HUP");
    let line = log.until("`hosts` does not fit: expected list of texts");
    assert!(line.contains("nothing was changed"), "{line}");
    // Of its type, and yet no origin: that only its owner can tell.
    configure(&host, "[transport-http]\norigins = [\"https://box.example/path\"]\n");
    served.signal("HUP");
    log.until("refused its new configuration");
    assert_eq!(status_under(&served, "box.example"), 200);
    assert_eq!(status_under(&served, "other.example"), 421);
    served.signal("TERM");
    assert_eq!(served.wait(), Some(0));
}

#[test]
fn where_nothing_listens_nobody_waits_for_a_connection() {
    let host = quiet();
    let build = toys(&host, "");
    let ran = ran(&host, &["serve", "--listen", "127.0.0.1:0", "--build", &build]);
    assert_eq!(ran.code, Some(78), "{}", ran.stderr);
    assert!(ran.stderr.contains("nothing in this build listens"), "{}", ran.stderr);
}

/// A build of one toy and another of the same library, as a file.
fn toys(host: &Host, config: &str) -> String {
    let library = bin_dir().join("libtoy_callee.so");
    let library = library.display();
    let build = format!(
        "[[extension]]\nid = \"toy-callee\"\npath = \"{library}\"\nconfig = {{ {config} }}\n\
         [[extension]]\nid = \"other\"\nfrom = \"toy-callee\"\npath = \"{library}\"\n\
         [bind]\n\"toy.v1\" = \"toy-callee\"\n"
    );
    host.write("toys.toml", &build).to_str().expect("UTF-8").to_owned()
}

fn ran(host: &Host, words: &[&str]) -> Ran {
    Ran::of(host.bare(words).output().expect("started"))
}

#[test]
fn a_supervisor_is_told_how_it_goes_and_tools_do_not_see_it() {
    let host = Host::new(Script::steps(vec![
        vec![Action::tool_call("shell", json!({ "command": "env" }))],
        vec![Action::text("ok")],
    ]));
    let place = tempfile::tempdir().expect("a directory");
    let path = place.path().join("notify");
    let socket = UnixDatagram::bind(&path).expect("bound");
    socket.set_read_timeout(Some(WAIT)).expect("a duration");
    let mut command = serve(&host);
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "400000").args(["--allow", "exec"]);
    let served = Served::spawn(&host, command);
    let ready = told(&socket, "READY=1");
    assert!(ready.contains("STATUS=serving on 1 addresses"), "{ready}");
    told(&socket, "WATCHDOG=1");
    let events = served.turn(&served.conversation(), &json!({ "input": "env", "cwd": host.cwd() }));
    let result = only(&events, "tool_result");
    let output = result["content"].as_str().expect("a text");
    assert!(
        output.contains("PATH=") && !output.contains("NOTIFY") && !output.contains("WATCHDOG"),
        "{output}"
    );
    served.signal("HUP");
    assert!(told(&socket, "RELOADING=1").contains("MONOTONIC_USEC="));
    told(&socket, "READY=1");
    served.signal("TERM");
    told(&socket, "STOPPING=1");
    assert_eq!(served.wait(), Some(0));
}

/// The next datagram with this line; others are passed over.
fn told(socket: &UnixDatagram, wanted: &str) -> String {
    let mut bytes = [0; 4096];
    for _ in 0..LOOKED_AT_MAX {
        let n = socket.recv(&mut bytes).expect("told in time");
        let text = String::from_utf8_lossy(&bytes[..n]).into_owned();
        if text.lines().any(|line| line == wanted) {
            return text;
        }
    }
    panic!("no `{wanted}` among {LOOKED_AT_MAX} datagrams")
}

#[test]
fn a_key_is_explained_by_the_layer_that_won_and_a_secret_by_its_name() {
    let host = quiet();
    configure(&host, "[provider-openai-compat]\nmodel = \"from-user\"\n[transport-http]\nhosts = [\"a\"]\n");
    let explain = |words: &[&str]| {
        let mut command = host.bare(&["config", "explain"]);
        command.args(words).env("OPENAI_API_KEY", "sk-canary");
        command.env("DISPATCH_SET__PROVIDER_OPENAI_COMPAT__MODEL", "from-variable");
        Ran::of(command.output().expect("started"))
    };
    let ran = explain(&["--json", "--set", "provider-openai-compat.model=from-set"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let document: Value = serde_json::from_str(&ran.stdout).expect("one document");
    let of = |key: &str| {
        let keys = document["keys"].as_array().expect("a list");
        keys.iter().find(|entry| entry["key"] == key).unwrap_or_else(|| panic!("{key}: {document:#}")).clone()
    };
    let model = of("provider-openai-compat.model");
    assert_eq!((&model["value"], &model["layer"]), (&json!("from-set"), &json!("set")));
    let layers: Vec<&Value> =
        model["overrides"].as_array().expect("a list").iter().map(|over| &over["layer"]).collect();
    assert_eq!(layers, ["variable", "user"]);
    assert!(model["overrides"][1]["place"].as_str().expect("a place").ends_with("config.toml:2"), "{model}");
    let key = of("provider-openai-compat.api_key");
    assert_eq!((&key["value"], &key["variable_set"]), (&json!({ "env": "OPENAI_API_KEY" }), &json!(true)));
    assert!(key["place"].as_str().expect("a place").contains("default.toml:"), "{key}");
    let text = explain(&[]);
    assert!(text.stdout.contains("api_key = { env = \"OPENAI_API_KEY\" }  (set)"), "{}", text.stdout);
    assert!(!format!("{ran:?}{text:?}").contains("canary"));
    let wrong = explain(&["transport-htp.hosts"]);
    assert_eq!(wrong.code, Some(2));
    assert!(wrong.stderr.contains("did you mean `transport-http`?"), "{}", wrong.stderr);
}

/// The statuses of the checks of one group, by name.
fn statuses(document: &Value, instance: &str) -> Vec<(String, String)> {
    let groups = document["groups"].as_array().expect("a list");
    let group = groups.iter().find(|group| group["instance"] == instance);
    let group = group.unwrap_or_else(|| panic!("no `{instance}` in {document:#}"));
    let text = |check: &Value, key: &str| check[key].as_str().expect("a text").to_owned();
    let checks = group["checks"].as_array().expect("a list");
    checks.iter().map(|check| (text(check, "name"), text(check, "status"))).collect()
}

fn doctor(host: &Host, words: &[&str]) -> (Ran, Value) {
    let mut all = vec!["doctor", "--json"];
    all.extend(words);
    let ran = ran(host, &all);
    let document = serde_json::from_str(&ran.stdout).unwrap_or_else(|e| panic!("{e}: {ran:?}"));
    (ran, document)
}

#[test]
fn the_doctor_asks_every_instance_and_one_that_is_ill_hides_no_other() {
    let host = quiet();
    for (asked, status) in
        [("", "ok"), ("fail", "fail"), ("fault", "fail"), ("panic", "fail"), ("hang", "fail")]
    {
        let build = toys(&host, &format!("check = \"{asked}\""));
        let (ran, document) = doctor(&host, &["--build", &build]);
        assert_eq!(ran.code, Some(i32::from(status == "fail")), "{asked}: {ran:?}");
        let ill = statuses(&document, "toy-callee");
        assert_eq!((ill.len(), ill[1].1.as_str()), (2, status), "{asked}: {ill:?}");
        assert_eq!(statuses(&document, "other")[1], ("toy".to_owned(), "ok".to_owned()), "{asked}");
    }
}

#[test]
fn the_doctor_says_what_it_can_when_the_build_does_not_hold() {
    let host = quiet();
    let build = host.write("broken.toml", "[[extension]]\nid = \"nobody-has-this\"\n");
    configure(&host, "[a\n");
    let (ran, document) = doctor(&host, &["--build", build.to_str().expect("UTF-8")]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let found = statuses(&document, "host");
    for (name, status) in [("dir_data", "ok"), ("trust", "ok"), ("config_file", "fail"), ("build", "fail")] {
        assert!(found.contains(&(name.to_owned(), status.to_owned())), "{name}: {found:?}");
    }
    let text = ran_text(&host, &["doctor", "--build", build.to_str().expect("UTF-8")]);
    assert!(text.contains("\n  fail  build"), "{text}");
}

fn ran_text(host: &Host, words: &[&str]) -> String {
    ran(host, words).stdout
}

#[test]
fn an_instance_that_does_not_start_fails_and_a_host_that_runs_is_left_alone() {
    let host = quiet();
    let build = toys(&host, "fail = \"start\"");
    let (ran, document) = doctor(&host, &["--build", &build]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert_eq!(statuses(&document, "toy-callee"), [("started".to_owned(), "fail".to_owned())]);
    let served = Served::spawn(&host, serve(&host));
    let (ran, document) = doctor(&host, &["--set", "transport-http.listen=[\"127.0.0.1:0\"]"]);
    assert!(statuses(&document, "storage-sqlite").iter().all(|(_, status)| status != "fail"), "{ran:?}");
    let events = served.turn(&served.conversation(), &json!({ "input": "hi" }));
    assert_eq!(only(&events, "turn_ended")["status"], "completed", "{events:#?}");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the shell that a completion script is for")]
fn completions_and_the_manual_know_the_extensions_commands() {
    let host = quiet();
    let script = host.write("completions", &ran_text(&host, &["completions", "bash"]));
    let checked = Command::new("bash").arg("-n").arg(&script).output().expect("bash is there");
    assert!(checked.status.success(), "{checked:?}");
    let script = std::fs::read_to_string(script).expect("written");
    for word in ["--conversation", "--drain-ms", "explain"] {
        assert!(script.contains(word), "{word}");
    }
    for shell in ["zsh", "fish"] {
        assert!(ran_text(&host, &["completions", shell]).contains("conversation"), "{shell}");
    }
    assert_eq!(ran(&host, &["completions", "tcsh"]).code, Some(2));
    let page = ran_text(&host, &["man"]);
    for part in [".TH dispatch 1", "dispatch run", ".SH \"EXIT STATUS\""] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let broken = ran(&host, &["man", "--build", "./nobody-has-this.toml"]);
    assert_eq!(broken.code, Some(0), "{}", broken.stderr);
    assert!(broken.stdout.contains("dispatch serve") && !broken.stdout.contains("dispatch run"));
    assert!(broken.stderr.starts_with("note: "), "{}", broken.stderr);
}

/// The system prompt of the last request.
fn system_prompt(host: &Host) -> String {
    let requests = host.llm.requests();
    let messages = requests.last().expect("a request").messages().to_vec();
    let system = messages.iter().find(|message| message["role"] == "system");
    system.map_or_else(String::new, |message| message["content"].to_string())
}

#[test]
fn a_project_acts_only_after_a_person_trusted_it() {
    let host = Host::new(Script::rules(vec![Rule::always(vec![Action::text("ok")])]));
    std::fs::create_dir(host.cwd().join(".dispatch")).expect("made");
    host.write(".dispatch/config.toml", "[system-prompt]\ntemplate = \"by-project {agents}\"\n");
    host.write("AGENTS.md", "by-agents-file\n");
    let acts = |expected: bool| {
        let (ran, events) = host.events(&["hi"]);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        let prompt = system_prompt(&host);
        for by in ["by-project", "by-agents-file"] {
            assert_eq!(prompt.contains(by), expected, "{by}: {prompt}");
        }
        assert_eq!(ran.stderr.contains("is not trusted"), !expected, "{}", ran.stderr);
        let notices = events.iter().filter(|e| e["type"] == "notice" && e["data"]["code"] == "untrusted");
        let notices: Vec<&str> = notices.filter_map(|e| e["data"]["message"].as_str()).collect();
        assert_eq!(notices.len(), usize::from(!expected), "{notices:?}");
        assert!(
            notices.iter().all(|n| n.contains("AGENTS.md`") && n.contains("`dispatch trust /")),
            "{notices:?}"
        );
    };
    acts(false);
    let trusted = ran(&host, &["trust", "."]);
    assert_eq!(trusted.code, Some(0), "{}", trusted.stderr);
    acts(true);
    let explained = ran_text(&host, &["config", "explain", "system-prompt.template"]);
    assert!(explained.contains("from project"), "{explained}");
    assert_eq!(ran(&host, &["trust", "--revoke", "."]).code, Some(0));
    acts(false);
}
