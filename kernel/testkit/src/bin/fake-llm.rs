//! The fake LLM on its own: `fake-llm [--listen 127.0.0.1:0] [--script FILE.json]`.
//!
//! Its first line on stdout is `listening on http://127.0.0.1:PORT/v1`; it runs until it is killed.
//! Two options do not need an argument parser, and every extension's tests build this crate.

use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;

use dispatch_testkit::fake_llm::{FakeLlm, Script};

const USAGE: &str = "usage: fake-llm [--listen 127.0.0.1:0] [--script FILE.json]";

fn main() -> ExitCode {
    let started = start(std::env::args().skip(1));
    let fake = match started {
        Ok(fake) => fake,
        Err(reason) => {
            eprintln!("fake-llm: {reason}");
            return ExitCode::from(2);
        }
    };
    let mut stdout = std::io::stdout();
    let told = writeln!(stdout, "listening on {}", fake.base_url()).and_then(|()| stdout.flush());
    if told.is_err() {
        return ExitCode::FAILURE;
    }
    loop {
        std::thread::park();
    }
}

fn start(mut arguments: impl Iterator<Item = String>) -> Result<FakeLlm, String> {
    let mut listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let mut script = Script::default();
    while let Some(option) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("`{option}` needs a value; {USAGE}"));
        match option.as_str() {
            "--listen" => {
                let address = value()?;
                listen =
                    address.parse().map_err(|error| format!("`--listen {address}`: {error}; {USAGE}"))?;
            }
            "--script" => script = read_script(&value()?)?,
            _ => return Err(format!("unknown option `{option}`; {USAGE}")),
        }
    }
    FakeLlm::start_at(listen, script).map_err(|error| format!("cannot listen on `{listen}`: {error}"))
}

fn read_script(path: &str) -> Result<Script, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("cannot read `{path}`: {error}"))?;
    Script::from_json(&text).map_err(|error| format!("`{path}` is not a script: {error}"))
}
