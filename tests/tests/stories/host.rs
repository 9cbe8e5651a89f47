//! One host to tell stories about: its own home, its own working directory, a fake LLM.

use dispatch_testkit::fake_llm::{FakeLlm, Script};
use house::dispatch_binary;
use serde_json::Value;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use tempfile::TempDir;

/// Most lines of `--json` read while waiting for one.
const LINES_MAX: usize = 100_000;

pub(crate) struct Host {
    home: TempDir,
    cwd: TempDir,
    pub(crate) llm: FakeLlm,
}

/// What a run left behind.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Host {
    pub(crate) fn new(script: Script) -> Self {
        let dir = || tempfile::tempdir().expect("a directory");
        Self::at(dir(), dir(), script)
    }

    /// For a script that names these directories.
    pub(crate) fn at(home: TempDir, cwd: TempDir, script: Script) -> Self {
        Self { home, cwd, llm: FakeLlm::start(script) }
    }

    pub(crate) fn cwd(&self) -> &Path {
        self.cwd.path()
    }

    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    pub(crate) fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.cwd.path().join(name);
        std::fs::write(&path, content).expect("written");
        path
    }

    /// `dispatch run` with the provider set to the fake LLM.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = self.bare(&["run"]);
        command
            .args(["--set", &format!("provider-openai-compat.base_url={}", self.llm.base_url())])
            .args(["--set", "provider-openai-compat.model=scripted"])
            .args(words);
        command
    }

    /// `dispatch` without any option.
    #[expect(clippy::disallowed_methods, reason = "the process under test")]
    pub(crate) fn bare(&self, words: &[&str]) -> Command {
        let mut command = Command::new(dispatch_binary());
        command
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("DISPATCH_HOME", self.home.path())
            .current_dir(self.cwd.path())
            .stdin(Stdio::null())
            .args(words);
        command
    }

    pub(crate) fn run(&self, words: &[&str]) -> Ran {
        Ran::of(self.command(words).output().expect("started"))
    }

    /// Events of `run --json`.
    pub(crate) fn events(&self, words: &[&str]) -> (Ran, Vec<Value>) {
        let mut all = vec!["--json"];
        all.extend(words);
        let ran = self.run(&all);
        let events =
            ran.stdout.lines().map(|line| serde_json::from_str(line).expect("one event a line")).collect();
        (ran, events)
    }

    /// A run whose events are read as they come.
    pub(crate) fn start(&self, words: &[&str]) -> Running {
        let mut all = vec!["--json"];
        all.extend(words);
        let mut command = self.command(&all);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started");
        let lines = BufReader::new(child.stdout.take().expect("piped"));
        Running { child, lines }
    }
}

impl Ran {
    pub(crate) fn of(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

pub(crate) struct Running {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
}

impl Running {
    /// Reads events until one of this type.
    pub(crate) fn until(&mut self, kind: &str) -> Value {
        for _ in 0..LINES_MAX {
            let mut line = String::new();
            let n = self.lines.read_line(&mut line).expect("readable");
            assert!(n > 0, "the output ended before a `{kind}`: {:?}", self.child.wait());
            let event: Value = serde_json::from_str(&line).expect("one event a line");
            if event["type"] == kind {
                return event;
            }
        }
        panic!("no `{kind}` among {LINES_MAX} events")
    }

    #[expect(clippy::disallowed_methods, reason = "std sends no signal but SIGKILL")]
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status();
        assert!(status.expect("kill is there").success());
    }

    /// Waits for the end; the events that were not read yet, and the exit code.
    pub(crate) fn end(mut self) -> (Option<i32>, Vec<Value>) {
        let mut rest = Vec::new();
        let mut line = String::new();
        while self.lines.read_line(&mut line).expect("readable") > 0 {
            rest.push(serde_json::from_str(&line).expect("one event a line"));
            line.clear();
        }
        (self.child.wait().expect("waited").code(), rest)
    }
}

/// The types of the events, runs of one type taken together.
pub(crate) fn types(events: &[Value]) -> Vec<&str> {
    let mut types: Vec<&str> = events.iter().filter_map(|event| event["type"].as_str()).collect();
    types.dedup();
    types
}

/// The data of the only event of this type.
pub(crate) fn only<'a>(events: &'a [Value], kind: &str) -> &'a Value {
    let found: Vec<&Value> = events.iter().filter(|event| event["type"] == kind).collect();
    assert_eq!(found.len(), 1, "one `{kind}` in {events:#?}");
    &found[0]["data"]
}

pub(crate) fn conversation_of(events: &[Value]) -> String {
    events[0]["conversation_id"].as_str().expect("in every envelope").to_owned()
}

/// The texts of a recorded request's messages, one line each: `role: text`.
pub(crate) fn dialogue(messages: &[Value]) -> Vec<String> {
    let line = |message: &Value| {
        let content = message["content"].as_str().unwrap_or("-");
        format!("{}: {content}", message["role"].as_str().unwrap_or("?"))
    };
    messages.iter().filter(|message| message["role"] != "system").map(line).collect()
}
