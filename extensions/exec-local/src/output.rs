//! What is kept of a program's output: the head as it comes, the last part at the end, and how much fell between.
//!
//! It must not know pipes or calls. However much a program writes, this holds `output_bytes_max` and a little.

use crate::utf8::Decoder;
use dispatch_sdk::contracts::exec::OutputFrame;
use dispatch_sdk::contracts::tool::OutputStream;
use std::collections::VecDeque;

/// Most bytes of text in one frame.
pub(crate) const FRAME_BYTES_MAX: usize = 16 * 1024;
/// Most pieces that wait in the tail; a program that alternates single bytes between its streams must not cost more.
const TAIL_PIECES_MAX: usize = 4096;

pub(crate) struct Output {
    head_left: usize,
    tail_bytes_max: usize,
    /// Frames that can be emitted now.
    ready: VecDeque<OutputFrame>,
    tail: VecDeque<(OutputStream, Vec<u8>)>,
    tail_bytes: usize,
    streams: [Stream; 2],
    /// Bytes that were written.
    pub(crate) bytes: u64,
    /// Bytes of these that will not be emitted.
    pub(crate) dropped_bytes: u64,
}

#[derive(Default)]
struct Stream {
    decoder: Decoder,
    /// Bytes between its head and its tail are gone.
    is_broken: bool,
}

impl Output {
    pub(crate) fn new(bytes_max: usize) -> Self {
        let head_left = bytes_max / 2;
        Self {
            head_left,
            tail_bytes_max: bytes_max - head_left,
            ready: VecDeque::new(),
            tail: VecDeque::new(),
            tail_bytes: 0,
            streams: Default::default(),
            bytes: 0,
            dropped_bytes: 0,
        }
    }

    pub(crate) fn push(&mut self, stream: OutputStream, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        let (head, tail) = bytes.split_at(bytes.len().min(self.head_left));
        self.head_left -= head.len();
        let text = self.streams[idx(stream)].decoder.push(head);
        frames_of(stream, &text, &mut self.ready);
        if !tail.is_empty() {
            self.keep(stream, tail);
        }
    }

    /// The next frame; it stays until `emitted` is called, so that a frame nobody took is not lost.
    pub(crate) fn next(&self) -> Option<&OutputFrame> {
        self.ready.front()
    }

    pub(crate) fn emitted(&mut self) {
        self.ready.pop_front();
    }

    /// Nothing more comes: makes frames of the tail, after one that says how much fell between.
    pub(crate) fn finish(&mut self) {
        let mut frames = VecDeque::new();
        for stream in &mut self.streams {
            if stream.is_broken {
                self.dropped_bytes += stream.decoder.forget() as u64;
            }
        }
        for (stream, bytes) in std::mem::take(&mut self.tail) {
            let state = &mut self.streams[idx(stream)];
            let cut = if std::mem::take(&mut state.is_broken) { end_of_cut_character(&bytes) } else { 0 };
            self.dropped_bytes += cut as u64;
            frames_of(stream, &state.decoder.push(&bytes[cut..]), &mut frames);
        }
        for stream in [OutputStream::Stdout, OutputStream::Stderr] {
            let rest = self.streams[idx(stream)].decoder.finish();
            frames_of(stream, &rest, &mut frames);
        }
        if self.dropped_bytes > 0 {
            let stream = frames.front().map_or(OutputStream::Stdout, |frame| frame.stream);
            let text = format!("\n[… {} bytes left out …]\n", self.dropped_bytes);
            self.ready.push_back(OutputFrame { stream, text });
        }
        self.ready.append(&mut frames);
    }

    fn keep(&mut self, stream: OutputStream, bytes: &[u8]) {
        self.tail_bytes += bytes.len();
        match self.tail.back_mut() {
            Some((last, piece)) if *last == stream && piece.len() + bytes.len() <= FRAME_BYTES_MAX => {
                piece.extend_from_slice(bytes);
            }
            _ => self.tail.push_back((stream, bytes.to_vec())),
        }
        while self.tail_bytes > self.tail_bytes_max || self.tail.len() > TAIL_PIECES_MAX {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        let Some((stream, piece)) = self.tail.front_mut() else { return };
        let excess = self.tail_bytes.saturating_sub(self.tail_bytes_max);
        let dropped = if excess == 0 { piece.len() } else { piece.len().min(excess) };
        self.streams[idx(*stream)].is_broken = true;
        piece.drain(..dropped);
        if piece.is_empty() {
            self.tail.pop_front();
        }
        self.tail_bytes -= dropped;
        self.dropped_bytes += dropped as u64;
    }
}

fn idx(stream: OutputStream) -> usize {
    match stream {
        OutputStream::Stdout => 0,
        OutputStream::Stderr => 1,
    }
}

/// How many bytes at the start belong to a character whose beginning was dropped.
fn end_of_cut_character(bytes: &[u8]) -> usize {
    bytes.iter().take(3).take_while(|byte| *byte & 0b1100_0000 == 0b1000_0000).count()
}

fn frames_of(stream: OutputStream, mut text: &str, into: &mut VecDeque<OutputFrame>) {
    while !text.is_empty() {
        let (frame, rest) = text.split_at(text.floor_char_boundary(FRAME_BYTES_MAX));
        into.push_back(OutputFrame { stream, text: frame.to_owned() });
        text = rest;
    }
}
