//! `cargo house bench`: builds in release, runs each bench as a process of its own, and shows its figures.
//!
//! It must not know what is measured. A goal that is missed is shown and fails nothing; a bench that could not
//! measure fails the run.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::time::Instant;

use house::BIN_DIR_VARIABLE;
use house::bench::{BENCHES, Bench, Figure};
use serde_json::{Value, json};

use crate::build;

/// The target that holds every bench.
const TARGET: &str = "bench";
/// Most characters of a figure's name before the table gives up its columns.
const NAME_CHARS_MAX: usize = 58;

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    benches: Vec<&'static Bench>,
    /// Where all figures go as one JSON document.
    json: Option<PathBuf>,
}

/// Runs the benches of these names, or all.
pub(crate) fn run(args: &[String]) -> Result<ExitCode, String> {
    let asked = asked(args)?;
    println!("dev: build in release first (a cold build takes minutes)");
    let built = build::workspace(&["--release"])?;
    if !built.success() {
        return Err(format!("`cargo build --release` ended with {built}; its output says why"));
    }
    let program = build_benches()?;
    let bin_dir = build::target_dir()?.join("release");

    let mut documents = Vec::new();
    let mut broken = Vec::new();
    let (mut n_reached, mut n_missed) = (0, 0);
    for bench in &asked.benches {
        println!("\n{}: {}", bench.name, bench.summary);
        let started = Instant::now();
        let mut command = program_command(&program);
        command.arg(bench.name).env(BIN_DIR_VARIABLE, &bin_dir).stdout(Stdio::piped()).stdin(Stdio::null());
        let child = command.spawn().map_err(|e| format!("cannot start `{}`: {e}", program.display()))?;
        let (figures, ended) = read(child)?;
        for figure in &figures {
            match figure.reached() {
                Some(true) => n_reached += 1,
                Some(false) => n_missed += 1,
                None => {}
            }
        }
        println!("     {} figures in {} s", figures.len(), started.elapsed().as_secs());
        if !ended.success() {
            println!("     COULD NOT RUN: {ended}; what it wrote above says why");
            broken.push(bench.name);
        }
        documents.push(json!({ "bench": bench.name, "ran": ended.success(), "figures": rows(&figures) }));
    }
    if let Some(path) = &asked.json {
        let text = serde_json::to_string_pretty(&documents).map_err(|e| e.to_string())?;
        fs::write(path, text + "\n").map_err(|e| format!("cannot write `{}`: {e}", path.display()))?;
        println!("\ndev: wrote {}", path.display());
    }
    println!("\nbench: {n_reached} goals reached, {n_missed} missed");
    if broken.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    Err(format!("these benches could not run: {}", broken.join(", ")))
}

fn asked(args: &[String]) -> Result<Asked, String> {
    let mut asked = Asked { benches: Vec::new(), json: None };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        if arg == "--json" {
            let file = args.next().ok_or("`--json` needs the name of a file")?;
            asked.json = Some(PathBuf::from(file));
            continue;
        }
        let Some(bench) = BENCHES.iter().find(|bench| bench.name == *arg) else {
            let all: Vec<&str> = BENCHES.iter().map(|bench| bench.name).collect();
            return Err(format!("there is no bench `{arg}`; there are {}", all.join(", ")));
        };
        asked.benches.push(bench);
    }
    if asked.benches.is_empty() {
        asked.benches = BENCHES.iter().collect();
    }
    Ok(asked)
}

/// Builds the program of the benches, apart from the workspace: what tests alone need must not get into what is measured.
fn build_benches() -> Result<PathBuf, String> {
    let mut build = house::cargo();
    build.args(["build", "--release", "--locked", "--package", env!("CARGO_PKG_NAME"), "--bench", TARGET]);
    println!("dev: cargo build --release --locked --package {} --bench {TARGET}", env!("CARGO_PKG_NAME"));
    build.args(["--message-format", "json-render-diagnostics"]).stderr(Stdio::inherit());
    let output = build.output().map_err(|e| format!("cannot start `cargo build`: {e}"))?;
    if !output.status.success() {
        return Err(format!("the benches do not build ({})", output.status));
    }
    program_in(&String::from_utf8_lossy(&output.stdout))
        .ok_or_else(|| "cargo built no program of the benches".to_owned())
}

