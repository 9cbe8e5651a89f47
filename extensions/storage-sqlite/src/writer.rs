//! The one thread that writes: what queued while the last group was committed goes into the next one.
//!
//! One group is one transaction, one flush. Each work in it is a savepoint of its own: one that is refused leaves the
//! others as they are.

use crate::blobs::{self, Part, Whole};
use crate::checkpoint::{self, Checkpoints};
use crate::entries;
use crate::trouble::{Trouble, fault_of, is_full};
use dispatch_sdk::contracts::storage::CommitParams;
use dispatch_sdk::{Fault, fault};
use rusqlite::Connection;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use tokio::sync::oneshot;
use tracing::warn;

/// Most works that wait.
pub(crate) const WRITE_QUEUE_MAX: usize = 512;
/// Most bytes that wait, however few works they are.
const WRITE_QUEUE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Most works of one transaction.
const GROUP_WORKS_MAX: usize = 256;
/// A transaction takes no further work from this size on.
const GROUP_BYTES_MAX: usize = 4 * 1024 * 1024;
const OVERLOADED_RETRY_AFTER_MS: u64 = 50;

/// What is written as a whole or not at all.
#[derive(Debug)]
pub(crate) enum Work {
    Commit { namespace: String, params: CommitParams },
    Part { part: Part, whole: Option<Whole> },
}

impl Work {
    fn n_bytes(&self) -> usize {
        match self {
            Self::Commit { params, .. } => {
                let puts: usize = params.put.iter().map(|put| put.key.len() + put.value.get().len()).sum();
                puts + params.delete.iter().map(String::len).sum::<usize>()
            }
            Self::Part { part, .. } => part.bytes.len(),
        }
    }
}

type Outcome = Result<Vec<u64>, Fault>;

struct Job {
    work: Work,
    n_bytes: usize,
    reply: oneshot::Sender<Outcome>,
}

/// The writer's queue and thread.
pub(crate) struct Writer {
    path: PathBuf,
    queue: Mutex<Option<SyncSender<Job>>>,
    bytes_waiting: Arc<AtomicUsize>,
    n_transactions: Arc<AtomicU64>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    pub(crate) fn start(path: PathBuf, connection: Connection) -> Result<Self, Fault> {
        let (queue, jobs) = sync_channel(WRITE_QUEUE_MAX);
        let bytes_waiting = Arc::new(AtomicUsize::new(0));
        let n_transactions = Arc::new(AtomicU64::new(0));
        let work = Loop {
            path: path.clone(),
            connection,
            checkpoints: Checkpoints::default(),
            log_uncut: false,
            bytes_waiting: Arc::clone(&bytes_waiting),
            n_transactions: Arc::clone(&n_transactions),
        };
        let thread =
            thread::Builder::new().name("sqlite-writer".to_owned()).spawn(move || work.run(&jobs)).map_err(
                |error| Fault::new(fault::UNAVAILABLE, format!("cannot start the writer's thread: {error}")),
            )?;
        let (queue, thread) = (Mutex::new(Some(queue)), Mutex::new(Some(thread)));
        Ok(Self { path, queue, bytes_waiting, n_transactions, thread })
    }

    pub(crate) fn n_transactions(&self) -> u64 {
        self.n_transactions.load(Ordering::Relaxed)
    }

    /// Queues `work` and waits until it is on the disk; the versions of a commit's puts are the answer.
    ///
    /// Errors: the work's own; `overloaded` the queue is full; `unavailable` the writer has been stopped.
    pub(crate) async fn write(&self, work: Work) -> Outcome {
        let outcome = self.submit(work)?;
        outcome.await.unwrap_or_else(|_| Err(self.stopped()))
    }

