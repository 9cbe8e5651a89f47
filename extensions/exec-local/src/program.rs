//! One running program: its pipes, how it ends, and the leash that ends it.
//!
//! It must not know calls or limits of output. std starts the program and a thread of its own waits for it: tokio's
//! process support would reap a dropped child only while this instance's runtime lives, and process-wrap offers groups,
//! which the guard (`host-bin/src/exec_shim.rs`) has to exceed anyway.

use dispatch_sdk::Fault;
use dispatch_sdk::fault::{DENIED, IO, NOT_FOUND};
use rustix::process::{Pid, Signal};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::sync::oneshot;

/// The thread that waits for a program does nothing else.
const WAIT_STACK_BYTES: usize = 64 * 1024;
/// The guard's reports are a word and a number each.
const REPORT_BYTES_MAX: usize = 256;

/// What to start and where.
pub(crate) struct Launch<'a> {
    /// What stands before `argv`; empty = no guard, a process group is all there is.
    pub(crate) shim: &'a [String],
    pub(crate) argv: &'a [String],
    pub(crate) cwd: &'a str,
    /// `cwd` as it was opened beneath a root; absent = the name is all there is.
    pub(crate) dir: Option<OwnedFd>,
    pub(crate) env: BTreeMap<OsString, OsString>,
}

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Code(i32),
    Signal(i32),
    /// It could not be executed; the system's error number.
    NotExecuted(i32),
}

/// A started program. Dropping it kills all that belongs to it.
pub(crate) struct Program {
    pub(crate) stdout: Option<pipe::Receiver>,
    pub(crate) stderr: Option<pipe::Receiver>,
    pub(crate) fate: Fate,
}

/// How the program ends, seen from here.
pub(crate) struct Fate {
    leash: Leash,
    waited: oneshot::Receiver<io::Result<ExitStatus>>,
    reports: Vec<u8>,
    end: Option<End>,
}

enum Leash {
    /// The guard's control socket: closed, by whatever cause, it kills everything below the guard.
    Guard(UnixStream),
    /// Without a guard: the process group.
    Group(Pid),
}

impl Program {
    /// Starts a program; needs the runtime's context.
    ///
    /// Errors: `not_found`, `denied`, `io`, naming program and directory.
    pub(crate) fn start(launch: &Launch<'_>) -> Result<Self, Fault> {
        let failed = |error: io::Error| match launch.shim.first() {
            // What fails here is the guard's start; the program's own failure comes as its report.
            Some(shim) => Fault::new(IO, format!("cannot start `{shim}`, which guards programs: {error}")),
            None => not_started(launch, &error),
        };
        let mut command = command(launch);
        let control = if launch.shim.is_empty() {
            command.process_group(0).stdin(Stdio::null());
            None
        } else {
            let (ours, theirs) = std::os::unix::net::UnixStream::pair().map_err(failed)?;
            ours.set_nonblocking(true).map_err(failed)?;
            command.stdin(OwnedFd::from(theirs));
            Some(UnixStream::from_std(ours).map_err(failed)?)
        };
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(failed)?;
        // The command still holds the guard's end of the socket.
        drop(command);
        let leash = match control {
            Some(control) => Leash::Guard(control),
            None => Leash::Group(Pid::from_child(&child)),
        };
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        // From here on dropping `fate` kills the program.
        let fate = Fate { leash, waited: wait_for(child).map_err(failed)?, reports: Vec::new(), end: None };
        let receiver = |fd: OwnedFd| pipe::Receiver::from_owned_fd(fd).map_err(failed);
        Ok(Self {
            stdout: stdout.map(|out| receiver(out.into())).transpose()?,
            stderr: stderr.map(|err| receiver(err.into())).transpose()?,
            fate,
        })
    }
}

impl Fate {
    /// How it ended, once `ended` has said so.
    pub(crate) fn known(&self) -> Option<End> {
        self.end
    }

    /// Waits for the program's end (its children may live on). Dropping this future loses nothing.
    pub(crate) async fn ended(&mut self) -> End {
        loop {
            if let Some(end) = self.end {
                return end;
            }
            let mut chunk = [0; 64];
            let n = match &mut self.leash {
                Leash::Guard(control) if self.reports.len() < REPORT_BYTES_MAX => {
                    control.read(&mut chunk).await.unwrap_or(0)
                }
                Leash::Guard(_) | Leash::Group(_) => 0,
            };
            self.reports.extend_from_slice(&chunk[..n]);
            self.end = first_report(&self.reports);
            if n == 0 && self.end.is_none() {
                // Without a guard, or with one that somebody killed, the exit of the process itself is all there is.
                self.end = Some(end_of((&mut self.waited).await));
            }
        }
    }

