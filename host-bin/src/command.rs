//! Runs a command that an extension brings: boot, call, write frames, signals, stop.

use crate::argv::{Environment, Invocation};
use crate::boot::{self, Booted};
use crate::commands::own_commands;
use crate::compose::{Composed, compose_to_boot};
use crate::exit::{BROKEN_PIPE, FAILED, OK, Refusal};
use crate::policy::{self, Unsaid};
use crate::signals::{Ending, Signals};
use crate::stdin::Stdin;
use dispatch_compose::nearest;
use dispatch_contracts::command::{Main, MainParams, OutFrame, Tty};
use dispatch_contracts::kernel::{HOST_INSTANCE, InstanceState};
use dispatch_contracts::op::ERROR_TABLE;
use dispatch_contracts::tool::OutputStream;
use dispatch_contracts::{ContributionKind, Fault, fault};
use dispatch_kernel::{AttachedCall, Frame, Kernel};
use std::io::Write as _;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// What turns have to end as interrupted before the command that shows one of them is cancelled.
const TURNS_END_WITHIN: Duration = Duration::from_secs(5);
/// What somebody has to take what a command shows, once it was told to end.
const TAKEN_WITHIN: Duration = Duration::from_secs(5);

/// Boots the build and runs the command in it.
pub(crate) fn run(invocation: &Invocation, name: &str, argv: &[String]) -> Result<u8, Refusal> {
    let composed = compose_to_boot(invocation)?;
    boot::block_on(boot_and_run(invocation, composed, name, argv))
}

async fn boot_and_run(
    invocation: &Invocation,
    composed: Composed,
    name: &str,
    argv: &[String],
) -> Result<u8, Refusal> {
    composed.tell_notes();
    let policy = policy::of(composed.plan.policy, &invocation.options.allow, Unsaid::IsAsked)?;
    let known = composed
        .plan
        .instances
        .iter()
        .any(|instance| instance.contributes.of(ContributionKind::Command).iter().any(|c| c == name));
    if !known {
        let own = own_commands();
        let own = own.get_subcommands().map(clap::Command::get_name);
        let contributed =
            composed.plan.instances.iter().flat_map(|i| i.contributes.of(ContributionKind::Command));
        let near = nearest(name, own.chain(contributed.map(String::as_str)));
        let near = near.map(|near| format!("did you mean `{near}`? ")).unwrap_or_default();
        return Err(Refusal::usage(format!(
            "there is no command `{name}` in this build; {near}`dispatch --help` lists them"
        )));
    }
    let mut signals = Signals::listen_on_a_terminal()?;
    let kernel = match boot::boot_until(composed, policy, &mut signals).await? {
        Booted::Runs(kernel) => kernel,
        Booted::Ended(ending) => return Ok(ending.code()),
    };
    let code = run_in(&kernel, &invocation.environment, name, argv, &mut signals).await;
    tokio::select! {
        () = kernel.stop() => {}
        _ = signals.next() => {}
    }
    code
}

async fn run_in(
    kernel: &Kernel,
    environment: &Environment,
    name: &str,
    argv: &[String],
    signals: &mut Signals,
) -> Result<u8, Refusal> {
    let cwd = std::env::current_dir()
        .map_err(|e| Refusal::failed(format!("cannot tell the working directory: {e}")))?;
    let cwd = cwd.to_str().ok_or_else(|| Refusal::failed("the working directory's path is not UTF-8"))?;
    let params = MainParams { argv: argv.to_vec(), tty: tty(environment), cwd: cwd.to_owned() };
    let (frames_written, written) = watch::channel(0);
    let host = kernel.attach::<dispatch_contracts::command::Read, _>(HOST_INSTANCE, Stdin::new(written));
    let call = host.stream_named(Main, name, &params).map_err(|fault| refused(kernel, name, &fault))?;
    match drive(kernel, call, &frames_written, signals).await {
        Ok(code) => Ok(code),
        Err(Failure::Fault(fault)) => Err(refused(kernel, name, &fault)),
        Err(Failure::Output(e)) => Err(Refusal::failed(format!("cannot write what `{name}` shows: {e}"))),
    }
}

/// What the standard streams are. Source: no-color.org, bixense.com/clicolors.
fn tty(environment: &Environment) -> Tty {
    let stderr = rustix::termios::isatty(std::io::stderr());
    let rewrites = stderr && environment.get("TERM").is_some_and(|term| term != "dumb");
    let color = if environment.get("NO_COLOR").is_some() {
        false
    } else if environment.get("CLICOLOR_FORCE").is_some_and(|force| force != "0") {
        true
    } else {
        rewrites && environment.get("CLICOLOR") != Some("0")
    };
    Tty {
        stdin: rustix::termios::isatty(std::io::stdin()),
        stdout: rustix::termios::isatty(std::io::stdout()),
        stderr,
        color,
        rewrites,
    }
}

