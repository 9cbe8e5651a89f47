//! Says which instance a crash in native code belongs to, and keeps one that crashes again and again out.
//!
//! The handler must not allocate, lock or format: it compares addresses and writes prepared bytes to a file opened
//! beforehand. The culprit is whose mapped library holds the instruction pointer, else most of the first words on the
//! stack that lie in one; never the address that was accessed, which a bad pointer chooses.
//! An `exit` that is called in a library ends the host as well, and is told and counted as a crash is.
#![expect(
    unsafe_code,
    reason = "signal handlers, their context and the words of a stack have no safe interface"
)]

use std::fs::{self, OpenOptions};
use std::io;
use std::os::fd::IntoRawFd as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};

/// Crashes within [`WINDOW_MS`] after which an instance is kept out.
const CRASHES_MAX: usize = 3;
const WINDOW_MS: u64 = 5 * 60 * 1000;
/// Most reports looked at; the oldest beyond it are removed.
const REPORTS_MAX: usize = 64;
/// Bytes above the stack pointer that are searched for a return address.
const STACK_BYTES_MAX: usize = 64 * 1024;
/// Words on the stack that are asked which library they point into.
const STACK_HITS_MAX: usize = 9;
/// Most mapped libraries that are told apart.
const RANGES_MAX: usize = 256;
/// Most callers of an `exit` that are asked which library they lie in.
#[cfg(target_env = "gnu")]
const FRAMES_MAX: u16 = 64;
/// Longest instance id, as manifests allow.
const ID_BYTES_MAX: usize = 63;

/// A mapped library's code: `[start, end)`, written once and published by `RANGES_LEN`.
struct Range {
    /// Where the file's first byte is mapped; offsets count from it.
    base: AtomicUsize,
    start: AtomicUsize,
    end: AtomicUsize,
    id: [AtomicUsize; ID_BYTES_MAX.div_ceil(8) + 1],
}

static RANGES: [Range; RANGES_MAX] = [const {
    Range {
        base: AtomicUsize::new(0),
        start: AtomicUsize::new(0),
        end: AtomicUsize::new(0),
        id: [const { AtomicUsize::new(0) }; ID_BYTES_MAX.div_ceil(8) + 1],
    }
}; RANGES_MAX];
static RANGES_LEN: AtomicUsize = AtomicUsize::new(0);
static REPORT_FD: AtomicI32 = AtomicI32::new(-1);
static ADDING: Mutex<()> = Mutex::new(());

/// Where the reports of crashed hosts lie.
pub struct CrashReports {
    dir: PathBuf,
    own: PathBuf,
}

/// One crash of an earlier host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crash {
    /// The instance whose code it was in.
    pub instance: String,
    /// When, in ms since 1970.
    pub at: u64,
}

impl CrashReports {
    /// Opens this host's report and installs the handler.
    pub fn open(state_dir: &Path, host_id: &str) -> io::Result<Self> {
        let dir = state_dir.join("crashes");
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
        let own = dir.join(format!("{host_id}.txt"));
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&own)?;
        let before = REPORT_FD.swap(file.into_raw_fd(), Ordering::SeqCst);
        if before >= 0 {
            // SAFETY: the descriptor came from `into_raw_fd` above and nobody else closes it.
            unsafe { libc::close(before) };
        }
        install()?;
        Ok(Self { dir, own })
    }

    /// Every crash that earlier hosts reported, oldest first; each is logged once. Empty reports of hosts that are gone
    /// are removed: `is_alive` tells.
    pub fn earlier(&self, is_alive: impl Fn(&str) -> bool) -> Vec<Crash> {
        let Ok(entries) = fs::read_dir(&self.dir) else { return Vec::new() };
        let mut found: Vec<(Crash, PathBuf)> = Vec::new();
        for path in entries.filter_map(Result::ok).map(|entry| entry.path()).filter(|path| *path != self.own)
        {
            let Ok(text) = fs::read_to_string(&path) else { continue };
            let host_id = path.file_stem().unwrap_or_default().to_string_lossy();
            let Some(instance) = text.split_whitespace().next() else {
                if !is_alive(&host_id) {
                    // Killed from outside: there was nothing to report.
                    let _ = fs::remove_file(&path);
                }
                continue;
            };
            let modified = fs::metadata(&path).and_then(|meta| meta.modified()).ok();
            let at = modified.and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
            let at = at.map_or(0, |at| u64::try_from(at.as_millis()).unwrap_or(u64::MAX));
            let crash = Crash { instance: instance.to_owned(), at };
            let path = if path.extension().is_some_and(|extension| extension == "told") {
                path
            } else {
                tracing::warn!(instance = %crash.instance, report = text.trim_end(), "an earlier host crashed");
                let told = path.with_extension("told");
                if fs::rename(&path, &told).is_ok() { told } else { path }
            };
            found.push((crash, path));
        }
        found.sort_by_key(|(crash, _)| crash.at);
        let excess = found.len().saturating_sub(REPORTS_MAX);
        for (_, path) in found.drain(..excess) {
            // A report that stays is looked at again, and no more.
            let _ = fs::remove_file(path);
        }
        found.into_iter().map(|(crash, _)| crash).collect()
    }
}

