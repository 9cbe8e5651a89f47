//! The binary `dispatch`: argv, configuration layers, signals, exit codes, the log's sink.
//!
//! It must not know any service, extension or word of the domain: every command it does not own is an extension's.

mod argv;
mod boot;
mod builds;
mod command;
mod commands;
mod compose;
mod config;
mod dirs;
mod doctor;
mod exec_shim;
mod exit;
mod explain;
mod ext;
mod key_kind;
mod keys;
mod logging;
mod own_process;
mod ownership;
mod policy;
mod project;
mod project_files;
mod secrets;
mod serve;
mod shell;
mod signals;
mod stdin;
mod trust;
mod trusting;

use argv::{Invocation, Request};
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<std::ffi::OsString> = std::env::args_os().skip(1).collect();
    // Before anything is read, opened or started: the shim becomes another program.
    if args.first().is_some_and(|word| word == "exec-shim") {
        exec_shim::main(args[1..].to_vec());
    }
    // Before the environment is read: from here on there are keys in memory.
    own_process::close();
    let code = match argv::parse(&args) {
        Ok(invocation) => run(&invocation),
        Err(refusal) => refusal.print(),
    };
    ExitCode::from(code)
}

fn run(invocation: &Invocation) -> u8 {
    // Of a host that runs for months, what a person on duty would want to know is written as well.
    let level = if matches!(invocation.request, Request::Serve(_)) { "info" } else { "warn" };
    logging::install(&invocation.environment, level);
    own_process::open_if(invocation.options.debuggable);
    let done = match &invocation.request {
        Request::ExtList { json } => ext::list(invocation, *json),
        Request::ExtGraph(format) => ext::graph(invocation, *format),
        Request::BuildCheck(file) => ext::check(invocation, file),
        Request::Serve(order) => serve::run(invocation, order),
        Request::ConfigExplain { key, json } => explain::run(invocation, key.as_deref(), *json),
        Request::ConfigKeys { instance, json } => keys::run(invocation, instance.as_deref(), *json),
        Request::Trust(order) => trusting::run(invocation, order),
        Request::Doctor { json } => doctor::run(invocation, *json),
        Request::Completions { shell } => shell::completions(invocation, shell),
        Request::Man => shell::man(invocation),
        Request::Command { name, argv } => command::run(invocation, name, argv),
        Request::Help => ext::help(invocation),
    };
    done.unwrap_or_else(|refusal| refusal.print())
}
