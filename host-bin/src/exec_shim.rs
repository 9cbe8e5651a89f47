//! The hidden `dispatch exec-shim`: nothing that a program started by `exec-local` starts outlives its call.
//!
//! It must not know configuration, contracts or extensions; it runs before any of them is set up, and reads no
//! environment. It is called with a socket as standard input, held by the caller: *control*.
//!
//! Two roles. Without `--parent-pid` it is the *guard*: a session of its own, and the parent of every orphan below it,
//! so that neither `&`, `nohup`, `setsid` nor a double fork escapes. It starts the program through the second role,
//! says on control how it ended, and when control closes — the call is over, or the host died in whatever way — kills
//! all that is left. With `--parent-pid` it becomes the program: it arms the signal that ends it with its guard, sets
//! the limits and execs. Signals from a dying host are not relied on: a death signal would end the guard before it
//! could clear up, and fires when a mere thread of the host ends.
//!
//! Lines on control: `failed <errno>` the program could not be executed; `exit <code>` or `signal <number>` it ended.

use rustix::fs::FileType;
use rustix::io::Errno;
use rustix::process::{Pid, Resource, Rlimit, Signal, WaitOptions, WaitStatus};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio, exit};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

/// What a program that ignores SIGTERM gets before SIGKILL; well inside a call's grace of 500 ms.
const TERM_GRACE: Duration = Duration::from_millis(200);
/// For the news that nothing is left, which mostly comes with the program's end; a look at `/proc` costs more.
const SETTLE: Duration = Duration::from_millis(2);
/// Between two looks for processes that are left.
const SWEEP_ROUND: Duration = Duration::from_millis(10);
/// Looks for processes that are left; one that cannot be killed (a dead file system) is given up after 5 s.
const SWEEP_ROUNDS_MAX: usize = 500;
const EVENTS_MAX: usize = 64;
/// As `env` and `timeout` do: the shim itself failed.
const EXIT_SHIM_FAILED: i32 = 125;
const EXIT_EXEC_FAILED: i32 = 127;

/// Runs the shim; `args` is what stands after `exec-shim`: `[--parent-pid PID] [--limit NAME=VALUE]… -- ARGV…`.
pub(crate) fn main(args: Vec<OsString>) -> ! {
    let outcome = Order::parse(args).and_then(|order| match order.parent {
        Some(parent) => become_program(&order, parent),
        None => guard(&order),
    });
    if let Err(message) = outcome {
        // With standard error gone there is nobody to tell; the exit code says it as well.
        let _ = writeln!(std::io::stderr(), "dispatch exec-shim: {message}");
        exit(EXIT_SHIM_FAILED);
    }
    exit(0);
}

struct Order {
    parent: Option<Pid>,
    limits: Vec<(OsString, Resource, u64)>,
    argv: Vec<OsString>,
}

impl Order {
    fn parse(args: Vec<OsString>) -> Result<Self, String> {
        let mut order = Self { parent: None, limits: Vec::new(), argv: Vec::new() };
        let mut args = args.into_iter();
        while let Some(arg) = args.next() {
            if arg == "--" {
                order.argv = args.collect();
                break;
            }
            let value = args.next().unwrap_or_default();
            if arg == "--parent-pid" {
                order.parent = Some(parse_pid(&value).ok_or("`--parent-pid` wants a process id")?);
            } else if arg == "--limit" {
                let (resource, most) = parse_limit(&value)
                    .ok_or_else(|| format!("`--limit {}` is not NAME=NUMBER", value.display()))?;
                order.limits.push((value, resource, most));
            } else {
                return Err(format!("`{}` is not an option of it", arg.display()));
            }
        }
        if order.argv.is_empty() { Err("no program after `--`".to_owned()) } else { Ok(order) }
    }
}

fn parse_pid(value: &OsStr) -> Option<Pid> {
    Pid::from_raw(value.to_str()?.parse().ok()?)
}

fn parse_limit(value: &OsStr) -> Option<(Resource, u64)> {
    let (name, most) = value.to_str()?.split_once('=')?;
    let resource = match name {
        "as" => Resource::As,
        "core" => Resource::Core,
        "cpu" => Resource::Cpu,
        "fsize" => Resource::Fsize,
        "nofile" => Resource::Nofile,
        "nproc" => Resource::Nproc,
        _ => return None,
    };
    Some((resource, most.parse().ok()?))
}

