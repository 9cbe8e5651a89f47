//! Standard input: only this binary touches it; commands ask for it through `command_host.v1/read`.
//!
//! Read without a buffer of the library's own, so that nothing typed before a question can answer it, and so that a read
//! whose caller has gone takes nothing from the next one.

use dispatch_contracts::Fault;
use dispatch_contracts::command::{Read, ReadParams, ReadReply};
use dispatch_contracts::fault::{INVALID, IO};
use dispatch_kernel::HostedService;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::termios::{QueueSelector, tcflush};
use std::future::Future;
use std::io::Write as _;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Most bytes of one read.
const READ_BYTES_MAX: u64 = 16 * 1024 * 1024;
const PIECE_BYTES: usize = 64 * 1024;
/// How often a waiting read looks whether its caller has gone.
const LOOK_MS: i64 = 100;

/// Serves `command_host.v1/read`.
pub(crate) struct Stdin {
    input: Arc<Mutex<Input<std::io::Stdin>>>,
    frames_written: watch::Receiver<u64>,
}

impl Stdin {
    /// `frames_written` counts the frames of the command that were written.
    pub(crate) fn new(frames_written: watch::Receiver<u64>) -> Self {
        Self { input: Arc::new(Mutex::new(Input::of(std::io::stdin()))), frames_written }
    }

    /// For a host that runs no command: there is nothing to wait for.
    pub(crate) fn without_command() -> Self {
        Self::new(watch::channel(0).1)
    }
}

impl HostedService<Read> for Stdin {
    fn answer(
        &self,
        params: ReadParams,
    ) -> Pin<Box<dyn Future<Output = Result<ReadReply, Fault>> + Send + 'static>> {
        let (input, mut frames_written) = (Arc::clone(&self.input), self.frames_written.clone());
        Box::pin(async move {
            if params.bytes_max == 0 || params.bytes_max > READ_BYTES_MAX {
                let message =
                    format!("`bytes_max` is {}, and must be 1 to {READ_BYTES_MAX}", params.bytes_max);
                return Err(Fault::new(INVALID, message));
            }
            if let Some(question) = &params.question {
                // Its sender goes with the command, and then nobody waits for an answer.
                let _ = frames_written.wait_for(|written| *written >= question.after_frames).await;
            }
            let gone = Gone(Arc::new(AtomicBool::new(false)));
            let read = tokio::task::spawn_blocking({
                let gone = Arc::clone(&gone.0);
                move || input.lock().unwrap_or_else(PoisonError::into_inner).read(&params, &gone)
            });
            let read = read.await.unwrap_or_else(|e| Err(e.into()));
            read.map_err(|e| Fault::new(IO, format!("cannot read standard input: {e}")))
        })
    }
}

/// Set when the caller's future is dropped.
struct Gone(Arc<AtomicBool>);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What can be read, and what was read and not yet asked for.
struct Input<F> {
    file: F,
    held: Vec<u8>,
    eof: bool,
}

impl<F: AsFd> Input<F> {
    fn of(file: F) -> Self {
        Self { file, held: Vec::new(), eof: false }
    }

    fn read(&mut self, params: &ReadParams, gone: &AtomicBool) -> std::io::Result<ReadReply> {
        if let Some(question) = &params.question {
            if rustix::termios::isatty(&self.file) {
                self.held.clear();
                tcflush(&self.file, QueueSelector::IFlush)?;
            }
            std::io::stderr().write_all(question.prompt.as_bytes())?;
        }
        let bytes_max = usize::try_from(params.bytes_max).unwrap_or(usize::MAX);
        let first_within = Duration::from_millis(params.first_within_ms);
        let first_until = (params.first_within_ms > 0).then(|| Instant::now() + first_within);
        let mut looked_at = 0;
        let end = loop {
            let line_end =
                self.held[looked_at..].iter().position(|byte| *byte == b'\n').map(|at| looked_at + at + 1);
            looked_at = self.held.len();
            match line_end.filter(|_| params.line) {
                Some(end) => break end.min(bytes_max),
                // One byte more than asked for tells whether anything is left.
                None if self.held.len() > bytes_max => break bytes_max,
                None if self.eof => break self.held.len(),
                None => {
                    let until = first_until.filter(|_| self.held.is_empty());
                    if !self.fill(gone, until)? {
                        return Ok(ReadReply { text: String::new(), eof: false, truncated: false });
                    }
                }
            }
        };
        let taken: Vec<u8> = self.held.drain(..end).collect();
        let text = String::from_utf8_lossy(&taken).into_owned();
        let line_ended = params.line && taken.last() == Some(&b'\n');
        let eof = self.eof && self.held.is_empty() && !line_ended;
        Ok(ReadReply { text, eof, truncated: !eof && !line_ended })
    }

