//! The binary behind `cargo demo`, `cargo house` and `cargo dist`.
//!
//! It must not know what it builds beyond the names of cargo's own commands and of the `dispatch` binary.

#[path = "dev/abi_fixtures.rs"]
mod abi_fixtures;
#[path = "dev/bench.rs"]
mod bench;
#[path = "dev/build.rs"]
mod build;
#[path = "dev/demo.rs"]
mod demo;
#[path = "dev/house_run.rs"]
mod house_run;
#[path = "dev/install.rs"]
mod install;
#[path = "dev/mutants.rs"]
mod mutants;
#[path = "dev/tally.rs"]
mod tally;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo demo                 build the workspace and show one turn, offline
       cargo house [ARGS…]        build the workspace and run all its tests; ARGS go to `cargo test`
       cargo house a_name         … those whose name holds `a_name`
       cargo house -p house       … those of one package
       cargo house mutants [NAME…]  plant each bug of `tests/mutants` and see its test fail (takes minutes)
       cargo house bench [NAME…] [--json FILE]  build in release and measure; a goal that is missed fails nothing
       cargo dist [--prefix DIR] [--tarball FILE] [--from DIR]  build in release and lay it out below DIR, or in a
                                  tarball; `--from` takes what was built there
       dev abi-fixtures           build the ABI fixtures alone, after the workspace (`cargo house` does both)";

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let outcome = match args.next().as_deref() {
        Some("demo") if args.len() == 0 => demo::run(),
        Some("abi-fixtures") if args.len() == 0 => {
            build::target_dir().and_then(|dir| abi_fixtures::build(&dir)).map(|()| ExitCode::SUCCESS)
        }
        Some("dist") => install::run(&args.collect::<Vec<String>>()),
        Some("house") => {
            let args: Vec<String> = args.collect();
            match args.split_first() {
                Some((first, names)) if first == "mutants" => mutants::run(names),
                Some((first, names)) if first == "bench" => bench::run(names),
                _ => house_run::run(args),
            }
        }
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    outcome.unwrap_or_else(|trouble| {
        eprintln!("dev: {trouble}");
        ExitCode::FAILURE
    })
}