    /// Asks the program to end. The guard kills what has not ended 200 ms later; without a guard `kill` must.
    pub(crate) async fn terminate(&mut self) {
        match &mut self.leash {
            // It fails only when the guard is gone, and its program with it.
            Leash::Guard(control) => drop(control.shutdown().await),
            Leash::Group(group) => signal(*group, Signal::TERM),
        }
    }

    /// Ends what did not end when it was asked.
    pub(crate) fn kill(&mut self) {
        match &self.leash {
            Leash::Guard(_) => {}
            Leash::Group(group) => signal(*group, Signal::KILL),
        }
    }

    /// Kills what is left, and waits at most `wait` until that has happened.
    pub(crate) async fn close(self, wait: Duration) {
        let Self { leash, waited, .. } = self;
        drop(leash);
        if !waited.is_terminated() && tokio::time::timeout(wait, waited).await.is_err() {
            tracing::warn!("a program's processes are still being killed");
        }
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        match self {
            Self::Guard(_) => {}
            Self::Group(group) => signal(*group, Signal::KILL),
        }
    }
}

fn signal(group: Pid, signal: Signal) {
    // It fails only for a group that is gone already.
    let _ = rustix::process::kill_process_group(group, signal);
}

#[expect(clippy::disallowed_methods, reason = "exec-local is where programs are started")]
fn command(launch: &Launch<'_>) -> Command {
    let mut argv = launch.argv.iter();
    let mut command = match launch.shim.split_first() {
        Some((shim, rest)) => {
            let mut command = Command::new(shim);
            command.args(rest).arg("--");
            command
        }
        None => Command::new(argv.next().expect("an empty argv was refused before")),
    };
    match &launch.dir {
        // The new process has a copy of the descriptor until it executes the program.
        Some(dir) => command.current_dir(format!("/proc/self/fd/{}", dir.as_raw_fd())),
        None => command.current_dir(launch.cwd),
    };
    command.args(argv).env_clear().envs(&launch.env);
    command
}

fn wait_for(mut child: Child) -> io::Result<oneshot::Receiver<io::Result<ExitStatus>>> {
    let (sender, waited) = oneshot::channel();
    let wait = move || {
        // Nobody listens when the call was dropped; the child is reaped all the same.
        let _ = sender.send(child.wait());
    };
    std::thread::Builder::new().name("exec-wait".to_owned()).stack_size(WAIT_STACK_BYTES).spawn(wait)?;
    Ok(waited)
}

fn first_report(reports: &[u8]) -> Option<End> {
    let line = reports.split_inclusive(|byte| *byte == b'\n').next()?.strip_suffix(b"\n")?;
    let (word, number) = std::str::from_utf8(line).ok()?.split_once(' ')?;
    let number = number.parse().ok()?;
    match word {
        "exit" => Some(End::Code(number)),
        "signal" => Some(End::Signal(number)),
        "failed" => Some(End::NotExecuted(number)),
        _ => None,
    }
}

fn end_of(waited: Result<io::Result<ExitStatus>, oneshot::error::RecvError>) -> End {
    match waited {
        Ok(Ok(status)) => match (status.code(), status.signal()) {
            (Some(code), _) => End::Code(code),
            (None, signal) => End::Signal(signal.unwrap_or(0)),
        },
        // Somebody else reaped it; what is known is that it is gone.
        Ok(Err(_)) | Err(_) => End::Signal(0),
    }
}

/// Why a program did not start, for the caller.
pub(crate) fn not_started(launch: &Launch<'_>, error: &io::Error) -> Fault {
    let program = &launch.argv[0];
    let (code, found) = match error.kind() {
        io::ErrorKind::NotFound => (NOT_FOUND, "no such program, or its interpreter is missing".to_owned()),
        io::ErrorKind::PermissionDenied => (DENIED, "it may not be executed".to_owned()),
        _ => (IO, error.to_string()),
    };
    Fault::new(code, format!("cannot run `{program}` in `{}`: {found}", launch.cwd))
}
