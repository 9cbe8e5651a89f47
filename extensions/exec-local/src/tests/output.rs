//! What is kept of output, by itself and of real programs.

use super::{guarded, run, sh};
use crate::artifact::ARTIFACT_BYTES_MAX;
use crate::output::{FRAME_BYTES_MAX, Output};
use crate::utf8::Decoder;
use dispatch_sdk::contracts::exec::{OutputFrame, Spawn, SpawnParams};
use dispatch_sdk::contracts::tool::OutputStream::{self, Stderr, Stdout};

fn drain(output: &mut Output) -> Vec<OutputFrame> {
    let mut frames = Vec::new();
    while let Some(frame) = output.next() {
        frames.push(frame.clone());
        output.emitted();
    }
    frames
}

fn kept(bytes_max: usize, pieces: &[(OutputStream, &[u8])]) -> (Vec<(OutputStream, String)>, u64, u64) {
    let mut output = Output::new(bytes_max);
    for (stream, bytes) in pieces {
        output.push(*stream, bytes);
    }
    output.finish();
    let frames = drain(&mut output).into_iter().map(|frame| (frame.stream, frame.text)).collect();
    (frames, output.bytes, output.dropped_bytes)
}

fn stdout(text: &str) -> (OutputStream, String) {
    (Stdout, text.to_owned())
}

#[test]
fn a_text_cut_at_any_byte_is_the_same_text() {
    let text = "aé€😀z";
    for cut in 0..=text.len() {
        let (head, tail) = text.as_bytes().split_at(cut);
        let mut decoder = Decoder::default();
        let decoded = decoder.push(head) + &decoder.push(tail) + &decoder.finish();
        assert_eq!(decoded, text, "cut at {cut}");
    }
    let mut decoder = Decoder::default();
    let decoded: String = text.bytes().map(|byte| decoder.push(&[byte])).collect();
    assert_eq!(decoded, text);
}

#[test]
fn bytes_that_are_no_text_are_replaced() {
    let mut decoder = Decoder::default();
    assert_eq!(decoder.push(b"a\xffb\xe2\x82"), "a\u{fffd}b");
    assert_eq!(decoder.push(b"c\xf0\x9f"), "\u{fffd}c");
    assert_eq!(decoder.finish(), "\u{fffd}");
    assert_eq!(decoder.finish(), "");
}

#[test]
fn output_within_the_bound_is_whole_and_the_second_half_comes_at_the_end() {
    let mut output = Output::new(8);
    output.push(Stdout, b"abcdef");
    assert_eq!(drain(&mut output), [OutputFrame { stream: Stdout, text: "abcd".to_owned() }]);
    output.push(Stderr, b"gh");
    assert_eq!(drain(&mut output), []);
    output.finish();
    let texts: Vec<_> = drain(&mut output).into_iter().map(|frame| (frame.stream, frame.text)).collect();
    assert_eq!(texts, [stdout("ef"), (Stderr, "gh".to_owned())]);
    assert_eq!((output.bytes, output.dropped_bytes), (8, 0));
}

#[test]
fn beyond_the_bound_head_and_tail_are_kept_and_the_middle_is_counted() {
    let (frames, bytes, dropped) = kept(8, &[(Stdout, b"abcdefghijkl")]);
    assert_eq!(frames, [stdout("abcd"), stdout("\n[… 4 bytes left out …]\n"), stdout("ijkl")]);
    assert_eq!((bytes, dropped), (12, 4));
}

#[test]
fn a_cut_never_goes_through_a_character() {
    // Four bytes of head end inside the second `€`, four bytes of tail begin inside the last but one.
    let (frames, bytes, dropped) = kept(8, &[(Stdout, "€€€€€".as_bytes())]);
    assert_eq!(frames, [stdout("€"), stdout("\n[… 9 bytes left out …]\n"), stdout("€")]);
    assert_eq!((bytes, dropped), (15, 9));
    // Nothing is left out, so the character at the seam is whole.
    assert_eq!(kept(6, &[(Stdout, "a€é".as_bytes())]), (vec![stdout("a"), stdout("€é")], 6, 0));
}

#[test]
fn streams_that_alternate_byte_by_byte_stay_bounded() {
    let mut output = Output::new(1024 * 1024);
    for _ in 0..1024 * 1024 {
        output.push(Stdout, b"o");
        output.push(Stderr, b"e");
    }
    // The head went out as it came.
    drain(&mut output);
    output.finish();
    let tail = drain(&mut output);
    assert!(tail.len() <= 4097, "{} frames", tail.len());
    assert_eq!(output.bytes, 2 * 1024 * 1024);
    let text: usize = tail[1..].iter().map(|frame| frame.text.len()).sum();
    assert_eq!(output.dropped_bytes, output.bytes - 512 * 1024 - text as u64);
}