impl Drop for CrashReports {
    fn drop(&mut self) {
        let fd = REPORT_FD.swap(-1, Ordering::SeqCst);
        if fd >= 0 {
            // SAFETY: the descriptor came from `into_raw_fd` in `open`, and nobody else closes it.
            unsafe { libc::close(fd) };
        }
        // Nothing crashed: an empty report says nothing.
        if fs::metadata(&self.own).is_ok_and(|meta| meta.len() == 0) {
            let _ = fs::remove_file(&self.own);
        }
    }
}

/// Why `instance` is kept out, if it crashed too often lately.
pub fn quarantined(crashes: &[Crash], instance: &str, now_ms: u64) -> Option<String> {
    let lately = |crash: &&Crash| crash.instance == instance && crash.at.saturating_add(WINDOW_MS) >= now_ms;
    let n = crashes.iter().filter(lately).count();
    (n >= CRASHES_MAX).then(|| {
        format!("it crashed the host {n} times within five minutes and is kept out until they have passed")
    })
}

/// Attributes crashes inside the library mapped from `copy` to `instance`; the first instance of a library counts.
pub fn watch(instance: &str, copy: &Path) {
    let Some((base, start, end)) = mapped_code(copy) else { return };
    let _adding = ADDING.lock().unwrap_or_else(PoisonError::into_inner);
    let len = RANGES_LEN.load(Ordering::Acquire);
    let known = RANGES[..len].iter().any(|range| range.start.load(Ordering::Relaxed) == start);
    let Some(range) = RANGES.get(len).filter(|_| !known) else { return };
    let mut id = [0_u8; (ID_BYTES_MAX.div_ceil(8) + 1) * 8];
    let bytes = &instance.as_bytes()[..instance.len().min(ID_BYTES_MAX)];
    id[..bytes.len()].copy_from_slice(bytes);
    for (word, chunk) in range.id.iter().zip(id.chunks_exact(8)) {
        word.store(usize::from_ne_bytes(chunk.try_into().expect("chunks of eight")), Ordering::Relaxed);
    }
    range.base.store(base, Ordering::Relaxed);
    range.start.store(start, Ordering::Relaxed);
    range.end.store(end, Ordering::Relaxed);
    RANGES_LEN.store(len + 1, Ordering::Release);
}

/// Where a file is mapped in this process, and first and last address of its code there. Data does not count: the stack
/// of everybody holds pointers to everybody's vtables. Source: dl_iterate_phdr(3).
fn mapped_code(copy: &Path) -> Option<(usize, usize, usize)> {
    let mut wanted = Wanted { name: copy.to_str()?, found: None };
    // SAFETY: the callback gets this very pointer while `wanted` is borrowed by nobody else, and keeps nothing of it.
    unsafe { libc::dl_iterate_phdr(Some(look_at), (&raw mut wanted).cast()) };
    wanted.found
}

/// What is looked for among the mapped files, and what was found of it: base, and first and last address of its code.
struct Wanted<'a> {
    name: &'a str,
    found: Option<(usize, usize, usize)>,
}

unsafe extern "C" fn look_at(
    info: *mut libc::dl_phdr_info,
    _bytes: libc::size_t,
    wanted: *mut libc::c_void,
) -> libc::c_int {
    // SAFETY: the linker hands a valid entry for the time of this call; the last argument is what `mapped_code` gave.
    let (info, wanted) = unsafe { (&*info, &mut *wanted.cast::<Wanted<'_>>()) };
    // SAFETY: the name is a C string of the linker's, or null.
    let same = !info.dlpi_name.is_null()
        && unsafe { std::ffi::CStr::from_ptr(info.dlpi_name) }.to_bytes() == wanted.name.as_bytes();
    if !same || info.dlpi_phdr.is_null() {
        return 0;
    }
    // SAFETY: the linker says how many headers stand there.
    let headers = unsafe { std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)) };
    let address = |at: u64| usize::try_from(info.dlpi_addr.wrapping_add(at)).unwrap_or(usize::MAX);
    let code =
        headers.iter().filter(|header| header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_X != 0);
    for header in code {
        let (start, end) = (address(header.p_vaddr), address(header.p_vaddr + header.p_memsz));
        let (first, last) =
            wanted.found.map_or((start, end), |(_, first, last)| (first.min(start), last.max(end)));
        wanted.found = Some((address(0), first, last));
    }
    1
}

