//! The benches: `cargo house bench` starts this program once for each name of `house::bench::BENCHES`.
//!
//! A bench writes its figures to standard output, one JSON document a line, and what it does to standard error.
//! It fails when it could not measure, never when it measured something slow.

mod accept;
mod bare;
mod boot;
mod client;
mod disk;
mod dlopen;
mod flood;
mod floor;
mod history;
mod http;
mod idle;
mod kernel;
mod load;
mod long;
mod many;
mod once;
mod points;
mod process;
mod servers;
mod timing;
mod turns;
mod waist;

use house::bench::Figure;
use std::process::ExitCode;

/// What a bench could not do.
type Trouble = String;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["waist"] => waist::run(),
        ["history"] => history::run(),
        ["boot"] => boot::run(),
        ["bare"] => bare::run(),
        ["once"] => once::run(),
        ["idle"] => idle::run(),
        ["turns"] => turns::run(),
        ["long"] => long::run(),
        ["many"] => many::run(),
        ["flood"] => flood::run(),
        ["accept"] => accept::run(),
        // Parts of benches that need a process to themselves.
        ["child", "floor", upstream] => floor::child(upstream),
        ["child", "boot", home] => boot::child_boot(home),
        ["child", "dlopen", libraries @ ..] => boot::child_dlopen(libraries),
        ["child", "instances", n] => boot::child_instances(n),
        // Cargo's own words, when somebody says `cargo bench`.
        _ => {
            eprintln!("bench: run `cargo house bench [NAME…]`, which builds what is measured first");
            return ExitCode::SUCCESS;
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(trouble) => {
            eprintln!("bench: {trouble}");
            ExitCode::FAILURE
        }
    }
}

/// Hands a figure to whoever started the bench.
fn say(figure: &Figure) {
    println!("{}", serde_json::to_string(figure).expect("a figure is plain"));
}

/// Says what is being done, for whoever waits.
fn note(what: &str) {
    eprintln!("bench: {what}");
}
