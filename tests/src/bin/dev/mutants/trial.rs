//! One test in the copy of the tree: what it needs is built, it runs within its time, and how it ended is told.
//!
//! It must not know whether a bug is planted. Building and running are two steps, because a bug that does not compile
//! proves nothing about a test.

use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use house::{BIN_DIR_VARIABLE, RedTest};
use serde_json::Value;

use crate::tally::Tally;

/// How long one build may take; the first one builds every dependency.
const BUILD_MS_MAX: u64 = 30 * 60 * 1000;
/// How long the tests of one name may take.
const TEST_MS_MAX: u64 = 120_000;
const LOOK_MS: u64 = 20;
/// Most bytes of a log that are read, from its end.
const LOG_BYTES_READ_MAX: u64 = 256 * 1024;
/// Most lines of a failed build that are shown.
const BUILD_LINES_SHOWN_MAX: usize = 15;

/// How a test ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ended {
    /// So many failed.
    Red(u64),
    /// So many passed and none failed.
    Green(u64),
    /// It took longer than it may.
    Hung,
    /// No test has that name.
    NoneRan,
    /// The tests' process ended without saying how they fared.
    Broke(String),
}

/// Where trials are held.
pub(crate) struct Court {
    pub(crate) tree: PathBuf,
    pub(crate) target: PathBuf,
    pub(crate) logs: PathBuf,
}

impl Court {
    /// Builds what `test` needs and runs it. What both say goes to `<logs>/<name>.log`.
    ///
    /// Errors: it could not be built or started.
    pub(crate) fn hold(&self, name: &str, test: &RedTest, needs: &[String]) -> Result<Ended, String> {
        let log = self.logs.join(format!("{name}.log"));
        let trouble = |error: std::io::Error| format!("cannot write `{}`: {error}", log.display());
        let to = File::create(&log).map_err(trouble)?;
        let mut more: Vec<Vec<String>> = Vec::new();
        if test.package == env!("CARGO_PKG_NAME") {
            // Its tests run what stands in the directory of built things, whichever crate the bug is in.
            more.push(vec!["--workspace".to_owned()]);
        }
        if !needs.is_empty() {
            more.push([&["-p".to_owned(), test.package.clone()], needs].concat());
        }
        for args in more {
            let mut build = self.cargo("build");
            self.build(build.args(args), &to, &log)?;
        }
        let artifacts = self.logs.join(format!("{name}.artifacts.json"));
        let said = File::create(&artifacts).map_err(trouble)?;
        let mut build = self.cargo("test");
        build.args(["--no-run", "--message-format=json-render-diagnostics", "-p", &test.package]);
        build.args(&test.target).stdout(said);
        self.build(&mut build, &to, &log)?;
        let said = fs::read_to_string(&artifacts).map_err(trouble)?;
        let (binary, package_dir) =
            test_binary(&said).ok_or("cargo built no test, or more than one; name one target")?;

        let from = to.metadata().map_err(trouble)?.len();
        let mut run = program(&binary);
        run.arg(&test.filter).current_dir(&package_dir).env("CARGO_MANIFEST_DIR", &package_dir);
        run.env(BIN_DIR_VARIABLE, self.target.join("debug"));
        run.stdout(to.try_clone().map_err(trouble)?).stderr(to.try_clone().map_err(trouble)?);
        let status = within(&mut run, TEST_MS_MAX)?;
        let said = tail(&log, from).map_err(trouble)?;
        Ok(status.map_or(Ended::Hung, |status| ended(&said, status)))
    }

    fn cargo(&self, command: &str) -> Command {
        let mut cargo = house::cargo();
        cargo.arg(command).current_dir(&self.tree).arg("--target-dir").arg(&self.target);
        cargo
    }