fn install() -> io::Result<()> {
    for signal in [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGABRT] {
        // SAFETY: the action is zeroed, then filled in whole; the handler is async-signal-safe, see its own lines.
        let set = unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = on_crash as *const () as usize;
            // One shot: the handler re-raises into the default action.
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESETHAND | libc::SA_NODEFER;
            libc::sigemptyset(&mut action.sa_mask);
            libc::sigaction(signal, &action, std::ptr::null_mut())
        };
        if set != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    #[cfg(target_env = "gnu")]
    {
        static AT_EXIT: std::sync::Once = std::sync::Once::new();
        AT_EXIT.call_once(|| {
            // SAFETY: the handler stays mapped as long as the process lives.
            if unsafe { libc::atexit(on_exit) } != 0 {
                tracing::warn!("an `exit` that an extension calls will not be told: no room for a handler");
            }
        });
    }
    Ok(())
}

/// Runs on the thread that called `exit`; the host's own calls of it have no library among their callers.
#[cfg(target_env = "gnu")]
extern "C" fn on_exit() {
    if REPORT_FD.load(Ordering::SeqCst) < 0 {
        return;
    }
    let mut frames = [std::ptr::null_mut::<libc::c_void>(); FRAMES_MAX as usize];
    // SAFETY: writes at most as many addresses as there is room for, and answers how many.
    let n_frames = unsafe { libc::backtrace(frames.as_mut_ptr(), libc::c_int::from(FRAMES_MAX)) };
    let callers = frames.iter().take(usize::try_from(n_frames).unwrap_or(0));
    let culprit = callers.map(|at| *at as usize).find_map(|at| find(at).map(|range| (range, at)));
    if culprit.is_some() {
        write_report(b"dispatch: ended by ", b" exit", culprit);
    }
}

extern "C" fn on_crash(signal: libc::c_int, _info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel hands a valid context to a handler with SA_SIGINFO; only registers are read from it.
    let (ip, sp) = unsafe { registers(context) };
    let culprit = find(ip).map(|range| (range, ip)).or_else(|| on_stack(sp));
    let mut what = [0; 20];
    what[..8].copy_from_slice(b" signal ");
    what[8..].copy_from_slice(&decimal(signal.unsigned_abs()));
    write_report(b"dispatch: crashed in ", &what, culprit);
    // SAFETY: raise is async-signal-safe; with SA_RESETHAND this ends the process by the same signal.
    unsafe { libc::raise(signal) };
}

