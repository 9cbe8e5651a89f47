//! `cargo demo`: one turn with a tool, from the built binary, offline, in a home that is thrown away.
//!
//! It must not know how a turn is run: it looks at the exit code and at what is printed.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::build;

/// How long the turn may take.
const TURN_MS_MAX: u64 = 60_000;
/// How often it is looked at.
const LOOK_MS: u64 = 20;
/// Most bytes of the answer that are kept for the comparison.
const ANSWER_BYTES_MAX: u64 = 1024 * 1024;

const INPUT: &str = "read README.md and tell me its first line";

/// Builds, shows the turn, and fails unless the answer holds the first line of `README.md`.
pub(crate) fn run() -> Result<ExitCode, String> {
    println!("dev: build first (a cold build takes minutes)");
    let built = build::workspace(&[])?;
    if !built.success() {
        return Err(format!("`cargo build` ended with {built}; its output says why"));
    }
    let root = house::workspace_dir();
    let expected = first_line(&root.join("README.md"))?;
    let binary = build::debug_dir()?.join(format!("dispatch{}", std::env::consts::EXE_SUFFIX));

    let home =
        tempfile::tempdir().map_err(|error| format!("cannot make a directory for the demo: {error}"))?;
    println!(
        "dev: a kernel, its extensions from {}, a scripted provider, one tool call, no network:",
        binary.parent().unwrap_or(&root).display()
    );
    println!("$ dispatch run --provider demo --cwd {} \"{INPUT}\"\n", root.display());
    let (status, answer) = turn(&binary, &root, home.path())?;

    if !status.success() {
        return Err(format!("the turn ended with {status}; what it wrote above says why"));
    }
    if !answer.contains(&expected) {
        return Err(format!("the answer does not hold the first line of `README.md`, which is `{expected}`"));
    }
    println!("\ndev: the answer holds the first line of README.md: `{expected}`");
    Ok(ExitCode::SUCCESS)
}

fn first_line(readme: &Path) -> Result<String, String> {
    let text = std::fs::read_to_string(readme)
        .map_err(|error| format!("cannot read `{}`: {error}", readme.display()))?;
    match text.lines().next().map(str::trim) {
        Some(line) if !line.is_empty() => Ok(line.to_owned()),
        _ => Err(format!("`{}` begins with an empty line; the demo reads its first one", readme.display())),
    }
}

fn turn(binary: &Path, root: &Path, home: &Path) -> Result<(ExitStatus, String), String> {
    #[expect(clippy::disallowed_methods, reason = "this program exists to run the built binary")]
    let mut command = Command::new(binary);
    command.args(["run", "--provider", "demo", "--cwd"]).arg(root).arg(INPUT);
    command.env("DISPATCH_HOME", home).current_dir(root).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child =
        command.spawn().map_err(|error| format!("cannot start `{}`: {error}", binary.display()))?;
    let stdout = child.stdout.take().expect("the pipe was asked for");
    let reader = std::thread::spawn(move || show(stdout));
    let status = wait(&mut child)?;
    let answer = reader.join().map_err(|_| "the reader of the answer panicked".to_owned())?;
    Ok((status, answer.map_err(|error| format!("cannot read the answer: {error}"))?))
}

/// Writes the answer as it comes and keeps it.
fn show(from: impl Read) -> std::io::Result<String> {
    let mut from = from.take(ANSWER_BYTES_MAX);
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let bytes = from.read(&mut piece)?;
        if bytes == 0 {
            return Ok(String::from_utf8_lossy(&answer).into_owned());
        }
        let mut to = std::io::stdout().lock();
        to.write_all(&piece[..bytes])?;
        to.flush()?;
        answer.extend_from_slice(&piece[..bytes]);
    }
}

fn wait(child: &mut Child) -> Result<ExitStatus, String> {
    let trouble = |error: std::io::Error| format!("cannot wait for the turn: {error}");
    let started = Instant::now();
    while started.elapsed() < Duration::from_millis(TURN_MS_MAX) {
        if let Some(status) = child.try_wait().map_err(trouble)? {
            return Ok(status);
        }
        std::thread::sleep(Duration::from_millis(LOOK_MS));
    }
    child.kill().map_err(trouble)?;
    child.wait().map_err(trouble)?;
    Err(format!("the turn took longer than {TURN_MS_MAX} ms and was ended"))
}