    /// Writes what has queued and ends the thread; blocks until then.
    pub(crate) fn close(&self) {
        drop(self.queue.lock().unwrap_or_else(PoisonError::into_inner).take());
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            warn!(path = %self.path.display(), "the writer had panicked");
        }
    }

    fn submit(&self, work: Work) -> Result<oneshot::Receiver<Outcome>, Fault> {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let queue = queue.as_ref().ok_or_else(|| self.stopped())?;
        let n_bytes = work.n_bytes();
        if self.bytes_waiting.load(Ordering::Relaxed) + n_bytes > WRITE_QUEUE_BYTES_MAX {
            return Err(overloaded());
        }
        let (reply, outcome) = oneshot::channel();
        self.bytes_waiting.fetch_add(n_bytes, Ordering::Relaxed);
        queue.try_send(Job { work, n_bytes, reply }).map_err(|refused| {
            self.bytes_waiting.fetch_sub(n_bytes, Ordering::Relaxed);
            match refused {
                TrySendError::Full(_) => overloaded(),
                TrySendError::Disconnected(_) => self.stopped(),
            }
        })?;
        Ok(outcome)
    }

    fn stopped(&self) -> Fault {
        let message = format!("the writer of the store `{}` has ended", self.path.display());
        Fault::new(fault::UNAVAILABLE, message).with_detail(json!({ "reason": "stopped" }))
    }
}

fn overloaded() -> Fault {
    let message = format!(
        "more than {WRITE_QUEUE_MAX} commits or {WRITE_QUEUE_BYTES_MAX} bytes wait to be written; try again later"
    );
    Fault::new(fault::OVERLOADED, message).with_detail(json!({ "retry_after_ms": OVERLOADED_RETRY_AFTER_MS }))
}

/// What the thread owns.
struct Loop {
    path: PathBuf,
    connection: Connection,
    checkpoints: Checkpoints,
    /// The disk was too full even to cut the log.
    log_uncut: bool,
    bytes_waiting: Arc<AtomicUsize>,
    n_transactions: Arc<AtomicU64>,
}

impl Loop {
    fn run(mut self, jobs: &Receiver<Job>) {
        let mut first = jobs.recv().ok();
        while let Some(job) = first {
            let group = self.group(job, jobs);
            self.n_transactions.fetch_add(1, Ordering::Relaxed);
            let tight = write(&mut self.connection, &self.path, group);
            first = jobs.try_recv().ok();
            let carried = match (tight, self.log_uncut) {
                (true, _) => Ok(()),
                // There is room again. The log would take all of it, until the file had none to grow into.
                (false, true) => checkpoint::make_room(&mut self.connection),
                (false, false) => self.checkpoints.run(&mut self.connection, first.is_none()),
            };
            self.log_uncut = tight || (self.log_uncut && carried.is_err());
            if let Err(error) = carried {
                // Nothing is lost: the log holds it, and the next group tries again.
                warn!(path = %self.path.display(), %error, "the log was not carried over");
            }
            first = first.or_else(|| jobs.recv().ok());
        }
        if let Err(error) = checkpoint::last(&self.connection) {
            warn!(path = %self.path.display(), %error, "the log was not carried over at the end");
        }
    }

    /// `first` and what waits behind it; not what nobody waits for any more.
    fn group(&self, first: Job, jobs: &Receiver<Job>) -> Vec<Job> {
        let mut group = Vec::new();
        let mut n_bytes = 0;
        let mut next = Some(first);
        while let Some(job) = next {
            self.bytes_waiting.fetch_sub(job.n_bytes, Ordering::Relaxed);
            if !job.reply.is_closed() {
                n_bytes += job.n_bytes;
                group.push(job);
            }
            next = match group.len() < GROUP_WORKS_MAX && n_bytes < GROUP_BYTES_MAX {
                true => jobs.try_recv().ok(),
                false => None,
            };
        }
        group
    }
}

/// Why a whole transaction failed.
struct Lost {
    error: rusqlite::Error,
    /// Whether one work may be to blame: then each is tried by itself.
    one_to_blame: bool,
}

