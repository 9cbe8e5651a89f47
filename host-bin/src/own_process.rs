//! What other programs of the same user may see of this process: nothing of its memory, and no secret in the environment
//! and the command line that it was started with.
//!
//! It must not know what a secret is for: it is told names of variables and words of the command line.

use rustix::process::{DumpableBehavior, dumpable_behavior, set_dumpable_behavior};
use std::collections::BTreeSet;

/// Longest `/proc/self/stat` that is read.
const STAT_BYTES_MAX: u64 = 4096;
/// Where the addresses stand among the fields behind the name in parentheses. Source: proc_pid_stat(5), 48 to 51.
const FIRST_ADDRESS: usize = 45;

/// Lets nobody of the same user read this process' memory and files, or trace it; it leaves no core either.
///
/// A program that it runs is another process and stays as it was. A system that refuses is seen by [`is_open`].
pub(crate) fn close() {
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

/// The opposite, for a person with a debugger; whoever reads the log is told of either.
pub(crate) fn open_if(debuggable: bool) {
    if debuggable {
        let _ = set_dumpable_behavior(DumpableBehavior::Dumpable);
    }
    if is_open() {
        tracing::warn!(
            debuggable,
            "other programs of this user may read the memory of this process, keys and all"
        );
    }
}

/// Whether others of the same user may look into this process; a system that does not say lets them.
pub(crate) fn is_open() -> bool {
    !matches!(dumpable_behavior(), Ok(DumpableBehavior::NotDumpable))
}

/// Takes `variables` out of the environment, for this process and for all that it starts, and overwrites what they held,
/// and what stands behind the `=` of each of `words`, where the system shows it to others.
///
/// Only while there is one thread: others may read the environment at any time.
pub(crate) fn forget(variables: &BTreeSet<String>, words: &BTreeSet<String>) {
    if variables.is_empty() && words.is_empty() {
        return;
    }
    match blocks() {
        Some((arguments, environment)) => {
            overwrite(arguments, |word| {
                let word = word.strip_prefix(b"--set=").unwrap_or(word);
                words.iter().any(|known| known.as_bytes() == word)
            });
            overwrite(environment, |word| {
                let name = word.split(|byte| *byte == b'=').next().unwrap_or(word);
                variables.iter().any(|known| known.as_bytes() == name)
            });
        }
        None => tracing::warn!("the environment that this process was started with stays as it was"),
    }
    for name in variables {
        remove(name);
    }
}

/// Stars for what stands behind the last `=` of the path in each word that `is_meant`.
fn overwrite(block: &mut [u8], is_meant: impl Fn(&[u8]) -> bool) {
    for word in block.split_mut(|byte| *byte == 0) {
        if !is_meant(word) {
            continue;
        }
        let from = if word.starts_with(b"--set=") { b"--set=".len() } else { 0 };
        if let Some(at) = word[from..].iter().position(|byte| *byte == b'=') {
            word[from + at + 1..].fill(b'*');
        }
    }
}

/// The bytes that `/proc/self/cmdline` and `/proc/self/environ` show.
fn blocks() -> Option<(&'static mut [u8], &'static mut [u8])> {
    use std::io::Read as _;
    let mut stat = String::new();
    std::fs::File::open("/proc/self/stat").ok()?.take(STAT_BYTES_MAX).read_to_string(&mut stat).ok()?;
    let fields = &stat[stat.rfind(')')? + 1..];
    let mut addresses =
        fields.split_whitespace().skip(FIRST_ADDRESS).map(|field| field.parse::<usize>().ok());
    let mut block = || Some((addresses.next()??, addresses.next()??));
    let (arguments, environment) = (block()?, block()?);
    Some((bytes(arguments)?, bytes(environment)?))
}

#[expect(unsafe_code, reason = "the system gives the first environment and command line as addresses alone")]
fn bytes((from, to): (usize, usize)) -> Option<&'static mut [u8]> {
    let length = to.checked_sub(from).filter(|_| from != 0)?;
    // SAFETY: the kernel mapped these bytes for this process, readable and writable, before its first instruction, and
    // nobody unmaps them; there is one thread (`forget` says so), and it holds no other reference into them.
    Some(unsafe { std::slice::from_raw_parts_mut(std::ptr::with_exposed_provenance_mut(from), length) })
}

#[expect(unsafe_code, reason = "the environment is the process' own, and programs that it starts inherit it")]
fn remove(name: &str) {
    // SAFETY: there is one thread, as `forget` demands, so nobody reads the environment meanwhile.
    unsafe { std::env::remove_var(name) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_behind_the_equals_sign_of_a_word_that_is_meant_is_gone() {
        let mut block = b"PATH=/bin\0KEY=sk=1\0KEY2=x\0--set=a.key=v\0a.key=v\0".to_vec();
        overwrite(&mut block, |word| {
            word.starts_with(b"KEY=") || word == b"--set=a.key=v" || word == b"a.key=v"
        });
        assert_eq!(block, b"PATH=/bin\0KEY=****\0KEY2=x\0--set=a.key=*\0a.key=*\0");
    }

    #[test]
    fn the_blocks_are_those_that_the_system_shows() {
        let (arguments, environment) = blocks().expect("a Linux machine");
        assert_eq!(std::fs::read("/proc/self/cmdline").unwrap(), arguments);
        assert_eq!(std::fs::read("/proc/self/environ").unwrap(), environment);
    }
}
