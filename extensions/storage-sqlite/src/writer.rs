//! The one thread that writes: what queued while the last group was committed goes into the next one.
//!
//! One group is one transaction, one flush. Each work in it is a savepoint of its own: one that is refused leaves the
//! others as they are.

mod pulse;
mod transaction;

pub(crate) use transaction::{Outcome, Work, Written};

use crate::checkpoint::{self, Checkpoints};
use crate::connection::Company;
use crate::entries;
use crate::names::Names;
use crate::trouble::{fault_of, is_full};
use dispatch_sdk::contracts::kernel::ReportParams;
use dispatch_sdk::{Fault, Watches, fault};
use pulse::Pulse;
use rusqlite::Connection;
use rusqlite::config::DbConfig;
use serde_json::json;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use tracing::{error, warn};
use transaction::{GROUP_BYTES_MAX, transact};

/// Most works that wait.
pub(crate) const WRITE_QUEUE_MAX: usize = 512;
/// Most bytes that wait, however few works they are.
const WRITE_QUEUE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Most works of one transaction.
const GROUP_WORKS_MAX: usize = 256;
/// How often the file is looked at for what other processes wrote, while somebody watches.
const LOOK_EVERY: Duration = Duration::from_millis(100);
const OVERLOADED_RETRY_AFTER_MS: u64 = 50;

struct Job {
    work: Work,
    n_bytes: usize,
    reply: oneshot::Sender<Outcome>,
}

/// What the thread is asked for.
enum Asked {
    Write(Job),
    /// To look from now on for what other processes write; answered once that stands.
    Look(oneshot::Sender<()>),
}

/// The writer's queue and thread.
pub(crate) struct Writer {
    path: PathBuf,
    queue: Mutex<Option<SyncSender<Asked>>>,
    watches: Arc<Watches>,
    names: Arc<Names>,
    lost: Arc<OnceLock<Fault>>,
    health: watch::Receiver<ReportParams>,
    bytes_waiting: Arc<AtomicUsize>,
    n_transactions: Arc<AtomicU64>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    pub(crate) fn start(
        path: PathBuf,
        connection: Connection,
        company: Company,
        watches: Arc<Watches>,
    ) -> Result<Self, Fault> {
        let (queue, jobs) = sync_channel(WRITE_QUEUE_MAX);
        let bytes_waiting = Arc::new(AtomicUsize::new(0));
        let n_transactions = Arc::new(AtomicU64::new(0));
        let lost = Arc::default();
        // Only a connection that has read has its log open.
        entries::counter(&connection).map_err(|error| fault_of(&path, &error))?;
        let names = Arc::new(Names::of(&path, company)?);
        let (pulse, health) = Pulse::of(&path);
        let work = Loop {
            path: path.clone(),
            names: Arc::clone(&names),
            lost: Arc::clone(&lost),
            connection,
            checkpoints: Checkpoints::default(),
            log_uncut: false,
            watches: Arc::clone(&watches),
            seen: None,
            pulse,
            bytes_waiting: Arc::clone(&bytes_waiting),
            n_transactions: Arc::clone(&n_transactions),
        };
        let thread =
            thread::Builder::new().name("sqlite-writer".to_owned()).spawn(move || work.run(&jobs)).map_err(
                |error| Fault::new(fault::UNAVAILABLE, format!("cannot start the writer's thread: {error}")),
            )?;
        let (queue, thread) = (Mutex::new(Some(queue)), Mutex::new(Some(thread)));
        Ok(Self { path, queue, watches, names, lost, health, bytes_waiting, n_transactions, thread })
    }

    pub(crate) fn n_transactions(&self) -> u64 {
        self.n_transactions.load(Ordering::Relaxed)
    }

    /// The files that the writer has open.
    pub(crate) fn names(&self) -> Arc<Names> {
        Arc::clone(&self.names)
    }

    /// How the store stands, from now on.
    pub(crate) fn health(&self) -> watch::Receiver<ReportParams> {
        self.health.clone()
    }

    /// Why nothing of the file can be trusted any more, once the writer has found that.
    pub(crate) fn lost(&self) -> Arc<OnceLock<Fault>> {
        Arc::clone(&self.lost)
    }

    /// Queues `work` and waits until it is on the disk; the versions of a commit's puts are the answer.
    ///
    /// Errors: the work's own; `overloaded` the queue is full; `unavailable` the writer has been stopped.
    pub(crate) async fn write(&self, work: Work) -> Outcome {
        let outcome = self.submit(work)?;
        outcome.await.unwrap_or_else(|_| Err(self.stopped()))
    }

