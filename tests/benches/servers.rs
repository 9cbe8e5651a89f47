//! The three servers of a load bench: the fake model, the host before it, and the floor before it. Each is a process.
//!
//! It must not know what is measured. The host is installed as a user would have it, binary and `extensions/` alone, so
//! that no other library lies beside it.

use crate::Trouble;
use crate::http::Server;
use crate::process::{Running, child, command};
use crate::timing::ms;
use std::fs;
use std::io::{BufRead as _, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a server may take until it says where it listens.
const START_MAX: Duration = Duration::from_secs(30);
/// Build lists, the first that is there and has the HTTP transport.
const BUILDS: [&str; 2] = ["manifests/server.toml", "manifests/default.toml"];
const TRANSPORT: &str = "transport-http";
/// The provider that speaks to the fake model.
pub(crate) const PROVIDER: &str = "openai-compat";

/// A directory on the disk that holds the build, not in memory: flushes must be real.
pub(crate) fn scratch() -> Result<TempDir, Trouble> {
    let parent = house::bin_dir().join("bench");
    fs::create_dir_all(&parent).map_err(|e| format!("cannot make {}: {e}", parent.display()))?;
    tempfile::tempdir_in(&parent).map_err(|e| format!("cannot make a directory in {}: {e}", parent.display()))
}

/// The host as it would be installed.
pub(crate) struct Install {
    dir: TempDir,
}

impl Install {
    pub(crate) fn new() -> Result<Self, Trouble> {
        let dir = scratch()?;
        let from = house::bin_dir();
        let extensions = dir.path().join("extensions");
        let trouble = |e: std::io::Error| format!("cannot install into {}: {e}", dir.path().display());
        fs::create_dir(&extensions).map_err(trouble)?;
        fs::hard_link(house::dispatch_binary(), dir.path().join("dispatch")).map_err(trouble)?;
        for entry in fs::read_dir(&from).map_err(trouble)? {
            let name = entry.map_err(trouble)?.file_name();
            let shown = name.to_string_lossy();
            if shown.starts_with("libext_") && shown.ends_with(".so") {
                fs::hard_link(from.join(&name), extensions.join(&name)).map_err(trouble)?;
            }
        }
        Ok(Self { dir })
    }

    /// The installed binary with a home.
    pub(crate) fn dispatch(&self, home: &Path) -> Command {
        let mut command = command(self.dir.path().join("dispatch"));
        command.env("DISPATCH_HOME", home).current_dir(home);
        command
    }

    pub(crate) fn binary(&self) -> PathBuf {
        self.dir.path().join("dispatch")
    }
}

/// Starts a command that says where it listens on its first line of output; answers how long that took, too.
fn listening(command: &mut Command) -> Result<(Running, SocketAddr, f64), Trouble> {
    let began = Instant::now();
    let mut running = Running::start(command.stdout(Stdio::piped()))?;
    let stdout = running.0.stdout.take().expect("the pipe was asked for");
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut lines = BufReader::new(stdout);
        let mut first = String::new();
        // Nothing read is told as nothing.
        let _ = lines.read_line(&mut first);
        let _ = sender.send((first, Instant::now()));
        // Read on, so that nobody waits for room.
        let _ = std::io::copy(&mut lines, &mut std::io::sink());
    });
    let waited = receiver.recv_timeout(START_MAX);
    let (line, at) = waited.map_err(|_| format!("{command:?} did not say where it listens"))?;
    let address =
        address_in(&line).ok_or_else(|| format!("{command:?} said `{}`, no address", line.trim()))?;
    Ok((running, address, ms(at - began)))
}

/// The first `127.0.0.1:PORT` in a text.
fn address_in(text: &str) -> Option<SocketAddr> {
    let from = &text[text.find("127.0.0.1:")?..];
    let end = from.find(|c: char| !c.is_ascii_digit() && c != '.' && c != ':').unwrap_or(from.len());
    from[..end].parse().ok()
}

/// The fake model.
pub(crate) struct Model {
    pub(crate) running: Running,
    pub(crate) address: SocketAddr,
}

impl Model {
    pub(crate) fn start() -> Result<Self, Trouble> {
        let mut command = command(house::bin_dir().join("fake-llm"));
        let (running, address, _) = listening(&mut command)?;
        Ok(Self { running, address })
    }

    pub(crate) fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }
}

/// The floor or the host, before a model.
pub(crate) struct Served {
    pub(crate) running: Running,
    pub(crate) server: Server,
    /// From the start of the process until it said where it listens.
    pub(crate) ready_ms: f64,
}

impl Served {
    pub(crate) fn pid(&self) -> u32 {
        self.running.pid()
    }
}

/// Starts the floor.
pub(crate) fn floor(model: &Model) -> Result<Served, Trouble> {
    let mut command = child(&["floor", &model.address.to_string()])?;
    let (running, address, ready_ms) = listening(&mut command)?;
    Ok(Served { running, server: Server { address, token: None }, ready_ms })
}

/// The words before `serve`: which build.
pub(crate) fn build_words() -> Result<[String; 2], Trouble> {
    for build in BUILDS {
        let path = house::workspace_dir().join(build);
        if fs::read_to_string(&path).is_ok_and(|text| text.contains(TRANSPORT)) {
            return Ok(["--build".to_owned(), path.to_string_lossy().into_owned()]);
        }
    }
    Err(format!("no build list has `{TRANSPORT}`: looked in {}", BUILDS.join(", ")))
}

/// Starts the host in `home`; `wrap` = a program that runs it and its first words, such as a tracer.
pub(crate) fn host(install: &Install, home: &Path, model: &Model, wrap: &[&str]) -> Result<Served, Trouble> {
    let mut command = match wrap {
        [] => install.dispatch(home),
        [program, words @ ..] => {
            let mut command = command(program);
            command.args(words).arg(install.binary()).env("DISPATCH_HOME", home).current_dir(home);
            command
        }
    };
    command.args(build_words()?).args(["serve", "--listen", "127.0.0.1:0", "--json"]);
    command.env("DISPATCH_SET__PROVIDER_OPENAI_COMPAT__BASE_URL", model.base_url());
    let log = home.join("serve.log");
    let to = fs::File::create(&log).map_err(|e| format!("cannot write {}: {e}", log.display()))?;
    command.stderr(to);
    let (running, address, ready_ms) = listening(&mut command).map_err(|trouble| {
        let said = tail(&log);
        if said.is_empty() { trouble } else { format!("{trouble}; it said: {said}") }
    })?;
    let token = home.join("data").join(TRANSPORT).join("token");
    let token = fs::read_to_string(&token).map_err(|e| format!("cannot read {}: {e}", token.display()))?;
    let server = Server { address, token: Some(token.trim().to_owned()) };
    Ok(Served { running, server, ready_ms })
}

/// The end of a log.
fn tail(log: &Path) -> String {
    const BYTES_MAX: usize = 2_000;
    let mut bytes = Vec::new();
    let read = fs::File::open(log).and_then(|file| file.take(1024 * 1024).read_to_end(&mut bytes));
    let from = read.unwrap_or(0).saturating_sub(BYTES_MAX);
    String::from_utf8_lossy(&bytes[from..]).trim().to_owned()
}