/// Why a command did not come to its own end.
enum Failure {
    Fault(Fault),
    /// What it shows could not be written, and not because nobody reads it.
    Output(std::io::Error),
}

/// Writes frames until the reply; the first signal ends the command in order, the second the process.
async fn drive(
    kernel: &Kernel,
    mut call: AttachedCall<Main>,
    frames_written: &watch::Sender<u64>,
    signals: &mut Signals,
) -> Result<u8, Failure> {
    let mut told = Told::default();
    let mut unwritten: Option<std::io::Error> = None;
    loop {
        let frame = tokio::select! {
            frame = call.next() => frame,
            ending = signals.next() => {
                told.take(ending, kernel, &call);
                continue;
            }
            () = told.waited_enough() => {
                told.cancel_at = None;
                call.cancel();
                continue;
            }
        };
        match frame {
            Ok(Frame::Frame(_)) if unwritten.is_some() => {}
            Ok(Frame::Frame(frame)) => {
                // On a thread of its own: nobody may be taking what is written, and signals must be heard all the same.
                let mut writing = tokio::task::spawn_blocking(move || write(&frame));
                let began = Instant::now();
                let written = loop {
                    tokio::select! {
                        written = &mut writing => break written.unwrap_or_else(|e| Err(e.into())),
                        ending = signals.next() => told.take(ending, kernel, &call),
                        // Its thread is left behind, and nothing is written after it.
                        () = told.waited_for_a_reader(began) => break Err(std::io::ErrorKind::TimedOut.into()),
                    }
                };
                frames_written.send_modify(|written| *written += 1);
                if let Err(e) = written {
                    unwritten = Some(e);
                    call.cancel();
                }
            }
            // What was done all the same is done.
            Ok(Frame::End(reply)) if unwritten.is_none() => {
                return Ok(told
                    .ending
                    .filter(|_| reply.exit_code != OK)
                    .map_or(reply.exit_code, Ending::code));
            }
            Err(fault) if unwritten.is_none() => {
                return match told.ending.filter(|_| fault.is(fault::CANCELLED)) {
                    Some(ending) => Ok(ending.code()),
                    None => Err(Failure::Fault(fault)),
                };
            }
            Ok(Frame::End(_)) | Err(_) => break,
        }
    }
    match (told.ending, unwritten) {
        // A terminal that went away takes nothing any more.
        (Some(ending), _) => Ok(ending.code()),
        (None, Some(e)) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(Failure::Output(e)),
        (None, _) => Ok(BROKEN_PIPE),
    }
}

/// What the command was told by signals.
#[derive(Default)]
struct Told {
    ending: Option<Ending>,
    /// When it was told so.
    at: Option<Instant>,
    /// When the command is cancelled, if what it waits for has not ended by then.
    cancel_at: Option<Instant>,
}

impl Told {
    /// A person stops the command. Anybody else ends the host: turns end as interrupted, and the command sees it.
    fn take(&mut self, ending: Ending, kernel: &Kernel, call: &AttachedCall<Main>) {
        if self.ending.is_some() {
            std::process::exit(i32::from(ending.code()));
        }
        self.ending = Some(ending);
        self.at = Some(Instant::now());
        match ending {
            Ending::Terminate | Ending::Hangup if kernel.interrupt_turns() > 0 => {
                self.cancel_at = Some(Instant::now() + TURNS_END_WITHIN);
            }
            Ending::Interrupt | Ending::Terminate | Ending::Hangup => call.cancel(),
        }
    }

    async fn waited_enough(&self) {
        until(self.cancel_at).await;
    }

    /// Ready when what has been written since `began` is not taken, though the command must end.
    async fn waited_for_a_reader(&self, began: Instant) {
        until(self.at.map(|told| told.max(began) + TAKEN_WITHIN)).await;
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

fn write(frame: &OutFrame) -> std::io::Result<()> {
    let bytes = frame.text.as_bytes();
    match frame.stream {
        OutputStream::Stdout => {
            let mut stdout = std::io::stdout().lock();
            stdout.write_all(bytes)?;
            stdout.flush()
        }
        OutputStream::Stderr => std::io::stderr().lock().write_all(bytes),
    }
}

fn refused(kernel: &Kernel, name: &str, fault: &Fault) -> Refusal {
    let code = ERROR_TABLE.iter().find(|(code, ..)| fault.is(code)).map_or(FAILED, |(_, _, exit, _)| *exit);
    let mut message = format!("`{name}` failed: {fault}");
    for instance in kernel.inventory().instances.iter().filter(|i| i.state == InstanceState::Disabled) {
        message.push_str(&format!("\n  `{}` is disabled: {}", instance.id, instance.reason));
    }
    Refusal { code, message }
}
