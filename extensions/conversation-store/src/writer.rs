//! The writer of one open turn: a task that makes all of its commits, one after another.
//!
//! It outlives the call that asked, so that a cancelled caller never leaves half of an append behind.

use crate::conv::{After, Conv};
use crate::convs::Convs;
use crate::engine_state;
use crate::faults;
use crate::head::Appended;
use crate::request::Request;
use crate::row::Row;
use crate::store::{self, Batch, Known};
use crate::turn_log::{Cut, Failed, Urgency};
use crate::turn_rows;
use dispatch_sdk::contracts::conversations::{AppendParams, AppendReply, TurnRow};
use dispatch_sdk::{Fault, Host, fault};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tracing::warn;

/// How long live text may be ahead of the disk.
pub(crate) const FLUSH_AFTER: Duration = Duration::from_millis(250);
/// Wait after a flush that failed.
const FLUSH_RETRY_AFTER: Duration = Duration::from_secs(1);
/// Most attempts at one commit while others change the head.
pub(crate) const CONFLICT_RETRIES_MAX: usize = 64;
/// Most appends of one turn that wait.
pub(crate) const APPENDS_WAITING_MAX: usize = 64;

pub(crate) struct Writer {
    pub(crate) host: Host,
    pub(crate) convs: Arc<Convs>,
    pub(crate) conv: Arc<Conv>,
    pub(crate) turn_id: String,
    /// The turn's row, as far as it is known before the end.
    pub(crate) row: TurnRow,
    /// As last written by this writer; the store decides whether it still holds.
    pub(crate) known: Known,
    pub(crate) wake: Arc<Notify>,
    /// The last flush failed.
    pub(crate) failing: bool,
}

type Timer = Option<Pin<Box<dyn Future<Output = ()> + Send>>>;

