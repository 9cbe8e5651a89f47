//! The binary `dispatch`: argv, configuration layers, signals, exit codes, the log's sink.
//!
//! It must not know any service, extension or word of the domain: every command it does not own is an extension's.

mod argv;
mod backup;
mod boot;
mod builds;
mod command;
mod commands;
mod compose;
mod config;
mod config_file;
mod dirs;
mod doctor;
mod environment;
mod exec_shim;
mod exit;
mod explain;
mod ext;
mod init;
mod key_kind;
mod keys;
mod known_keys;
mod logging;
mod output;
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
mod terminal;
mod trust;
mod trusting;

use argv::{Invocation, Request};
use exit::Refusal;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<std::ffi::OsString> = std::env::args_os().skip(1).collect();
    // Before anything is read, opened or started: the shim becomes another program.
    if args.first().is_some_and(|word| word == "exec-shim") {
        exec_shim::main(args[1..].to_vec());
    }
    // Before the environment is read: from here on there are keys in memory.
    own_process::close();
    let done = argv::parse(&args).and_then(|invocation| run(&invocation));
    ExitCode::from(done.unwrap_or_else(|refusal| match argv::wants_json(&args) {
        true => refusal.print_with_document(),
        false => refusal.print(),
    }))
}

fn run(invocation: &Invocation) -> Result<u8, Refusal> {
    // Of a host that runs for months, what a person on duty would want to know is written as well.
    let level = if matches!(invocation.request, Request::Serve(_)) { "info" } else { "warn" };
    invocation.environment.check()?;
    logging::install(invocation, level)?;
    own_process::open_if(invocation.options.debuggable);
    match &invocation.request {
        Request::ExtList { json } => ext::list(invocation, *json),
        Request::ExtGraph(format) => ext::print_graph(invocation, *format),
        Request::BuildCheck(file) => ext::check(invocation, file),
        Request::BuildShow(name) => builds::text(name).and_then(output::out),
        Request::Serve(order) => serve::run(invocation, order),
        Request::ConfigExplain { key, json } => explain::run(invocation, key.as_deref(), *json),
        Request::ConfigKeys { instance, json } => keys::run(invocation, instance.as_deref(), *json),
        Request::Trust(order) => trusting::run(invocation, order),
        Request::Backup(order) => backup::run(invocation, order),
        Request::Doctor { json } => doctor::run(invocation, *json),
        Request::Completions { shell } => shell::completions(invocation, shell),
        Request::Init(order) => init::run(invocation, order),
        Request::Man => shell::man(invocation),
        Request::Command { name, argv } => command::run(invocation, name, argv),
        Request::Help => ext::help(invocation),
    }
}
