//! `command.v1`: commands of the `dispatch` binary. Many-valued by name: `command.v1/main#run`.
//!
//! `main` is spawned and long; frames are what to write, in order; the first Ctrl-C cancels the call (two phases).
//! `command_host.v1/read` goes to the binary, which alone touches stdin.

use crate::verb::{Limits, Mode, Verb};
use serde::{Deserialize, Serialize};

/// A command as `start` contributes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CommandSpec {
    /// The word after `dispatch`.
    pub name: String,
    /// One line for `--help`.
    pub summary: String,
    /// Its options, for help, completion and man page.
    #[serde(default)]
    pub options: Vec<OptionSpec>,
}

/// One option of a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct OptionSpec {
    /// `--conversation`, or the name of a positional argument.
    pub name: String,
    /// Name of its value; empty = a switch.
    #[serde(default)]
    pub value: String,
    /// One line.
    pub summary: String,
}

/// `command.v1/main`.
pub struct Main;

impl Verb for Main {
    type Params = MainParams;
    type Reply = MainReply;
    type Frame = OutFrame;
    const NAME: &'static str = "command.v1/main";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = Limits::long(0);
}

/// How the command was called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MainParams {
    /// What stands after the command's name, without the host's own options.
    pub argv: Vec<String>,
    /// Which of the three standard streams are terminals.
    pub tty: Tty,
    /// Absolute working directory of the process.
    pub cwd: String,
}

/// Which standard streams are terminals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tty {
    /// Standard input.
    pub stdin: bool,
    /// Standard output.
    pub stdout: bool,
    /// Standard error.
    pub stderr: bool,
    /// Colours may be written to standard error (`NO_COLOR`, `CLICOLOR_FORCE`, `TERM` are looked at by the host).
    #[serde(default)]
    pub color: bool,
    /// Standard error is a terminal that can write a line over again.
    #[serde(default)]
    pub rewrites: bool,
}

/// Text to write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutFrame {
    /// Where.
    pub stream: crate::tool::OutputStream,
    /// What; written and flushed as it is.
    pub text: String,
}

/// How the command ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MainReply {
    /// Exit code of the process.
    pub exit_code: u8,
}

/// `command_host.v1/read`.
pub struct Read;

impl Verb for Read {
    type Params = ReadParams;
    type Reply = ReadReply;
    type Frame = crate::verb::NoFrame;
    const NAME: &'static str = "command_host.v1/read";
    const MODE: Mode = Mode::Spawned;
    const LIMITS: Limits = Limits::long(0);
}

/// How much to read from standard input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadParams {
    /// Most bytes.
    pub bytes_max: u64,
    /// Stop after a line feed.
    #[serde(default)]
    pub line: bool,
    /// Ask for it: once so many frames of the command's call were written, what was typed until then is thrown away, and
    /// `prompt` is written to standard error.
    ///
    /// So that an answer is one to what stands on the screen. Only a terminal's input is thrown away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub question: Option<Question>,
    /// How long to wait for the first byte, in ms; 0 = for ever. Where none came, the answer is empty and no end.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub first_within_ms: u64,
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// What stands on the screen before an answer is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// Frames of the command's call that come before it.
    pub after_frames: u64,
    /// The text on whose line the answer is typed; plain, and the command's own.
    pub prompt: String,
}

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadReply {
    /// Text; bytes that are no UTF-8 are replaced.
    pub text: String,
    /// Nothing comes after it.
    pub eof: bool,
    /// More would have come, but `bytes_max` was reached.
    #[serde(default)]
    pub truncated: bool,
}