    /// Waits for more, and takes it; answers whether there was any before `until`. An end of a terminal's input ends this
    /// read alone.
    fn fill(&mut self, gone: &AtomicBool, until: Option<Instant>) -> std::io::Result<bool> {
        let patience = Timespec { tv_sec: 0, tv_nsec: LOOK_MS * 1_000_000 };
        loop {
            if gone.load(Ordering::Relaxed) {
                return Err(std::io::ErrorKind::Interrupted.into());
            }
            if until.is_some_and(|until| Instant::now() >= until) {
                return Ok(false);
            }
            let mut fds = [PollFd::new(&self.file, PollFlags::IN)];
            match rustix::event::poll(&mut fds, Some(&patience)) {
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                Ok(_) => break,
                Err(e) => return Err(e.into()),
            }
        }
        let mut piece = vec![0; PIECE_BYTES];
        match rustix::io::read(&self.file, &mut piece) {
            Ok(0) => self.eof = true,
            Ok(n) => self.held.extend_from_slice(&piece[..n]),
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {}
            Err(e) => return Err(e.into()),
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static HERE: AtomicBool = AtomicBool::new(false);

    fn input(text: &str) -> Input<std::io::PipeReader> {
        let (reader, mut writer) = std::io::pipe().unwrap();
        writer.write_all(text.as_bytes()).unwrap();
        Input::of(reader)
    }

    fn params(bytes_max: u64, line: bool) -> ReadParams {
        ReadParams { bytes_max, line, question: None, first_within_ms: 0 }
    }

    #[test]
    fn a_read_says_whether_more_would_have_come() {
        let all = |text: &str, bytes_max, line| input(text).read(&params(bytes_max, line), &HERE).unwrap();
        let reply = |text: &str, eof, truncated| ReadReply { text: text.to_owned(), eof, truncated };
        assert_eq!(all("abc", 3, false), reply("abc", true, false));
        assert_eq!(all("abcd", 3, false), reply("abc", false, true));
        assert_eq!(all("a\nb", 9, true), reply("a\n", false, false));
        assert_eq!(all("ab", 9, true), reply("ab", true, false));
        assert_eq!(all("abcd", 3, true), reply("abc", false, true));
    }

    #[test]
    fn lines_come_one_by_one_and_nothing_is_lost_between_them() {
        let mut input = input("one\ntwo\nthree");
        let mut line = || input.read(&params(9, true), &HERE).unwrap().text;
        assert_eq!([line(), line(), line(), line()], ["one\n", "two\n", "three", ""]);
    }

    #[test]
    fn a_pipe_that_says_nothing_in_time_is_left_and_one_that_began_is_read_to_its_end() {
        let (reader, mut writer) = std::io::pipe().unwrap();
        let mut input = Input::of(reader);
        let soon = ReadParams { first_within_ms: 1, ..params(9, false) };
        let nothing = ReadReply { text: String::new(), eof: false, truncated: false };
        assert_eq!(input.read(&soon, &HERE).unwrap(), nothing);
        writer.write_all(b"be").unwrap();
        let ends = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(50));
            writer.write_all(b"gan").unwrap();
        });
        assert_eq!(input.read(&soon, &HERE).unwrap().text, "began");
        ends.join().unwrap();
    }

    #[test]
    fn a_read_whose_caller_has_gone_takes_nothing() {
        let (reader, mut writer) = std::io::pipe().unwrap();
        let mut input = Input::of(reader);
        let gone = AtomicBool::new(true);
        assert!(input.read(&params(9, true), &gone).is_err());
        writer.write_all(b"kept\n").unwrap();
        assert_eq!(input.read(&params(9, true), &HERE).unwrap().text, "kept\n");
    }
}