    /// Waits until the thread looks for what other processes write.
    pub(crate) async fn look(&self) -> Result<(), Fault> {
        let (reply, looks) = oneshot::channel();
        self.ask(Asked::Look(reply))?;
        looks.await.map_err(|_| self.stopped())
    }

    /// Writes what has queued and ends the thread; blocks until then.
    pub(crate) fn close(&self) {
        self.watches.end(self.stopped());
        drop(self.queue.lock().unwrap_or_else(PoisonError::into_inner).take());
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            warn!(path = %self.path.display(), "the writer had panicked");
        }
    }

    fn submit(&self, work: Work) -> Result<oneshot::Receiver<Outcome>, Fault> {
        let n_bytes = work.n_bytes();
        if self.bytes_waiting.fetch_add(n_bytes, Ordering::Relaxed) + n_bytes > WRITE_QUEUE_BYTES_MAX {
            self.bytes_waiting.fetch_sub(n_bytes, Ordering::Relaxed);
            return Err(overloaded());
        }
        let (reply, outcome) = oneshot::channel();
        self.ask(Asked::Write(Job { work, n_bytes, reply })).inspect_err(|_| {
            self.bytes_waiting.fetch_sub(n_bytes, Ordering::Relaxed);
        })?;
        Ok(outcome)
    }

    fn ask(&self, asked: Asked) -> Result<(), Fault> {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let queue = queue.as_ref().ok_or_else(|| self.stopped())?;
        queue.try_send(asked).map_err(|refused| match refused {
            TrySendError::Full(_) => overloaded(),
            TrySendError::Disconnected(_) => self.stopped(),
        })
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

fn works(group: &[Job]) -> impl Iterator<Item = &Work> {
    group.iter().map(|job| &job.work)
}

/// What the thread owns.
struct Loop {
    path: PathBuf,
    names: Arc<Names>,
    lost: Arc<OnceLock<Fault>>,
    connection: Connection,
    checkpoints: Checkpoints,
    /// The disk was too full even to cut the log.
    log_uncut: bool,
    bytes_waiting: Arc<AtomicUsize>,
    n_transactions: Arc<AtomicU64>,
    watches: Arc<Watches>,
    /// SQLite's count of what other connections wrote, when it was last looked at; absent while nobody watches.
    seen: Option<i64>,
    pulse: Pulse,
}

impl Loop {
    fn run(mut self, jobs: &Receiver<Asked>) {
        while let Some(job) = self.next(jobs) {
            let group = self.group(job, jobs);
            if group.is_empty() {
                continue;
            }
            self.n_transactions.fetch_add(1, Ordering::Relaxed);
            let tight = self.write(group);
            if self.lost.get().is_some() {
                continue;
            }
            let waiting = self.bytes_waiting.load(Ordering::Relaxed) > 0;
            let carried = match (tight, self.log_uncut) {
                (true, _) => Ok(()),
                // There is room again. The log would take all of it, until the file had none to grow into.
                (false, true) => checkpoint::make_room(&mut self.connection),
                (false, false) => self.checkpoints.run(&mut self.connection, !waiting),
            };
            self.log_uncut = tight || (self.log_uncut && carried.is_err());
            if let Err(error) = carried {
                // Nothing is lost: the log holds it, and the next group tries again.
                warn!(path = %self.path.display(), %error, "the log was not carried over");
            }
        }
        if self.check_names().is_ok()
            && let Err(error) = checkpoint::last(&self.connection)
        {
            warn!(path = %self.path.display(), %error, "the log was not carried over at the end");
        }
    }

    /// The next work; meanwhile looks whether the file can be written, and at the file itself if somebody watches.
    fn next(&mut self, jobs: &Receiver<Asked>) -> Option<Job> {
        loop {
            if self.pulse.is_due() && self.check_names().is_ok() {
                self.pulse.look_for_room();
            }
            if self.watches.any() {
                self.look();
            } else {
                self.seen = None;
            }
            let wait = if self.seen.is_some() { LOOK_EVERY } else { pulse::EVERY };
            match jobs.recv_timeout(wait) {
                Ok(Asked::Write(job)) => return Some(job),
                Ok(Asked::Look(reply)) => self.begin_looking(reply),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        }
    }

    fn begin_looking(&mut self, reply: oneshot::Sender<()>) {
        self.look();
        // Whoever does not listen any more was cancelled.
        let _ = reply.send(());
    }

    /// Tells all watches if another connection has written since the last look.
    fn look(&mut self) {
        // A fault ends the watches.
        let _ = self.check_names();
        let found = self.connection.pragma_query_value(None, "data_version", |row| row.get(0));
        // Who reads the file after the tick meets the error too, and says what it means.
        let found = found.unwrap_or(-1);
        if self.seen.replace(found).is_some_and(|seen| seen != found) {
            self.watches.all_changed();
        }
    }

    /// `first` and what waits behind it; not what nobody waits for any more.
    fn group(&mut self, first: Job, jobs: &Receiver<Asked>) -> Vec<Job> {
        let mut group = Vec::new();
        let mut n_bytes = 0;
        let mut next = Some(Asked::Write(first));
        while let Some(asked) = next {
            match asked {
                Asked::Look(reply) => self.begin_looking(reply),
                Asked::Write(job) => {
                    self.bytes_waiting.fetch_sub(job.n_bytes, Ordering::Relaxed);
                    if !job.reply.is_closed() {
                        n_bytes += job.n_bytes;
                        group.push(job);
                    }
                }
            }
            next = match group.len() < GROUP_WORKS_MAX && n_bytes < GROUP_BYTES_MAX {
                true => jobs.try_recv().ok(),
                false => None,
            };
        }
        group
    }

    /// Commits `group` and answers its callers. On a full disk the log is cut once, and the group tried again in its
    /// room; says whether the disk was too full even for that.
    fn write(&mut self, group: Vec<Job>) -> bool {
        let mut tight = false;
        if let Some(fault) = self.lost.get().cloned() {
            self.refuse(group, &fault);
            return false;
        }
        let mut written = transact(&self.connection, works(&group));
        if let Err(fault) = self.check_names() {
            self.refuse(group, &fault);
            return false;
        }
        if written.as_ref().is_err_and(|lost| is_full(&lost.error)) {
            match checkpoint::make_room(&mut self.connection) {
                Ok(()) => written = transact(&self.connection, works(&group)),
                Err(error) => {
                    warn!(path = %self.path.display(), %error, "the log was not cut on a full disk");
                    tight = true;
                }
            }
        }
        match written {
            Ok(outcomes) => self.answer(group, outcomes),
            Err(lost) if lost.one_to_blame && group.len() > 1 => {
                for job in group {
                    self.write_one(job);
                }
            }
            Err(lost) => {
                let fault = fault_of(&self.path, &lost.error);
                self.refuse(group, &fault);
            }
        }
        tight
    }

    /// Commits one work of a group that failed as a whole.
    fn write_one(&mut self, job: Job) {
        let group = vec![job];
        let outcomes = match transact(&self.connection, works(&group)) {
            Ok(outcomes) => outcomes,
            Err(lost) => vec![Err(fault_of(&self.path, &lost.error))],
        };
        self.answer(group, outcomes);
    }

    fn refuse(&mut self, group: Vec<Job>, fault: &Fault) {
        let outcomes = group.iter().map(|_| Err(fault.clone())).collect();
        self.answer(group, outcomes);
    }

    /// Nothing is acknowledged that went into a file without a name.
    fn answer(&mut self, group: Vec<Job>, outcomes: Vec<Outcome>) {
        let named = self.check_names();
        for (job, outcome) in group.into_iter().zip(outcomes) {
            let outcome = outcome.and_then(|written| named.clone().map(|()| written));
            if let (Ok(_), Some(namespace)) = (&outcome, job.work.changes()) {
                self.watches.changed(namespace);
            }
            if let Err(fault) = &outcome {
                self.pulse.refused(fault, job.n_bytes);
            }
            // Whoever does not listen any more was cancelled.
            let _ = job.reply.send(outcome);
        }
    }

    /// Looks whether the open files still have their names; the first time that they do not ends everything.
    fn check_names(&mut self) -> Result<(), Fault> {
        if let Some(fault) = self.lost.get() {
            return Err(fault.clone());
        }
        let Err(fault) = self.names.check() else { return Ok(()) };
        error!(path = %self.path.display(), %fault, "the store has lost its file and stops");
        // What lies under the names now is somebody else's: the log is neither carried over into it nor removed there.
        if let Err(error) = self.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true) {
            error!(path = %self.path.display(), %error, "the log may be carried over at the end");
        }
        self.pulse.lost(&fault);
        self.watches.end(fault.clone());
        Err(self.lost.get_or_init(|| fault).clone())
    }
}

#[cfg(test)]
pub(crate) mod tests;