impl Writer {
    /// Writes until the turn has ended or is lost.
    pub(crate) async fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        let mut timer: Timer = None;
        while let Some(urgency) = self.conv.urgency(&self.turn_id) {
            // An append goes first: it writes the live text along with its own.
            if let Ok(request) = requests.try_recv() {
                self.serve(request).await;
                continue;
            }
            match urgency {
                Urgency::Now if !self.failing => {
                    self.flush_or_warn().await;
                    timer = None;
                    continue;
                }
                Urgency::Now | Urgency::Soon if timer.is_none() => timer = Some(self.timer()),
                Urgency::Nothing => timer = None,
                Urgency::Now | Urgency::Soon => {}
            }
            tokio::select! {
                biased;
                request = requests.recv() => match request {
                    Some(request) => self.serve(request).await,
                    None => break,
                },
                () = self.wake.notified() => {}
                () = due(&mut timer) => {
                    timer = None;
                    self.flush_or_warn().await;
                }
            }
        }
        self.convs.release(&self.conv);
    }

    fn timer(&self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let (host, wait) = (self.host.clone(), if self.failing { FLUSH_RETRY_AFTER } else { FLUSH_AFTER });
        Box::pin(async move { host.sleep(wait).await })
    }

    async fn serve(&mut self, request: Request) {
        match request {
            Request::Append { params, reply } => {
                let result = self.append(&params).await;
                // Nobody waits any more: the append stands all the same.
                let _ = reply.send(result);
            }
            Request::Flush { reply } => {
                let _ = reply.send(self.flush().await);
            }
        }
    }

    async fn append(&mut self, params: &AppendParams) -> Result<AppendReply, Fault> {
        if self.conv.flush_goes_first(&self.turn_id) {
            self.flush().await?;
        }
        // By now it is known whether it was written: what was unsure is settled by the flush.
        if let Some(seq_last) = self.known.head.appended(&self.turn_id, params.append_idx) {
            return Ok(AppendReply { seq_last, durable: store::is_durable(&self.host).await? });
        }
        self.commit(Some(params)).await
    }

    async fn flush(&mut self) -> Result<(), Fault> {
        let result = self.commit(None).await;
        self.failing = result.is_err();
        result.map(|_| ())
    }

    async fn flush_or_warn(&mut self) {
        let failing = self.failing;
        if let Err(fault) = self.flush().await
            && !failing
        {
            warn!(conversation_id = self.conv.id(), %fault, "live text cannot be written; trying again");
        }
    }

    async fn commit(&mut self, append: Option<&AppendParams>) -> Result<AppendReply, Fault> {
        for _ in 0..CONFLICT_RETRIES_MAX {
            let n_appended = append.map_or(0, |append| append.events.len());
            let Some(cut) = self.conv.cut(&self.turn_id, n_appended) else { return Err(self.not_open()) };
            match self.try_commit(append, &cut).await {
                Ok(reply) => return Ok(reply),
                Err(fault) => {
                    let clean = faults::wrote_nothing(&fault);
                    let failed = if clean { Failed::Clean } else { Failed::Unsure };
                    self.conv.fail(&self.turn_id, &cut, failed, &fault, self.host.now_ms());
                    if !fault.is(fault::CONFLICT) {
                        return Err(fault);
                    }
                    self.read_head_again().await?;
                }
            }
        }
        Err(faults::busy(self.conv.id(), CONFLICT_RETRIES_MAX))
    }

    async fn try_commit(&mut self, append: Option<&AppendParams>, cut: &Cut) -> Result<AppendReply, Fault> {
        let at = self.host.now_ms();
        let mut head = self.known.head.clone();
        head.active_at = at;
        head.seq_last = cut.seq_last.unwrap_or(0).max(head.seq_last);
        head.seq_reserved = cut.seq_reserved;
        if let Some(append_idx) = append.and_then(|append| append.append_idx) {
            let (turn_id, seq_last) = (self.turn_id.clone(), head.seq_last);
            head.appended = Some(Appended { turn_id, append_idx, seq_last });
        }
        let ended = append.is_some_and(|append| append.end_turn);
        if ended {
            head.open_turn = None;
            head.seq_reserved = head.seq_last;
        }
        let (events, messages) =
            append.map_or((&[][..], &[][..]), |append| (&append.events[..], &append.messages[..]));
        let first = head.messages;
        head.add_messages(messages);
        let appended: Vec<Row> = (cut.append_first..)
            .zip(events)
            .map(|(seq, event)| Row::of(event, &self.turn_id, seq, at))
            .collect();

        let id = self.conv.id().to_owned();
        let mut batch = Batch::new(&id, Some(&self.known), &head);
        for block in &cut.blocks {
            batch.put_row(&block.row(&self.turn_id));
        }
        for seq in &cut.deletes {
            batch.delete_row(*seq);
        }
        for row in &appended {
            batch.put_row(row);
        }
        batch.put_messages(first, messages);
        if let Some(left) = append.and_then(|append| append.engine_state.as_ref()) {
            batch.put_other(engine_state::put(&id, left));
        }
        let mut row = self.row.clone();
        row.steps += turn_rows::n_steps(events);
        if let Some(append) = append.filter(|append| append.end_turn) {
            let (last, summary) = (append.events.last(), append.summary.as_ref());
            row.stop = self.known.head.stop().cloned();
            turn_rows::end(&mut batch, &id, row.clone(), &head, last, summary, at);
        }
        let (version, durable) = batch.commit(&self.host, &self.convs.counts).await?;

        let seq_last = head.seq_last;
        self.known = Known { head, version };
        self.row = row;
        self.failing = false;
        let after = if ended { After::Ended } else { After::GoesOn };
        self.conv.settle(&self.turn_id, cut, appended, after, self.host.now_ms());
        Ok(AppendReply { seq_last, durable })
    }

    /// The head is not what this writer wrote last: a commit reported as failed went through, or somebody renamed the
    /// conversation or put it away, which the next commit keeps; or the turn is lost.
    async fn read_head_again(&mut self) -> Result<(), Fault> {
        let known = store::head_of(&self.host, self.conv.id()).await?;
        let host_id = self.known.head.open_turn.as_ref().map_or("", |turn| turn.host_id.as_str());
        if !known.head.is_open_by(&self.turn_id, host_id) {
            warn!(conversation_id = self.conv.id(), "the open turn was ended or adopted by another host");
            self.conv.lose(&self.turn_id);
            return Err(self.not_open());
        }
        if known.head.seq_last != self.known.head.seq_last {
            self.conv.catch_up(&self.turn_id, known.head.seq_last);
        }
        self.known = known;
        Ok(())
    }

    fn not_open(&self) -> Fault {
        faults::not_open(self.conv.id(), &self.turn_id)
    }
}

async fn due(timer: &mut Timer) {
    match timer {
        Some(timer) => timer.await,
        None => std::future::pending().await,
    }
}