/// The program of the benches, of which cargo tells.
fn program_in(messages: &str) -> Option<PathBuf> {
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut programs = messages.filter(|message| {
        message["target"]["kind"] == json!(["bench"]) && message["target"]["name"] == TARGET
    });
    Some(PathBuf::from(programs.next()?["executable"].as_str()?))
}

#[expect(clippy::disallowed_methods, reason = "this program exists to run what cargo built")]
fn program_command(program: &Path) -> Command {
    Command::new(program)
}

/// Shows each figure as it comes, and waits for the end.
fn read(mut child: Child) -> Result<(Vec<Figure>, ExitStatus), String> {
    let stdout = child.stdout.take().expect("the pipe was asked for");
    let mut figures = Vec::new();
    for line in BufReader::new(stdout).lines() {
        let line = line.map_err(|e| format!("cannot read what a bench says: {e}"))?;
        match serde_json::from_str::<Figure>(&line) {
            Ok(figure) => {
                show(&figure);
                figures.push(figure);
            }
            Err(_) => println!("     {line}"),
        }
    }
    let ended = child.wait().map_err(|e| format!("cannot wait for a bench: {e}"))?;
    Ok((figures, ended))
}

fn show(figure: &Figure) {
    let [what, value, baseline, ratio, goal, verdict] = figure.columns();
    let verdict = if verdict.is_empty() { "-".to_owned() } else { verdict };
    println!("  {verdict:7}  {what:NAME_CHARS_MAX$}  {value:>12}  {goal:>12}  {ratio:>8}  {baseline}");
    if !figure.note.is_empty() {
        println!("  {:7}  {}", "", figure.note);
    }
}

/// The figures with what follows from them.
fn rows(figures: &[Figure]) -> Vec<Value> {
    let row = |figure: &Figure| {
        let mut row = serde_json::to_value(figure).expect("a figure is plain");
        row["ratio"] = json!(figure.ratio());
        row["reached"] = json!(figure.reached());
        row
    };
    figures.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use house::bench::Goal;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn benches_are_chosen_by_name_and_without_names_all_are() {
        let names = |text: &str| {
            let asked = asked(&words(text)).expect("good words");
            let names: Vec<&str> = asked.benches.iter().map(|bench| bench.name).collect();
            (names, asked.json)
        };
        assert_eq!(names("waist --json f.json boot"), (vec!["waist", "boot"], Some(PathBuf::from("f.json"))));
        assert_eq!(names("").0.len(), BENCHES.len());
        assert!(asked(&words("nobody")).is_err_and(|e| e.contains("no bench `nobody`; there are waist,")));
        assert!(asked(&words("--json")).is_err());
    }

    #[test]
    fn of_what_cargo_says_the_program_of_the_benches_is_taken() {
        let other = r#"{"target":{"kind":["lib"],"name":"house"},"executable":null}"#;
        let program = r#"{"target":{"kind":["bench"],"name":"bench"},"executable":"/t/bench-1"}"#;
        assert_eq!(program_in(&format!("{other}\n{program}\n")), Some(PathBuf::from("/t/bench-1")));
        assert_eq!(program_in(other), None);
    }

    #[test]
    fn a_row_says_what_follows_from_its_figure() {
        let figure = Figure::new("w", 4.0, "ms").beside("b", 2.0).goal(Goal::AtMost(3.0));
        let row = rows(&[figure]).remove(0);
        assert_eq!(
            (&row["ratio"], &row["reached"], &row["goal"]),
            (&json!(2.0), &json!(false), &json!({ "at_most": 3.0 }))
        );
    }
}
