//! The stream split at every byte.

use super::{LINE_BYTES_MAX, SseParser, TooLong};

/// What a parser hands on of these bytes.
fn push(parser: &mut SseParser, bytes: &[u8], events: &mut Vec<String>) -> Result<(), TooLong> {
    parser.push(bytes, &mut |event: &str| {
        events.push(event.to_owned());
        Ok(())
    })
}

fn events_of(pieces: &[&[u8]]) -> Vec<String> {
    let mut parser = SseParser::default();
    let mut events = Vec::new();
    for piece in pieces {
        push(&mut parser, piece, &mut events).expect("short lines");
    }
    events.extend(parser.finish().expect("short lines"));
    events
}

const STREAMS: [(&str, &[u8], &[&str]); 13] = [
    ("line feeds", b"data: a\n\ndata: b\n\n", &["a", "b"]),
    ("carriage returns", b"data: a\r\rdata: b\r\r", &["a", "b"]),
    ("both", b"data: a\r\n\r\ndata: b\r\n\r\n", &["a", "b"]),
    ("a mix of line ends", b"data: a\r\n\ndata: b\n\rdata: c\r\r\n", &["a", "b", "c"]),
    ("comments and other fields", b": hi\nevent: x\nid: 1\nretry: 5\ndata: a\n: mid\n\n:\n\n", &["a"]),
    ("several data lines", b"data: a\ndata\ndata:b\n\n", &["a\n\nb"]),
    ("one space is dropped", b"data:  a \n\n", &[" a "]),
    ("a byte order mark", b"\xEF\xBB\xBFdata: a\n\n\xEF\xBB\xBFdata: b\n\n", &["a"]),
    ("no end", "data: é€😀\n\ndata: [DONE]".as_bytes(), &["é€😀", "[DONE]"]),
    ("what is not UTF-8", b"data: a\xFFb\n\n", &["a\u{FFFD}b"]),
    ("an error as a field", b"error: {\"code\":400}\n\ndata: a\n\n", &["{\"error\":{\"code\":400}}", "a"]),
    ("an error as a text", b"data: a\n\nerror:it broke", &["a", "{\"error\":\"it broke\"}"]),
    ("other names that begin alike", b"dataset: a\ndatum\n\n", &[]),
];

#[test]
fn a_stream_split_at_any_two_bytes_gives_the_same_events() {
    for (name, stream, expected) in STREAMS {
        for first in 0..=stream.len() {
            for second in first..=stream.len() {
                let pieces = [&stream[..first], &stream[first..second], &stream[second..]];
                assert_eq!(events_of(&pieces), expected, "{name}, split at {first} and {second}");
            }
        }
    }
}

#[test]
fn a_stream_in_single_bytes_gives_the_same_events() {
    for (name, stream, expected) in STREAMS {
        let pieces: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(events_of(&pieces), expected, "{name}");
    }
}

#[test]
fn a_line_without_end_is_refused_at_the_bound_and_not_kept() {
    let mut parser = SseParser::default();
    let mut events = Vec::new();
    let piece = [b'x'; 64 * 1024];
    let mut n_bytes = 0;
    let refused = loop {
        match push(&mut parser, &piece, &mut events) {
            Ok(()) => n_bytes += piece.len(),
            Err(refused) => break refused,
        }
    };
    assert_eq!((refused, n_bytes), (TooLong, LINE_BYTES_MAX));
    assert!(parser.line.capacity() <= 2 * LINE_BYTES_MAX, "kept {} bytes", parser.line.capacity());
}

#[test]
fn an_event_of_endless_short_lines_is_refused_at_the_bound() {
    let mut parser = SseParser::default();
    let mut events = Vec::new();
    let line = b"data: 0123456789\n".repeat(1024);
    let refused = (0..LINE_BYTES_MAX / 1024).find_map(|_| push(&mut parser, &line, &mut events).err());
    assert_eq!((refused, events), (Some(TooLong), vec![]));
}
