//! Where this process runs, and whether another one still does: the boot of the machine, the process namespace, and in
//! it the number of a process together with when it began, for a number alone is used again.
//!
//! It must not know hosts or turns. Source: proc(5); field 22 of `/proc/<pid>/stat` counts from the boot on.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// A process, as another one on the same boot and in the same namespace finds it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) boot_id: String,
    pub(crate) pid_ns: String,
    pub(crate) pid: u32,
    /// In ticks since the boot.
    pub(crate) started: u64,
}

/// Whether a process is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Probe {
    There,
    Gone,
    /// It may be there and not shown to us.
    CannotTell,
}

/// Looks at processes of this boot and namespace.
pub(crate) trait Prober: Send + Sync {
    /// Where this process runs; `None` when that cannot be read.
    fn own(&self) -> Option<Place>;
    fn probe(&self, pid: u32, started: u64) -> Probe;
}

/// A mounted proc file system.
pub(crate) struct Proc(PathBuf);

impl Proc {
    pub(crate) fn at(root: &Path) -> Self {
        Self(root.to_owned())
    }

    fn stat(&self, pid: &str) -> Result<Stat, ErrorKind> {
        let text = fs::read_to_string(self.0.join(pid).join("stat")).map_err(|e| e.kind())?;
        Stat::read(&text).ok_or(ErrorKind::InvalidData)
    }
}

impl Prober for Proc {
    fn own(&self) -> Option<Place> {
        let read = |name: &str| fs::read_to_string(self.0.join(name)).ok().map(|text| text.trim().to_owned());
        let boot_id = read("sys/kernel/random/boot_id")?;
        let pid_ns = fs::read_link(self.0.join("self/ns/pid")).ok()?.to_str()?.to_owned();
        let pid = std::process::id();
        let started = self.stat("self").ok()?.started;
        // Mounted for another namespace, it speaks of other processes.
        let ours = self.stat(&pid.to_string()).is_ok_and(|stat| stat.started == started);
        ours.then_some(Place { boot_id, pid_ns, pid, started })
    }

    fn probe(&self, pid: u32, started: u64) -> Probe {
        match self.stat(&pid.to_string()) {
            Ok(stat) if stat.started == started && !stat.over => Probe::There,
            Ok(_) => Probe::Gone,
            // Where processes of others are hidden, the first one of all is as well.
            Err(ErrorKind::NotFound) if self.stat("1").is_ok() => Probe::Gone,
            Err(_) => Probe::CannotTell,
        }
    }
}

struct Stat {
    /// It has ended and nobody has taken notice yet.
    over: bool,
    started: u64,
}

impl Stat {
    /// The name of the program, in parentheses, may hold anything.
    fn read(text: &str) -> Option<Self> {
        let mut fields = text.rsplit_once(')')?.1.split_ascii_whitespace();
        let over = matches!(fields.next()?, "Z" | "X" | "x");
        Some(Self { over, started: fields.nth(18)?.parse().ok()? })
    }
}