    fn build(&self, build: &mut Command, to: &File, log: &Path) -> Result<(), String> {
        let trouble = |error: std::io::Error| format!("cannot use `{}`: {error}", log.display());
        build.stderr(to.try_clone().map_err(trouble)?);
        match within(build, BUILD_MS_MAX)? {
            Some(status) if status.success() => Ok(()),
            Some(_) => {
                let said = tail(log, 0).map_err(trouble)?;
                let lines: Vec<&str> = said.lines().collect();
                let shown = &lines[lines.len().saturating_sub(BUILD_LINES_SHOWN_MAX)..];
                Err(format!("it does not build:\n{}", shown.join("\n")))
            }
            None => Err(format!("it was not built within {BUILD_MS_MAX} ms")),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a built test is run without cargo, so that it can be ended")]
fn program(path: &Path) -> Command {
    Command::new(path)
}

/// Runs `command` in a process group of its own; `None` = it took too long, and the group was ended.
fn within(command: &mut Command, ms_max: u64) -> Result<Option<ExitStatus>, String> {
    let shown = command.get_program().to_string_lossy().into_owned();
    let trouble = |error: std::io::Error| format!("cannot run `{shown}`: {error}");
    let mut child = command.stdin(Stdio::null()).process_group(0).spawn().map_err(trouble)?;
    let started = Instant::now();
    while started.elapsed() < Duration::from_millis(ms_max) {
        if let Some(status) = child.try_wait().map_err(trouble)? {
            return Ok(Some(status));
        }
        std::thread::sleep(Duration::from_millis(LOOK_MS));
    }
    let group = format!("-{}", child.id());
    // If the group cannot be ended, the process itself still can.
    let _ = program(Path::new("kill")).args(["-KILL", "--", &group]).status();
    let _ = child.kill();
    child.wait().map_err(trouble)?;
    Ok(None)
}

/// Answers the one test binary of which cargo tells, and the directory of its package.
fn test_binary(messages: &str) -> Option<(PathBuf, PathBuf)> {
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut tests = messages.filter(|message| message["profile"]["test"] == true);
    let (test, None) = (tests.next()?, tests.next()) else { return None };
    let binary = PathBuf::from(test["executable"].as_str()?);
    let package = Path::new(test["manifest_path"].as_str()?).parent()?.to_owned();
    Some((binary, package))
}

/// Reads the end of a log, from byte `from` on.
fn tail(log: &Path, from: u64) -> std::io::Result<String> {
    let mut file = File::open(log)?;
    let from = from.max(file.metadata()?.len().saturating_sub(LOG_BYTES_READ_MAX));
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn ended(said: &str, status: ExitStatus) -> Ended {
    let mut tally = Tally::default();
    said.lines().for_each(|line| tally.read(line));
    match (tally.passed, tally.failed) {
        (_, failed) if failed > 0 => Ended::Red(failed),
        (0, 0) if status.success() => Ended::NoneRan,
        (passed, _) if status.success() => Ended::Green(passed),
        _ => Ended::Broke(status.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt as _;

    #[test]
    fn only_a_failing_test_is_red() {
        let says = |text: &str, code: i32| ended(text, ExitStatus::from_raw(code << 8));
        let line = |passed, failed| format!("test result: x. {passed} passed; {failed} failed; 0 ignored\n");
        assert_eq!(says(&line(3, 1), 101), Ended::Red(1));
        assert_eq!(says(&line(3, 0), 0), Ended::Green(3));
        assert_eq!(says(&line(0, 0), 0), Ended::NoneRan);
        assert_eq!(says("", 101), Ended::Broke("exit status: 101".to_owned()));
        assert!(matches!(ended("", ExitStatus::from_raw(6)), Ended::Broke(_)));
    }

    #[test]
    fn a_program_that_does_not_end_is_ended() {
        assert_eq!(within(program(Path::new("sleep")).arg("60"), 50), Ok(None));
        let ended = within(&mut program(Path::new("true")), 60_000).expect("started");
        assert!(ended.is_some_and(|status| status.success()));
    }

    #[test]
    fn of_what_cargo_says_the_one_test_is_taken() {
        let test = r#"{"profile":{"test":true},"executable":"/t/x-1","manifest_path":"/s/x/Cargo.toml"}"#;
        let other = r#"{"profile":{"test":false},"executable":null,"manifest_path":"/s/y/Cargo.toml"}"#;
        let expected = (PathBuf::from("/t/x-1"), PathBuf::from("/s/x"));
        assert_eq!(test_binary(&format!("{other}\n{test}\n{{}}\n")), Some(expected));
        assert_eq!(test_binary(other), None);
        assert_eq!(test_binary(&format!("{test}\n{test}")), None);
    }
}
