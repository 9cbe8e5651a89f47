//! `cargo house`: builds the workspace, then runs all its tests against what was built.
//!
//! It must not know which tests there are. `cargo test` alone builds no crate that is a `cdylib` only, so extensions
//! are built first; with the test targets, so that both phases have the same features and nothing is built twice.

use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdout, ExitCode, ExitStatus, Stdio};
use std::time::Instant;

use crate::abi_fixtures;
use crate::build;
use crate::tally::Tally;

/// Builds, tests, and passes the exit code of whichever failed.
pub(crate) fn run(args: Vec<String>) -> Result<ExitCode, String> {
    println!("dev: phase 1 of 3, build everything (a cold build takes minutes)");
    let built = build::workspace(&["--lib", "--bins", "--tests", "--examples"])?;
    if !built.success() {
        return Ok(code_of(built));
    }
    let bin_dir = build::debug_dir()?;
    if tests_this_package(&args) {
        println!("dev: phase 2 of 3, the ABI fixtures of `tests/abi-fixtures` (only what changed)");
        abi_fixtures::build(&build::target_dir()?)?;
    }

    let mut test = house::cargo();
    test.args(["test", "--locked", "--no-fail-fast"]);
    if !names_packages(&args) {
        test.arg("--workspace");
    }
    test.args(&args).env(house::BIN_DIR_VARIABLE, &bin_dir).stdout(Stdio::piped());
    let shown = test.get_args().map(|arg| arg.to_string_lossy()).collect::<Vec<_>>().join(" ");
    println!("dev: phase 3 of 3, {}={} cargo {shown}", house::BIN_DIR_VARIABLE, bin_dir.display());

    let started = Instant::now();
    let mut child = test.spawn().map_err(|error| format!("cannot start `cargo test`: {error}"))?;
    let stdout = child.stdout.take().expect("the pipe was asked for");
    let tally =
        show_and_count(stdout).map_err(|error| format!("cannot pass on the tests' output: {error}"))?;
    let ended = child.wait().map_err(|error| format!("cannot wait for `cargo test`: {error}"))?;
    println!("house: {tally} in {} s", started.elapsed().as_secs());
    Ok(code_of(ended))
}

/// Whether the caller chose packages, which `--workspace` would overrule.
fn names_packages(args: &[String]) -> bool {
    let for_cargo = args.iter().take_while(|arg| *arg != "--");
    for_cargo.into_iter().any(|arg| arg.starts_with("-p") || arg.starts_with("--package"))
}

/// Whether the tests that load the ABI fixtures are among those that the caller chose.
fn tests_this_package(args: &[String]) -> bool {
    !names_packages(args) || args.iter().any(|arg| arg.ends_with(env!("CARGO_PKG_NAME")))
}

/// Writes what comes as soon as it comes, and counts the results in it.
fn show_and_count(from: ChildStdout) -> std::io::Result<Tally> {
    let mut tally = Tally::default();
    let mut from = BufReader::new(from);
    let mut to = std::io::stdout().lock();
    let mut line = Vec::new();
    while from.read_until(b'\n', &mut line)? > 0 {
        to.write_all(&line)?;
        to.flush()?;
        tally.read(String::from_utf8_lossy(&line).trim_end());
        line.clear();
    }
    Ok(tally)
}

fn code_of(status: ExitStatus) -> ExitCode {
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    code.map_or(ExitCode::FAILURE, ExitCode::from)
}

#[cfg(test)]
mod tests {
    use super::{names_packages, tests_this_package};

    #[test]
    fn a_package_is_looked_for_before_the_double_dash_only() {
        let args = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert!(names_packages(&args("-p house")));
        assert!(names_packages(&args("a_name --package=house")));
        assert!(!names_packages(&args("a_name -- -p")));
        assert!(tests_this_package(&args("-p house a_name")));
        assert!(tests_this_package(&args("a_name")));
        assert!(!tests_this_package(&args("-p dispatch-sdk")));
    }
}
