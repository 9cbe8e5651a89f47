//! A command line that leaves nothing to run: help that was asked for, or a mistake.
//!
//! It must not know which commands there are.

use crate::exit;
use crate::runs::Run;
use clap::error::ErrorKind;
use dispatch_sdk::Fault;
use dispatch_sdk::contracts::tool::OutputStream;

/// Why there is nothing to run: text for a person, not yet plain.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unrun {
    /// It was asked for: standard output, exit 0.
    Help(String),
    /// The command line is wrong: standard error, exit 2.
    Usage(String),
}

/// What a command line that clap did not take comes to.
pub(crate) fn unrun(error: &clap::Error) -> Unrun {
    match error.kind() {
        ErrorKind::DisplayHelp => Unrun::Help(error.render().to_string()),
        _ => Unrun::Usage(error.render().to_string()),
    }
}

/// Shows help, or what is wrong with the command line.
pub(crate) async fn show_unrun(run: &Run, unrun: Unrun) -> Result<u8, Fault> {
    let mut screen = run.screen.lock().await;
    match unrun {
        Unrun::Help(text) => screen.page(OutputStream::Stdout, &text).await.map(|()| exit::OK),
        Unrun::Usage(text) => screen.page(OutputStream::Stderr, &text).await.map(|()| exit::USAGE),
    }
}
