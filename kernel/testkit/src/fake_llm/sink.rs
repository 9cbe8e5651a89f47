//! The way out of an answer: batches, cuts at an exact byte, paces, and frames the body. It must not know JSON.

use super::connection::{Connection, Ended};
use super::script::Pace;

/// A batch is written once it has so many bytes.
const BATCH_BYTES: usize = 16 * 1024;

/// How the client learns where the body ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    Chunked,
    Length,
}

/// One response on its way.
///
/// Counts bytes of body without the chunk framing: a cut after `k` has sent exactly `k` of them.
pub(super) struct Sink<'c> {
    pub(super) connection: &'c mut Connection,
    head: Option<String>,
    framing: Framing,
    batch: Vec<u8>,
    frame: Vec<u8>,
    last_event_at: usize,
    last_event: Vec<u8>,
    body_bytes: u64,
    cut_after_bytes: Option<u64>,
    pace: Option<Pace>,
}

impl<'c> Sink<'c> {
    /// A response whose head goes out with its first byte.
    pub(super) fn new(connection: &'c mut Connection, head: String, framing: Framing) -> Self {
        Self {
            connection,
            head: Some(head),
            framing,
            batch: Vec::with_capacity(BATCH_BYTES * 2),
            frame: Vec::new(),
            last_event_at: 0,
            last_event: Vec::new(),
            body_bytes: 0,
            cut_after_bytes: None,
            pace: None,
        }
    }

    pub(super) fn cut_after(&mut self, bytes: u64) {
        self.cut_after_bytes = Some(bytes);
    }

    /// What comes after this goes out in pieces.
    pub(super) async fn set_pace(&mut self, pace: Pace) -> Result<(), Ended> {
        self.flush_body().await?;
        self.pace = Some(pace);
        Ok(())
    }

    /// Opens an event: what is appended until [`Sink::end_event`] is what [`Sink::repeat_last`] repeats.
    pub(super) fn begin_event(&mut self) -> &mut Vec<u8> {
        self.last_event_at = self.batch.len();
        &mut self.batch
    }

    /// Closes an event, and writes the batch if it is full.
    pub(super) async fn end_event(&mut self) -> Result<(), Ended> {
        match self.batch.len() < BATCH_BYTES {
            true => Ok(()),
            false => self.flush().await,
        }
    }

    /// Appends one event that is already whole.
    pub(super) async fn event(&mut self, bytes: &[u8]) -> Result<(), Ended> {
        self.begin_event().extend_from_slice(bytes);
        self.end_event().await
    }

    /// Appends the last event again.
    pub(super) async fn repeat_last(&mut self) -> Result<(), Ended> {
        let event = match self.batch.is_empty() {
            true => self.last_event.clone(),
            false => self.batch[self.last_event_at..].to_vec(),
        };
        self.event(&event).await
    }

    /// Writes what is there, and the head if it is still here.
    pub(super) async fn flush(&mut self) -> Result<(), Ended> {
        if let Some(head) = self.head.take() {
            self.connection.write(head.as_bytes()).await?;
        }
        let batch = std::mem::take(&mut self.batch);
        if !batch.is_empty() {
            self.last_event.clear();
            self.last_event.extend_from_slice(&batch[self.last_event_at..]);
            self.last_event_at = 0;
        }
        let sent = self.send(&batch).await;
        self.batch = batch;
        self.batch.clear();
        sent
    }

    /// Writes what is there; before the first byte the head stays, so that a wait delays it too.
    async fn flush_body(&mut self) -> Result<(), Ended> {
        match self.batch.is_empty() {
            true => Ok(()),
            false => self.flush().await,
        }
    }

    async fn send(&mut self, batch: &[u8]) -> Result<(), Ended> {
        let left = self.cut_after_bytes.map(|cut| cut - self.body_bytes);
        let is_cut = left.is_some_and(|left| batch.len() as u64 >= left);
        let batch = match left {
            Some(left) if is_cut => &batch[..left as usize],
            Some(_) | None => batch,
        };
        let piece_bytes = self.pace.map_or(usize::MAX, |pace| pace.bytes);
        for piece in batch.chunks(piece_bytes) {
            self.send_piece(piece).await?;
            if let Some(pace) = self.pace {
                self.connection.wait(pace.delay_ms).await?;
            }
        }
        self.body_bytes += batch.len() as u64;
        match is_cut {
            true => Err(Ended::Cut),
            false => Ok(()),
        }
    }

    async fn send_piece(&mut self, piece: &[u8]) -> Result<(), Ended> {
        if self.framing == Framing::Length {
            self.connection.write(piece).await?;
            return Ok(());
        }
        self.frame.clear();
        self.frame.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        self.frame.extend_from_slice(piece);
        self.frame.extend_from_slice(b"\r\n");
        self.connection.write(&self.frame).await?;
        Ok(())
    }

    /// Sends what is there, then waits.
    pub(super) async fn wait(&mut self, wait_ms: u64) -> Result<(), Ended> {
        self.flush_body().await?;
        self.connection.wait(wait_ms).await
    }

    /// Sends what is there, then nothing until the client leaves.
    pub(super) async fn stall(&mut self) -> Ended {
        if let Err(ended) = self.flush_body().await {
            return ended;
        }
        self.connection.left().await
    }

    /// Sends what is there; the caller closes the connection.
    pub(super) async fn cut(&mut self) -> Ended {
        if let Err(ended) = self.flush_body().await {
            return ended;
        }
        Ended::Cut
    }

    /// Sends what is there and the end of the body.
    pub(super) async fn finish(mut self) -> Result<(), Ended> {
        self.flush().await?;
        if self.framing == Framing::Chunked {
            self.connection.write(b"0\r\n\r\n").await?;
        }
        Ok(())
    }
}
