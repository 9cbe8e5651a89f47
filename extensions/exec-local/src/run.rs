//! One `exec.v1/spawn` from start to reply: pumps output, obeys the timeout and the caller, leaves nothing running.
//!
//! It must not know how a program is started or killed (`program.rs`), nor what is kept of its output (`output.rs`,
//! `artifact.rs`).

use crate::artifact::Artifact;
use crate::output::{FRAME_BYTES_MAX, Output};
use crate::program::{End, Launch, Program, not_started};
use dispatch_sdk::contracts::exec::SpawnReply;
use dispatch_sdk::contracts::tool::OutputStream;
use dispatch_sdk::{Call, Fault};
use std::future::pending;
use std::io;
use std::pin::pin;
use std::time::Duration;
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// After the program's end its children may hold its pipes; they are read this long.
const PIPE_GRACE: Duration = Duration::from_millis(500);
/// What a program gets to end when asked; then it is killed.
const TERM_GRACE: Duration = Duration::from_millis(220);
/// From the kill to the end. With the two before and after it, it stays inside a call's grace of 500 ms.
const KILL_GRACE: Duration = Duration::from_millis(100);
/// For the rest of the output of a cancelled call.
const LAST_WORDS: Duration = Duration::from_millis(80);
/// For the guard to kill what is left, when nobody waits urgently.
const CLOSE_WAIT: Duration = Duration::from_secs(2);
/// The same in a cancelled call.
const CLOSE_WAIT_CANCELLED: Duration = Duration::from_millis(50);
/// For the last of the output to reach its file.
const FILE_WAIT: Duration = Duration::from_secs(2);
/// The same in a cancelled call.
const FILE_WAIT_CANCELLED: Duration = Duration::from_millis(20);

#[derive(Clone, Copy, PartialEq, Eq)]
enum EndedBy {
    Cancelled,
    TimedOut,
}

/// What the caller sets for one program.
pub(crate) struct Terms {
    /// 0 = none.
    pub(crate) timeout_ms: u64,
    pub(crate) output_bytes_max: usize,
    /// Output with more bytes stays in its file; 0 = only output of which something is dropped.
    pub(crate) file_over_bytes: u64,
}

/// All that a program wrote: what is passed on, and the file for the whole.
struct Heard {
    output: Output,
    artifact: Artifact,
}

impl Heard {
    fn push(&mut self, stream: OutputStream, bytes: &[u8]) {
        self.output.push(stream, bytes);
        self.artifact.push(bytes);
    }
}

/// Runs a program to its end.
pub(crate) async fn run(
    caller: &Call,
    launch: &Launch<'_>,
    terms: &Terms,
    artifact: Artifact,
) -> Result<SpawnReply, Fault> {
    let started = Instant::now();
    let mut program = Program::start(launch)?;
    let mut heard = Heard { output: Output::new(terms.output_bytes_max), artifact };
    let timeout_ms = terms.timeout_ms;
    let stop = first_stop(caller, timeout_ms);
    let stopped = tokio::select! {
        biased;
        stop = stop => Some(stop),
        heard = pump(&mut program, &mut heard, Some(caller)) => heard.err().map(|_| EndedBy::Cancelled),
    };
    let stopped = match stopped {
        Some(stop) if program.fate.known().is_none() => {
            end_early(&mut program, &mut heard).await;
            Some(stop)
        }
        // Only its children held the pipes: it ended in time.
        Some(EndedBy::TimedOut) => None,
        other => other,
    };
    let end = program.fate.known();
    if let Some(End::NotExecuted(errno)) = end {
        program.fate.close(CLOSE_WAIT).await;
        return Err(not_started(launch, &io::Error::from_raw_os_error(errno)));
    }
    let cancelled = stopped == Some(EndedBy::Cancelled);
    let (words, close, file_wait) = if cancelled {
        (LAST_WORDS, CLOSE_WAIT_CANCELLED, FILE_WAIT_CANCELLED)
    } else {
        (Duration::MAX, CLOSE_WAIT, FILE_WAIT)
    };
    // Nothing may run on while a slow caller takes the rest.
    let Program { stdout, stderr, fate } = program;
    drop((stdout, stderr));
    fate.close(close).await;
    let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let Heard { mut output, artifact } = heard;
    output.finish();
    let is_over = terms.file_over_bytes > 0 && output.bytes > terms.file_over_bytes;
    let kept = artifact.finish(is_over || output.dropped_bytes > 0, file_wait).await;
    // Nobody listening is no failure of the program; the reply goes out all the same.
    let _ = timeout(words, emit_ready(caller, &mut output)).await;
    Ok(SpawnReply {
        exit_code: end.and_then(|end| if let End::Code(code) = end { Some(code) } else { None }),
        signal: end.and_then(|end| if let End::Signal(signal) = end { Some(signal) } else { None }),
        timed_out: stopped == Some(EndedBy::TimedOut),
        cancelled,
        output_bytes: output.bytes,
        dropped_bytes: output.dropped_bytes,
        output_file: kept.file,
        output_file_note: kept.note,
        duration_ms,
    })
}

