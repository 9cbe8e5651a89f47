//! Following a conversation: the log from a cursor on, then what is in memory, then what comes, in one order.
//!
//! When this process runs no turn in it, another may, and only the store tells: `changes` looks at it for all watchers.
//! While a watcher waits for its reader it holds nothing: what comes next is read when it can be taken.

use crate::conv::Attached;
use crate::convs::{Convs, Watching};
use crate::entries::read_row;
use crate::faults;
use crate::keys;
use crate::large_frames::{FRAME_BYTES_MIN, RowVersion};
use crate::spill;
use crate::store::{self, Pages};
use crate::watcher::{Frame, Next};
use dispatch_sdk::contracts::conversations::{WatchParams, check_id};
use dispatch_sdk::contracts::storage::Entry;
use dispatch_sdk::{Call, Fault, fault};
use std::sync::Arc;
use std::time::Duration;
use tracing::warn;

/// How often the store is asked although nobody said that something changed: the clock of whoever wrote may be wrong.
const LOOK_ANYWAY_EVERY: Duration = Duration::from_secs(30);
/// Most rows read at a time.
const PAGE_ROWS: usize = 64;
/// Most bytes of rows read at a time, one row at least: what a stream takes before it waits for its reader.
const PAGE_BYTES: usize = 64 * 1024;
/// Most reads in a row that may fail before the watch ends with the fault.
const READ_FAILURES_MAX: u32 = 20;
/// Wait after a read that failed.
const READ_RETRY_AFTER: Duration = Duration::from_millis(500);

/// Emits every event after the cursor, until the call is cancelled.
pub(crate) async fn watch(convs: &Arc<Convs>, call: &Call, params: WatchParams) -> Result<(), Fault> {
    check_id(&params.conversation_id)?;
    let head = store::head_of(&call.host(), &params.conversation_id).await?.head;
    faults::check_cursor(&params.conversation_id, &head, params.after)?;
    let reader = Reader {
        call,
        watching: convs.watch(&params.conversation_id),
        id: params.conversation_id,
        cursor: params.after,
        version: None,
        n_failures: 0,
    };
    tokio::select! {
        ended = reader.run() => match ended {
            Err(fault) if fault.is(fault::CANCELLED) && call.is_cancelled() => Ok(()),
            ended => ended,
        },
        () = call.cancelled() => Ok(()),
    }
}

struct Reader<'a> {
    call: &'a Call,
    watching: Watching,
    id: String,
    /// Everything up to here has been emitted.
    cursor: u64,
    /// Version of the head at the last look.
    version: Option<u64>,
    n_failures: u32,
}