/// Commits `group` and answers its callers. On a full disk the log is cut once, and the group tried again in its room;
/// says whether the disk was too full even for that.
fn write(connection: &mut Connection, path: &Path, group: Vec<Job>) -> bool {
    if group.is_empty() {
        return false;
    }
    let mut tight = false;
    let mut written = transact(connection, &group);
    if written.as_ref().is_err_and(|lost| is_full(&lost.error)) {
        match checkpoint::make_room(connection) {
            Ok(()) => written = transact(connection, &group),
            Err(error) => {
                warn!(path = %path.display(), %error, "the log was not cut on a full disk");
                tight = true;
            }
        }
    }
    match written {
        Ok(outcomes) => answer(group, outcomes),
        Err(lost) if lost.one_to_blame && group.len() > 1 => {
            for job in group {
                write_one(connection, path, job);
            }
        }
        Err(lost) => {
            let fault = fault_of(path, &lost.error);
            let outcomes = group.iter().map(|_| Err(fault.clone())).collect();
            answer(group, outcomes);
        }
    }
    tight
}

/// Commits one work of a group that failed as a whole.
fn write_one(connection: &Connection, path: &Path, job: Job) {
    let group = vec![job];
    let outcomes = match transact(connection, &group) {
        Ok(outcomes) => outcomes,
        Err(lost) => vec![Err(fault_of(path, &lost.error))],
    };
    answer(group, outcomes);
}

fn answer(group: Vec<Job>, outcomes: Vec<Outcome>) {
    for (job, outcome) in group.into_iter().zip(outcomes) {
        // Whoever does not listen any more was cancelled.
        let _ = job.reply.send(outcome);
    }
}

/// Commits `group` in one transaction, or leaves no trace of it.
fn transact(connection: &Connection, group: &[Job]) -> Result<Vec<Outcome>, Lost> {
    let written = attempt(connection, group);
    if written.is_err() && !connection.is_autocommit() {
        // An error here means that SQLite has rolled back already; the next BEGIN would tell otherwise.
        let _ = connection.execute_batch("ROLLBACK");
    }
    written
}

fn attempt(connection: &Connection, group: &[Job]) -> Result<Vec<Outcome>, Lost> {
    let all = |error| Lost { error, one_to_blame: false };
    let one = |error| Lost { error, one_to_blame: true };
    run(connection, "BEGIN IMMEDIATE").map_err(all)?;
    let before = entries::counter(connection).map_err(all)?;
    let mut counter = before;
    let mut outcomes = Vec::with_capacity(group.len());
    for job in group {
        outcomes.push(apply(connection, &job.work, &mut counter).map_err(one)?);
    }
    if counter != before {
        entries::set_counter(connection, counter).map_err(one)?;
    }
    match run(connection, "COMMIT") {
        Ok(()) => Ok(outcomes),
        Err(error) => Err(Lost { one_to_blame: is_full(&error), error }),
    }
}

/// Applies one work as a savepoint: it is in the transaction, or nothing of it is.
fn apply(connection: &Connection, work: &Work, counter: &mut u64) -> rusqlite::Result<Outcome> {
    run(connection, "SAVEPOINT work")?;
    let applied = match work {
        Work::Commit { namespace, params } => entries::commit(connection, namespace, params, counter),
        Work::Part { part, whole } => blobs::put(connection, part, whole.as_ref()).map(|()| Vec::new()),
    };
    match applied {
        Ok(versions) => {
            run(connection, "RELEASE work")?;
            Ok(Ok(versions))
        }
        Err(Trouble::Refused(fault)) => {
            run(connection, "ROLLBACK TO work")?;
            run(connection, "RELEASE work")?;
            Ok(Err(fault))
        }
        Err(Trouble::Sqlite(error)) => Err(error),
    }
}

fn run(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute(()).map(|_| ())
}

#[cfg(test)]
pub(crate) mod tests;