async fn first_stop(caller: &Call, timeout_ms: u64) -> EndedBy {
    let timed_out = async {
        match timeout_ms {
            0 => pending().await,
            ms => sleep(Duration::from_millis(ms)).await,
        }
    };
    tokio::select! {
        () = caller.cancelled() => EndedBy::Cancelled,
        () = timed_out => EndedBy::TimedOut,
    }
}

/// Ends the program and keeps what it still says.
async fn end_early(program: &mut Program, heard: &mut Heard) {
    program.fate.terminate().await;
    if timeout(TERM_GRACE, pump(program, heard, None)).await.is_err() {
        program.fate.kill();
        // One that cannot be killed (a dead file system) is left to the guard.
        let _ = timeout(KILL_GRACE, pump(program, heard, None)).await;
    }
}

/// Reads both streams until they end and the program has ended, or `PIPE_GRACE` after its end. Emits to `caller`; an
/// error is the caller's. Dropping this future loses nothing: what was read is in `heard`.
async fn pump(program: &mut Program, heard: &mut Heard, caller: Option<&Call>) -> Result<(), Fault> {
    let (mut from_stdout, mut from_stderr) = (vec![0; FRAME_BYTES_MAX], vec![0; FRAME_BYTES_MAX]);
    let Program { stdout, stderr, fate } = program;
    let mut give_up = pin!(sleep_until(Instant::now() + PIPE_GRACE));
    loop {
        if let Some(caller) = caller {
            emit_ready(caller, &mut heard.output).await?;
        }
        heard.artifact.settle().await;
        let ended = fate.known().is_some();
        if ended && stdout.is_none() && stderr.is_none() {
            return Ok(());
        }
        tokio::select! {
            n = read(stdout, &mut from_stdout), if stdout.is_some() => {
                heard.push(OutputStream::Stdout, &from_stdout[..n]);
            }
            n = read(stderr, &mut from_stderr), if stderr.is_some() => {
                heard.push(OutputStream::Stderr, &from_stderr[..n]);
            }
            _ = fate.ended(), if !ended => give_up.as_mut().reset(Instant::now() + PIPE_GRACE),
            () = &mut give_up, if ended => return Ok(()),
        }
    }
}

/// Reads what is there; a pipe at its end, or broken, is closed.
async fn read(from: &mut Option<pipe::Receiver>, into: &mut [u8]) -> usize {
    let Some(pipe) = from else { return pending().await };
    let n = pipe.read(into).await.unwrap_or(0);
    if n == 0 {
        *from = None;
    }
    n
}

async fn emit_ready(caller: &Call, output: &mut Output) -> Result<(), Fault> {
    while let Some(frame) = output.next() {
        caller.emit(frame).await?;
        output.emitted();
    }
    Ok(())
}