#[tokio::test]
async fn an_endless_writer_costs_its_bound_and_the_timeout_still_fires() {
    let exec = guarded().await;
    // Long enough for a busy machine to write more than is kept.
    let params = SpawnParams { timeout_ms: 1_000, ..sh("yes") };
    let (frames, reply) = exec.stream(Spawn, &params).finish().await;
    let reply = reply.expect("a timeout is an answer");
    assert!(reply.timed_out, "{reply:?}");
    assert!(frames.iter().all(|frame| frame.text.len() <= FRAME_BYTES_MAX));
    let gap = format!("\n[… {} bytes left out …]\n", reply.dropped_bytes);
    let kept: usize = frames.iter().filter(|frame| frame.text != gap).map(|frame| frame.text.len()).sum();
    assert_eq!(kept, 1024 * 1024);
    assert_eq!(reply.output_bytes, reply.dropped_bytes + 1024 * 1024);
    assert_eq!(frames.iter().filter(|frame| frame.text == gap).count(), 1);
}

#[tokio::test]
async fn one_endless_line_without_text_is_bounded_too() {
    let params =
        SpawnParams { output_bytes_max: 64 * 1024, ..sh("head -c 50000000 /dev/zero | tr '\\0' '\\377'") };
    let (output, reply) = run(&guarded().await, &params).await;
    let reply = reply.expect("it ended");
    assert_eq!((reply.exit_code, reply.output_bytes), (Some(0), 50_000_000));
    assert_eq!(reply.dropped_bytes, 50_000_000 - 64 * 1024);
    assert_eq!(output.matches(char::REPLACEMENT_CHARACTER).count(), 64 * 1024);
}

/// Most that a flood may add to the process, in KiB (fault test 9).
const RSS_ADDED_KIB_MAX: u64 = 32 * 1024;
/// Set in the process of its own that the flood's memory is measured in.
const MEASURED: &str = "EXEC_LOCAL_MEASURED";

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "memory is measured in a process that runs this test alone")]
async fn a_gigabyte_in_one_line_or_without_text_and_an_endless_writer_cost_the_process_its_bound() {
    if std::env::var_os(MEASURED).is_none() {
        let name = concat!(
            "tests::output::",
            "a_gigabyte_in_one_line_or_without_text_and_an_endless_writer_cost_the_process_its_bound"
        );
        let own = std::env::current_exe().expect("a test knows its own file");
        let alone = std::process::Command::new(own).args(["--exact", name]).env(MEASURED, "1").output();
        let alone = alone.expect("a test can run itself");
        let said = String::from_utf8_lossy(&alone.stdout);
        assert!(alone.status.success() && said.contains("1 passed"), "{said}");
        return;
    }
    let exec = guarded().await;
    run(&exec, &sh("head -c 4000000 /dev/zero")).await.1.expect("it warms up");
    let before = peak_rss_kib();
    for line in ["head -c 1000000000 /dev/zero", "head -c 1000000000 /dev/zero | tr '\\0' '\\377'"] {
        let reply = run(&exec, &sh(line)).await.1.expect("it ended");
        assert_eq!((reply.exit_code, reply.output_bytes), (Some(0), 1_000_000_000), "{line}");
        // Not even its file grows without end.
        let file = reply.output_file.expect("most was cut");
        assert!(std::fs::metadata(file).expect("it is there").len() < ARTIFACT_BYTES_MAX + 1024);
    }
    let reply = run(&exec, &SpawnParams { timeout_ms: 500, ..sh("yes; yes") }).await.1.expect("it ended");
    assert!(reply.timed_out && reply.duration_ms < 2_500, "{reply:?}");
    let added = peak_rss_kib() - before;
    assert!(added <= RSS_ADDED_KIB_MAX, "{added} KiB were added to {before} KiB");
}

fn peak_rss_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("a Linux machine");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("it is always there");
    line.trim().trim_end_matches(" kB").parse().expect("a number of KiB")
}

#[tokio::test]
async fn a_program_whose_output_nobody_reads_still_meets_its_timeout() {
    let exec = guarded().await;
    let params = SpawnParams { timeout_ms: 300, ..sh("yes") };
    let mut stream = exec.stream(Spawn, &params);
    super::wait_for(&mut stream, "y").await;
    // Credit runs out; the end of the program does not wait for it, only the rest of its output does.
    tokio::time::sleep(std::time::Duration::from_millis(600)).await;
    let reply = stream.finish().await.1.expect("a timeout is an answer");
    assert!(reply.timed_out && reply.duration_ms < 2_000, "{reply:?}");
}

#[tokio::test]
async fn bytes_of_a_program_that_are_no_text_are_replaced() {
    let (output, reply) = run(&guarded().await, &sh("printf 'a\\377\\342\\202'; printf '\\254z\\360'")).await;
    assert_eq!(reply.expect("it ended").output_bytes, 7);
    assert_eq!(output, "a\u{fffd}€z\u{fffd}");
}