#[cfg(target_arch = "x86_64")]
unsafe fn registers(context: *mut libc::c_void) -> (usize, usize) {
    // SAFETY: the caller passes the context that the kernel gave to the handler.
    let registers = unsafe { &(*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs };
    let word = |index: libc::c_int| registers[usize::try_from(index).unwrap_or(0)].cast_unsigned();
    (word(libc::REG_RIP) as usize, word(libc::REG_RSP) as usize)
}

#[cfg(target_arch = "aarch64")]
unsafe fn registers(context: *mut libc::c_void) -> (usize, usize) {
    // SAFETY: the caller passes the context that the kernel gave to the handler.
    let machine = unsafe { &(*context.cast::<libc::ucontext_t>()).uc_mcontext };
    (machine.pc as usize, machine.sp as usize)
}

fn find(address: usize) -> Option<usize> {
    let len = RANGES_LEN.load(Ordering::Acquire);
    RANGES[..len].iter().position(|range| {
        (range.start.load(Ordering::Relaxed)..range.end.load(Ordering::Relaxed)).contains(&address)
    })
}

/// The library that most of the first words on the stack point into, and the first of these words.
///
/// One word alone proves little: holes in the frames of libc keep the return addresses of calls that are long over,
/// such as another library freeing what it had shared.
fn on_stack(sp: usize) -> Option<(usize, usize)> {
    let mut hits = [(0_usize, 0_usize); STACK_HITS_MAX];
    let mut n_hits = 0;
    let mut at = sp & !7;
    let end = at.saturating_add(STACK_BYTES_MAX);
    while at < end && n_hits < STACK_HITS_MAX {
        let mut word = 0_usize;
        let local = libc::iovec { iov_base: (&raw mut word).cast(), iov_len: 8 };
        let remote = libc::iovec { iov_base: at as *mut libc::c_void, iov_len: 8 };
        // SAFETY: reads this process through the system, so that an unmapped address is an error and no second fault.
        let read = unsafe { libc::process_vm_readv(libc::getpid(), &local, 1, &remote, 1, 0) };
        if read != 8 {
            break;
        }
        if let Some(range) = find(word) {
            hits[n_hits] = (range, word);
            n_hits += 1;
        }
        at += 8;
    }
    most_frequent(&hits[..n_hits])
}

/// The first hit of the range that occurs most often; the earlier one where two are equal.
fn most_frequent(hits: &[(usize, usize)]) -> Option<(usize, usize)> {
    let count = |range: usize| hits.iter().filter(|hit| hit.0 == range).count();
    let mut best: Option<(usize, usize)> = None;
    for hit in hits {
        if best.is_none_or(|best| count(hit.0) > count(best.0)) {
            best = Some(*hit);
        }
    }
    best
}

/// `<instance><what> +0x<offset>\n`, or `unknown<what>\n`; to standard error with `says` before it. `what` ends at a zero
/// byte.
fn write_report(says: &[u8], what: &[u8], culprit: Option<(usize, usize)>) {
    let mut line = [0_u8; 160];
    let mut len = 0;
    let mut put = |bytes: &[u8]| {
        for byte in bytes.iter().take_while(|byte| **byte != 0) {
            if len < line.len() {
                line[len] = *byte;
                len += 1;
            }
        }
    };
    match culprit {
        Some((range, address)) => {
            for word in &RANGES[range].id {
                put(&word.load(Ordering::Relaxed).to_ne_bytes());
            }
            put(what);
            put(b" +0x");
            put(&hex(address - RANGES[range].base.load(Ordering::Relaxed)));
        }
        None => {
            put(b"unknown");
            put(what);
        }
    }
    put(b"\n");
    let fd = REPORT_FD.load(Ordering::SeqCst);
    // SAFETY: write is async-signal-safe; `line[..len]` was filled above. A report that cannot be written is lost.
    unsafe {
        libc::write(fd, line.as_ptr().cast(), len);
        libc::write(2, says.as_ptr().cast(), says.len());
        libc::write(2, line.as_ptr().cast(), len);
    }
}

/// Digits without leading zeros, zero bytes behind them.
fn decimal(number: u32) -> [u8; 12] {
    let (mut digits, mut out) = ([0_u8; 12], [0_u8; 12]);
    let (mut rest, mut n) = (number, 0);
    loop {
        digits[n] = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
        n += 1;
        if rest == 0 {
            break;
        }
    }
    for i in 0..n {
        out[i] = digits[n - 1 - i];
    }
    out
}

/// Hex digits without leading zeros, zero bytes behind them.
fn hex(number: usize) -> [u8; 17] {
    let mut out = [0_u8; 17];
    let digits = (usize::BITS - number.leading_zeros()).div_ceil(4).max(1) as usize;
    for (i, byte) in out.iter_mut().take(digits).enumerate() {
        *byte = b"0123456789abcdef"[(number >> ((digits - 1 - i) * 4)) & 15];
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_without_an_allocator() {
        assert_eq!(decimal(11)[..3], *b"11\0");
        assert_eq!(decimal(0)[..2], *b"0\0");
        assert_eq!(hex(0x1f0a)[..5], *b"1f0a\0");
        assert_eq!(hex(0)[..2], *b"0\0");
    }

    #[test]
    fn a_stale_word_of_another_library_does_not_make_it_the_culprit() {
        assert_eq!(most_frequent(&[(1, 10), (0, 20), (0, 21)]), Some((0, 20)));
        assert_eq!(most_frequent(&[(1, 10), (0, 20)]), Some((1, 10)));
        assert_eq!(most_frequent(&[]), None);
    }

    #[test]
    fn three_crashes_within_five_minutes_keep_an_instance_out_until_they_have_passed() {
        let crash = |at| Crash { instance: "a".to_owned(), at };
        let crashes = [crash(1_000), crash(2_000), crash(3_000)];
        assert!(quarantined(&crashes, "a", 4_000).is_some());
        assert_eq!(quarantined(&crashes, "b", 4_000), None);
        assert_eq!(quarantined(&crashes[1..], "a", 4_000), None);
        assert_eq!(quarantined(&crashes, "a", 1_001 + WINDOW_MS), None);
    }

    #[test]
    fn a_report_names_its_instance_and_an_empty_one_goes_with_its_host() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("crashes")).unwrap();
        fs::write(dir.path().join("crashes/old.txt"), "shaky signal 11 +0x1f\n").unwrap();
        let reports = CrashReports::open(dir.path(), "new").unwrap();
        fs::write(dir.path().join("crashes/killed.txt"), "").unwrap();
        fs::write(dir.path().join("crashes/alive.txt"), "").unwrap();
        for _ in 0..2 {
            let earlier = reports.earlier(|host_id| host_id == "alive");
            let instances: Vec<String> = earlier.into_iter().map(|crash| crash.instance).collect();
            assert_eq!(instances, ["shaky"]);
        }
        assert!(!dir.path().join("crashes/killed.txt").exists());
        assert!(dir.path().join("crashes/alive.txt").exists());
        drop(reports);
        assert!(!dir.path().join("crashes/new.txt").exists());
    }
}