fn become_program(order: &Order, parent: Pid) -> Result<(), String> {
    let mut control = control()?;
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).map_err(tried("arm PDEATHSIG"))?;
    // The guard may have died before the signal was armed; then nobody would send it.
    if rustix::process::getppid() != Some(parent) {
        return Err("the guard is gone".to_owned());
    }
    for (name, resource, most) in &order.limits {
        let limit = Rlimit { current: Some(*most), maximum: Some(*most) };
        rustix::process::setrlimit(*resource, limit)
            .map_err(|e| format!("cannot set the limit `{}`: {e}", name.display()))?;
    }
    let null = File::open("/dev/null").map_err(tried("open /dev/null"))?;
    rustix::stdio::dup2_stdin(&null).map_err(tried("replace standard input"))?;
    let error = command(&order.argv[0]).args(&order.argv[1..]).exec();
    // A host that is gone needs no report.
    let _ = writeln!(control, "failed {}", error.raw_os_error().unwrap_or(0));
    exit(EXIT_EXEC_FAILED);
}

fn guard(order: &Order) -> Result<(), String> {
    let control = control()?;
    // A session of its own: nothing below can join a process group of the host or reach its terminal.
    rustix::process::setsid().map_err(tried("start a session"))?;
    let own = rustix::process::getpid();
    rustix::process::set_child_subreaper(Some(own)).map_err(tried("become a subreaper"))?;
    let program = start(order, &control, own)?;
    release_output()?;
    let listener = control.try_clone().map_err(tried("clone control"))?;
    let events = watch(listener)?;
    Guard { own, program, control, events, ended: false, childless: false }.run();
    Ok(())
}

/// Control as a descriptor of its own, closed on exec.
fn control() -> Result<UnixStream, String> {
    let stdin = std::io::stdin();
    let stat = rustix::fs::fstat(&stdin).map_err(tried("look at standard input"))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Socket {
        return Err(
            "standard input is no socket; this command is only for what starts programs in a host".to_owned()
        );
    }
    let socket = stdin.as_fd().try_clone_to_owned().map_err(tried("clone standard input"))?;
    Ok(UnixStream::from(socket))
}

fn start(order: &Order, control: &UnixStream, own: Pid) -> Result<Pid, String> {
    let socket = OwnedFd::from(control.try_clone().map_err(tried("clone control"))?);
    let mut second = command(OsStr::new("/proc/self/exe"));
    second.arg("exec-shim").arg("--parent-pid").arg(own.as_raw_nonzero().to_string());
    for (limit, _, _) in &order.limits {
        second.arg("--limit").arg(limit);
    }
    second.arg("--").args(&order.argv).stdin(Stdio::from(socket)).process_group(0);
    let child = second.spawn().map_err(tried("start the second role"))?;
    Ok(Pid::from_child(&child))
}

#[expect(clippy::disallowed_methods, reason = "the shim is the one place of host-bin that starts programs")]
fn command(program: &OsStr) -> Command {
    Command::new(program)
}

/// Lets go of the program's pipes, or whoever reads them would wait for the guard.
fn release_output() -> Result<(), String> {
    let null = File::options().write(true).open("/dev/null").map_err(tried("open /dev/null"))?;
    rustix::stdio::dup2_stdout(&null).map_err(tried("release standard output"))?;
    rustix::stdio::dup2_stderr(&null).map_err(tried("release standard error"))
}

enum Event {
    /// A child, or an orphan below it, ended and has been reaped.
    Reaped(Pid, WaitStatus),
    /// Nothing is left below.
    Childless,
    /// The call is over, or the host is gone.
    Released,
}

fn watch(mut control: UnixStream) -> Result<Receiver<Event>, String> {
    let (sender, events) = sync_channel(EVENTS_MAX);
    let reaper = sender.clone();
    let spawn = |name: &str, body: Box<dyn FnOnce() + Send>| {
        std::thread::Builder::new().name(name.to_owned()).spawn(body).map_err(tried("start a thread"))
    };
    spawn("reap", Box::new(move || reap(&reaper)))?;
    spawn(
        "control",
        Box::new(move || {
            // Nothing is ever sent this way: whatever ends the read is the end of the call.
            let _ = control.read(&mut [0]);
            let _ = sender.send(Event::Released);
        }),
    )?;
    Ok(events)
}

fn reap(sender: &SyncSender<Event>) {
    loop {
        let event = match rustix::process::wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) => Event::Reaped(pid, status),
            Ok(None) | Err(Errno::INTR) => continue,
            Err(_) => Event::Childless,
        };
        let last = matches!(event, Event::Childless);
        if sender.send(event).is_err() || last {
            return;
        }
    }
}

struct Guard {
    own: Pid,
    program: Pid,
    control: UnixStream,
    events: Receiver<Event>,
    ended: bool,
    childless: bool,
}

