//! Other processes: how they are started and ended, and what the system says of their time and memory.
//!
//! It must not know what they do. Time is CPU time of all threads, memory what `/proc` calls it.

use crate::Trouble;
use serde::Deserialize;
use serde_json::Value;
use std::ffi::OsStr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What `sysconf(_SC_CLK_TCK)` has been on every Linux that is in use: `/proc/<pid>/stat` counts in it.
const TICK_MS: f64 = 10.0;
/// How often a process is looked at while its peak of memory is watched.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// A command with nothing of the caller's environment that could matter to Dispatch.
#[expect(clippy::disallowed_methods, reason = "these programs are what is measured")]
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).env("OPENAI_API_KEY", "bench").env_remove("DISPATCH_LOG");
    command
}

/// This program again, as a part of a bench that needs a process to itself.
pub(crate) fn child(words: &[&str]) -> Result<Command, Trouble> {
    let this = std::env::current_exe().map_err(|e| format!("cannot tell where this program is: {e}"))?;
    let mut command = command(this);
    command.arg("child").args(words);
    Ok(command)
}

/// Runs to the end and reads one JSON document from its output.
pub(crate) fn answer_of<T: for<'de> Deserialize<'de>>(command: &mut Command) -> Result<T, Trouble> {
    let output = command.output().map_err(|e| format!("cannot start {command:?}: {e}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{command:?} ended with {}: {}", output.status, said.trim()));
    }
    serde_json::from_slice(&output.stdout).map_err(|e| format!("cannot read what {command:?} said: {e}"))
}

/// How long a whole process took, and whether it ended well.
pub(crate) fn wall(command: &mut Command) -> Result<Duration, Trouble> {
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let began = Instant::now();
    let status = command.status().map_err(|e| format!("cannot start {command:?}: {e}"))?;
    let took = began.elapsed();
    if status.success() { Ok(took) } else { Err(format!("{command:?} ended with {status}")) }
}

/// Runs to the end and answers the peak of its memory, in MB, as last seen.
pub(crate) fn peak_mb(command: &mut Command) -> Result<f64, Trouble> {
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(|e| format!("cannot start {command:?}: {e}"))?;
    let mut peak: f64 = 0.0;
    loop {
        peak = peak.max(memory_mb(child.id(), "VmHWM").unwrap_or(0.0));
        let ended = child.try_wait().map_err(|e| format!("cannot wait for {command:?}: {e}"))?;
        match ended {
            Some(status) if status.success() => return Ok(peak),
            Some(status) => return Err(format!("{command:?} ended with {status}")),
            None => std::thread::sleep(LOOK_EVERY),
        }
    }
}

/// CPU time of all children of this process that have ended and were waited for, in ms.
pub(crate) fn children_cpu_ms() -> f64 {
    stat_ms(Path::new("/proc/self/stat"), 15)
}

/// CPU time of a process so far, in ms: of its threads as the scheduler counts it, or in ticks, whichever says more;
/// the first forgets threads that have ended, the second is coarse.
pub(crate) fn cpu_ms(pid: u32) -> f64 {
    let mut of_threads = 0.0;
    if let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) {
        for thread in threads.flatten() {
            let stat = std::fs::read_to_string(thread.path().join("schedstat")).unwrap_or_default();
            let ns = stat.split_whitespace().next().and_then(|ns| ns.parse::<f64>().ok());
            of_threads += ns.unwrap_or(0.0) / 1e6;
        }
    }
    of_threads.max(stat_ms(Path::new(&format!("/proc/{pid}/stat")), 13))
}

/// The sum of two neighbouring fields of `stat` that count ticks; `field` counts from 0.
fn stat_ms(path: &Path, field: usize) -> f64 {
    let stat = std::fs::read_to_string(path).unwrap_or_default();
    // The name in parentheses may hold spaces; it is field 1.
    let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks: f64 =
        rest.split_whitespace().skip(field - 2).take(2).filter_map(|n| n.parse::<f64>().ok()).sum();
    ticks * TICK_MS
}

/// A line of `/proc/<pid>/status` in kB, as MB of 10⁶ bytes.
pub(crate) fn memory_mb(pid: u32, key: &str) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    let kb: f64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kb * 1024.0 / 1e6)
}

/// The same of this process.
pub(crate) fn own_memory_mb(key: &str) -> f64 {
    memory_mb(std::process::id(), key).unwrap_or(0.0)
}

/// A process that runs until it is dropped, and is ended then.
pub(crate) struct Running(pub(crate) Child);

impl Running {
    pub(crate) fn start(command: &mut Command) -> Result<Self, Trouble> {
        command.spawn().map(Self).map_err(|e| format!("cannot start {command:?}: {e}"))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a child process answers to its parent.
pub(crate) fn answer(value: &Value) {
    println!("{value}");
}