impl Reader<'_> {
    async fn run(mut self) -> Result<(), Fault> {
        loop {
            self.catch_up().await?;
            self.follow().await?;
        }
    }

    /// Emits what is on disk, then what is in memory; afterwards frames are queued for this watcher.
    async fn catch_up(&mut self) -> Result<(), Fault> {
        loop {
            let read_to = match self.watching.conv.read_to() {
                Some(seq) => {
                    self.emit_log(Some(seq)).await?;
                    seq.max(self.cursor)
                }
                None => {
                    self.look().await?;
                    self.emit_log(None).await?;
                    self.cursor
                }
            };
            let Watching { conv, watcher, .. } = &self.watching;
            if let Attached::With(frames) = conv.attach(watcher, self.cursor, read_to) {
                for frame in frames {
                    self.call.emit_raw(frame.json.clone()).await?;
                    self.cursor = frame.seq;
                }
                return Ok(());
            }
        }
    }

    /// Emits what is pushed, until the log must be read again.
    async fn follow(&mut self) -> Result<(), Fault> {
        loop {
            match self.watching.watcher.next() {
                Next::Frame(frame) if frame.seq > self.cursor => {
                    self.call.emit_raw(frame.json.clone()).await?;
                    self.cursor = frame.seq;
                }
                Next::Frame(_) => {}
                Next::Behind => return Ok(()),
                Next::Nothing if self.watching.conv.runs_a_turn() => self.watching.watcher.changed().await,
                Next::Nothing => {
                    let host = self.call.host();
                    tokio::select! {
                        () = self.watching.watcher.changed() => {}
                        () = host.sleep(LOOK_ANYWAY_EVERY) => {
                            if self.look().await? {
                                self.watching.watcher.fall_behind();
                            }
                        }
                    }
                }
            }
        }
    }

    /// Looks at the head; whether it changed since the last look.
    async fn look(&mut self) -> Result<bool, Fault> {
        let known = loop {
            match store::head_of(&self.call.host(), &self.id).await {
                Ok(known) => break known,
                Err(fault) => self.failed(fault).await?,
            }
        };
        self.n_failures = 0;
        let before = self.version.replace(known.version);
        Ok(before != self.version)
    }

    /// Emits the rows after the cursor, up to `to` if it says so.
    async fn emit_log(&mut self, to: Option<u64>) -> Result<(), Fault> {
        let end = to.map_or_else(|| keys::rows_end(&self.id), |to| keys::row(&self.id, to.saturating_add(1)));
        let id = self.id.clone();
        let from = |cursor: u64| keys::row(&id, cursor.saturating_add(1));
        let pages_from =
            |cursor: u64| Pages::new(from(cursor), end.clone(), PAGE_ROWS, false).of_bytes(PAGE_BYTES);
        let mut pages = pages_from(self.cursor);
        'pages: loop {
            self.call.room().await?;
            let entries = match pages.next(&self.call.host()).await {
                Ok(Some(entries)) => entries,
                Ok(None) => return Ok(()),
                Err(fault) => {
                    self.failed(fault).await?;
                    pages = pages_from(self.cursor);
                    continue;
                }
            };
            for entry in entries {
                self.call.room().await?;
                let frame = match self.frame(&entry).await {
                    Ok(frame) => frame,
                    Err(fault) => {
                        self.failed(fault).await?;
                        pages = pages_from(self.cursor);
                        continue 'pages;
                    }
                };
                // Only now: a page that can be read says nothing of the blobs that it names.
                self.n_failures = 0;
                if let Some(frame) = frame {
                    self.call.emit_raw(frame.json.clone()).await?;
                    self.cursor = frame.seq;
                } else if let Some(seq) = keys::number_of(&entry.key) {
                    self.cursor = seq;
                }
            }
        }
    }

    /// The frame of a row; `None` when it cannot be read.
    async fn frame(&self, entry: &Entry) -> Result<Option<Arc<Frame>>, Fault> {
        let large_frames = &self.watching.convs.large_frames;
        let large = spill::bytes_of(entry) >= FRAME_BYTES_MIN;
        let key = keys::number_of(&entry.key).filter(|_| large).map(|seq| RowVersion {
            id: self.id.clone(),
            seq,
            version: entry.version,
        });
        if let Some(frame) = key.as_ref().and_then(|key| large_frames.get(key, self.cursor)) {
            return Ok(Some(frame));
        }
        let Some(row) = read_row(&self.call.host(), entry).await? else { return Ok(None) };
        let seq_first = row.seq_first;
        let frame = Frame::new(&row.into_event(&self.id, self.cursor));
        if let Some(key) = key.filter(|_| seq_first > self.cursor) {
            large_frames.keep(key, seq_first, &frame);
        }
        Ok(Some(frame))
    }

    /// Waits after a failed read; ends the watch when too many failed in a row.
    async fn failed(&mut self, fault: Fault) -> Result<(), Fault> {
        self.n_failures += 1;
        if self.n_failures >= READ_FAILURES_MAX || fault.is(fault::NOT_FOUND) || fault.is(fault::CANCELLED) {
            return Err(fault);
        }
        warn!(conversation_id = self.id, %fault, "a watcher cannot read the log; trying again");
        self.call.host().sleep(READ_RETRY_AFTER).await;
        Ok(())
    }
}