impl Guard {
    fn run(mut self) {
        // After the program ended the guard goes on: the call may still read what its children write.
        while let Ok(event) = self.events.recv() {
            if self.take(event) {
                break;
            }
        }
        if !self.ended {
            // It fails only for a program that is gone already.
            let _ = rustix::process::kill_process_group(self.program, Signal::TERM);
            self.wait(TERM_GRACE, |guard| guard.ended);
        }
        if !self.ended {
            let _ = rustix::process::kill_process_group(self.program, Signal::KILL);
        }
        self.wait(SETTLE, |guard| guard.childless);
        for _ in 0..SWEEP_ROUNDS_MAX {
            if self.childless {
                return;
            }
            kill_children(self.own);
            self.wait(SWEEP_ROUND, |guard| guard.childless);
        }
    }

    /// True when control was released.
    fn take(&mut self, event: Event) -> bool {
        match event {
            Event::Released => return true,
            Event::Childless => self.childless = true,
            Event::Reaped(pid, status) if pid == self.program => {
                self.ended = true;
                let line = match (status.exit_status(), status.terminating_signal()) {
                    (Some(code), _) => format!("exit {code}\n"),
                    (None, Some(signal)) => format!("signal {signal}\n"),
                    (None, None) => return false,
                };
                // A host that is gone needs no report.
                let _ = self.control.write_all(line.as_bytes());
            }
            Event::Reaped(..) => {}
        }
        false
    }

    fn wait(&mut self, most: Duration, done: impl Fn(&Self) -> bool) {
        let until = Instant::now() + most;
        while !done(self) {
            match self.events.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(event) => {
                    self.take(event);
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return,
            }
        }
    }
}

/// Kills the children of `own` and their process groups at once, so that a group that forks cannot run ahead. What
/// their death leaves behind becomes children of `own` and is found by the next look.
fn kill_children(own: Pid) {
    let Ok(entries) = std::fs::read_dir("/proc") else { return };
    for pid in entries.flatten().filter_map(|entry| parse_pid(&entry.file_name())) {
        let Ok(stat) = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())) else {
            continue;
        };
        let Some((parent, group)) = parent_and_group(&stat) else { continue };
        if parent == own {
            if group != own {
                // Both fail only for processes that are gone already.
                let _ = rustix::process::kill_process_group(group, Signal::KILL);
            }
            let _ = rustix::process::kill_process(pid, Signal::KILL);
        }
    }
}

/// `12 (na) me) S 1 12 …`: the name may hold anything, so the fields count from its last parenthesis.
fn parent_and_group(stat: &str) -> Option<(Pid, Pid)> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(1);
    let mut pid = || Pid::from_raw(fields.next()?.parse().ok()?);
    Some((pid()?, pid()?))
}

fn tried<E: std::fmt::Display>(what: &'static str) -> impl FnOnce(E) -> String {
    move |error| format!("cannot {what}: {error}")
}

#[cfg(test)]
mod tests {
    use super::{Order, parent_and_group, parse_pid};
    use std::ffi::{OsStr, OsString};

    fn parse(args: &[&str]) -> Result<Order, String> {
        Order::parse(args.iter().map(OsString::from).collect())
    }

    #[test]
    fn an_order_without_a_program_or_with_a_wrong_option_is_refused() {
        let refusal = |args: &[&str]| parse(args).err().expect("refused");
        assert_eq!(refusal(&[]), "no program after `--`");
        assert_eq!(refusal(&["--"]), "no program after `--`");
        assert_eq!(refusal(&["--limit", "cpu", "--", "ls"]), "`--limit cpu` is not NAME=NUMBER");
        assert_eq!(refusal(&["--limit", "luck=1", "--", "ls"]), "`--limit luck=1` is not NAME=NUMBER");
        assert_eq!(refusal(&["--parent-pid", "0", "--", "ls"]), "`--parent-pid` wants a process id");
        assert_eq!(refusal(&["ls"]), "`ls` is not an option of it");
    }

    #[test]
    fn what_stands_after_the_dashes_is_the_programs_own() {
        let order = parse(&["--limit", "nofile=64", "--", "env", "--", "--limit"]).expect("an order");
        assert!(order.parent.is_none());
        assert_eq!(order.limits[0].0, "nofile=64");
        assert_eq!(order.argv, ["env", "--", "--limit"]);
    }

    #[test]
    fn a_process_name_with_parentheses_does_not_shift_the_fields() {
        let pid = |number: &str| parse_pid(OsStr::new(number)).expect("a pid");
        let stat = "77 (a) S 1 2) R 41 42 43 0";
        assert_eq!(parent_and_group(stat), Some((pid("41"), pid("42"))));
        assert_eq!(parent_and_group("77 (a"), None);
    }
}
