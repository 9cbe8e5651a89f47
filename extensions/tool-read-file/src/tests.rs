//! What `read_file` tells the model, over files that the test makes up.

use crate::ReadFile;
use crate::args::Args;
use crate::binary::is_binary;
use crate::lines::{LINE_CHARS_MAX, Lines, OUTPUT_BYTES_MAX};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dispatch_sdk::Fault;
use dispatch_sdk::contracts::tool::{Effect, Run, RunParams, RunReply};
use dispatch_testkit::{FakeHost, Opened};
use serde_json::{Value, json};

/// A host whose one file is `content`, in chunks as they are asked for.
async fn with_file(content: impl Into<Vec<u8>>) -> Opened {
    let content = content.into();
    let host = FakeHost::new();
    let bytes = content.len();
    host.on("exec.v1/stat", move |_| {
        Ok(json!({ "kind": "file", "bytes": bytes, "modified_at": 0, "path": "/w/f" }))
    });
    host.on("exec.v1/read", move |params| {
        let number = |key: &str| usize::try_from(params[key].as_u64().expect("a number")).expect("small");
        let from = number("offset").min(content.len());
        let to = (from + number("bytes_max")).min(content.len());
        let data = STANDARD.encode(&content[from..to]);
        Ok(json!({ "data": data, "file_bytes": content.len(), "eof": to == content.len() }))
    });
    open(host).await
}

async fn with_directory(entries: Value, truncated: bool) -> Opened {
    let host = FakeHost::new();
    host.on("exec.v1/stat", |_| {
        Ok(json!({ "kind": "directory", "bytes": 0, "modified_at": 0, "path": "/w/d" }))
    });
    host.on("exec.v1/list", move |_| Ok(json!({ "entries": entries, "truncated": truncated })));
    open(host).await
}

async fn open(host: FakeHost) -> Opened {
    host.open::<ReadFile>("tool-read-file", json!({})).await.expect("it opens")
}

async fn run(tool: &Opened, args: Value) -> Result<RunReply, Fault> {
    let Value::Object(args) = args else { panic!("arguments are an object") };
    let params = RunParams { tool_call_id: "call-1".to_owned(), args, cwd: "/w".to_owned() };
    tool.call_named(Run, "read_file", &params).await
}

async fn said(tool: &Opened, args: Value) -> (String, bool) {
    let reply = run(tool, args).await.expect("the tool answers");
    (reply.content, reply.is_error)
}

fn good(text: &str) -> (String, bool) {
    (text.to_owned(), false)
}

fn bad(text: &str) -> (String, bool) {
    (text.to_owned(), true)
}

#[tokio::test]
async fn what_the_file_system_refuses_is_the_tools_answer_and_other_trouble_is_a_fault() {
    for (code, is_answer) in
        [("not_found", true), ("denied", true), ("invalid", true), ("io", true), ("overloaded", false)]
    {
        let host = FakeHost::new();
        host.on("exec.v1/stat", move |_| Err(Fault::new(code, "cannot look at `f`: because")));
        let reply = run(&open(host).await, json!({ "path": "f" })).await;
        let fault = Fault::new(code, "cannot look at `f`: because");
        if is_answer {
            let content = fault.message;
            assert_eq!(
                reply,
                Ok(RunReply { content, is_error: true, detail: Value::Null, ..RunReply::default() })
            );
        } else {
            assert_eq!(reply, Err(fault));
        }
    }
}

#[tokio::test]
async fn arguments_without_sense_are_refused() {
    let tool = with_file("a").await;
    let wrong = [
        json!({}),
        json!({ "path": "" }),
        json!({ "path": 1 }),
        json!({ "path": "f", "offset": 0 }),
        json!({ "path": "f", "offset": 1.5 }),
        json!({ "path": "f", "limit": 0 }),
        json!({ "path": "f", "limit": -1 }),
        json!({ "path": "f", "limit": "many" }),
    ];
    for args in wrong {
        let fault = run(&tool, args).await.expect_err("it is refused");
        assert_eq!(fault.code, "invalid", "{fault}");
    }
}

#[test]
fn whole_floats_are_numbers_and_the_limit_is_bounded() {
    let Value::Object(args) = json!({ "path": "f", "offset": 3.0, "limit": 1e9 }) else { unreachable!() };
    assert_eq!(Args::parse(args), Ok(Args { path: "f".to_owned(), offset: 3, limit: 5_000 }));
}

#[tokio::test]
async fn a_device_is_not_read() {
    let host = FakeHost::new();
    host.on("exec.v1/stat", |_| {
        Ok(json!({ "kind": "other", "bytes": 0, "modified_at": 0, "path": "/dev/tty" }))
    });
    let said = said(&open(host).await, json!({ "path": "/dev/tty" })).await;
    assert_eq!(said, bad("`/dev/tty` is a device, socket or pipe"));
}

#[tokio::test]
async fn a_binary_file_is_named_with_its_size() {
    for content in [&b"\x7fELF\0\0\0"[..], &[0xff, 0xfd, b'a', b'b', 0xff, 0xff], b"\xff\xfe\0\0a\0\0\0"] {
        let said = said(&with_file(content).await, json!({ "path": "f" })).await;
        assert_eq!(said, bad(&format!("`f` is a binary file of {} bytes", content.len())));
    }
    assert!(!is_binary("Größe".as_bytes()));
    assert!(!is_binary(b"Gr\xf6\xdfe in Latin-1"));
    // The look ends inside a character.
    assert!(!is_binary("€".repeat(4_000).as_bytes()));
}

#[tokio::test]
async fn text_in_utf_16_is_read_and_its_encoding_is_said() {
    let text = "\u{feff}hello wörld\r\nneedle here\r\n";
    for (name, bytes) in [
        ("UTF-16LE", text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>()),
        ("UTF-16BE", text.encode_utf16().flat_map(u16::to_be_bytes).collect()),
    ] {
        let said = said(&with_file(bytes).await, json!({ "path": "f" })).await;
        let shown = format!("1: hello wörld\n2: needle here\n[the file is {name}; it is shown as UTF-8]\n");
        assert_eq!(said, good(&shown));
    }
}

#[tokio::test]
async fn an_empty_file_and_an_empty_directory_say_so() {
    let said_of_file = said(&with_file("").await, json!({ "path": "f" })).await;
    assert_eq!(said_of_file, good("(`f` is empty)"));
    let said_of_directory = said(&with_directory(json!([]), false).await, json!({ "path": "d" })).await;
    assert_eq!(said_of_directory, good("(`d` is an empty directory)"));
}

#[tokio::test]
async fn an_offset_beyond_the_end_is_told_the_number_of_lines() {
    let tool = with_file("a\nb\nc").await;
    let said = said(&tool, json!({ "path": "f", "offset": 4 })).await;
    assert_eq!(said, bad("`f` has 3 lines; there is no line 4"));
}

#[tokio::test]
async fn lines_are_numbered_and_the_rest_is_announced() {
    let tool = with_file("\u{feff}one\r\n\ntwo\r\nthree").await;
    assert_eq!(said(&tool, json!({ "path": "f" })).await, good("1: one\n2: \n3: two\n4: three\n"));
    assert_eq!(
        said(&tool, json!({ "path": "f", "offset": 2, "limit": 2 })).await,
        good("2: \n3: two\n[more lines follow; go on with offset 4]\n")
    );
    let reply = run(&tool, json!({ "path": "f", "offset": 4, "limit": 1 })).await.expect("it answers");
    let detail = json!({ "path": "/w/f", "file_bytes": 19, "first_line": 4, "last_line": 4, "more": false });
    assert_eq!(
        reply,
        RunReply { content: "4: three\n".to_owned(), is_error: false, detail, ..RunReply::default() }
    );
}

#[tokio::test]
async fn a_last_line_with_its_end_is_not_followed_by_an_empty_one() {
    let tool = with_file("a\nb\n").await;
    assert_eq!(said(&tool, json!({ "path": "f", "limit": 2 })).await, good("1: a\n2: b\n"));
    assert_eq!(
        said(&tool, json!({ "path": "f", "offset": 3 })).await,
        bad("`f` has 2 lines; there is no line 3")
    );
}

#[tokio::test]
async fn a_large_file_is_read_only_as_far_as_needed() {
    let content: String = (1..=200_000).map(|number| format!("line {number}\n")).collect();
    let tool = with_file(content).await;
    said(&tool, json!({ "path": "f" })).await;
    assert_eq!(tool.host().calls_of("exec.v1/read").len(), 1);
    // Lines go on over the seams of what is read.
    let said = said(&tool, json!({ "path": "f", "offset": 150_000, "limit": 1 })).await;
    assert_eq!(said, good("150000: line 150000\n[more lines follow; go on with offset 150001]\n"));
}

#[tokio::test]
async fn a_line_is_not_sought_for_ever() {
    let host = FakeHost::new();
    host.on("exec.v1/stat", |_| {
        Ok(json!({ "kind": "file", "bytes": 1u64 << 40, "modified_at": 0, "path": "/w/f" }))
    });
    let data = STANDARD.encode("x".repeat(256 * 1024));
    host.on("exec.v1/read", move |_| Ok(json!({ "data": data, "file_bytes": 1u64 << 40, "eof": false })));
    let tool = open(host).await;
    let said = said(&tool, json!({ "path": "f", "offset": 2 })).await;
    assert_eq!(said, bad("line 2 of `f` does not begin in its first 33554432 bytes"));
    assert_eq!(tool.host().calls_of("exec.v1/read").len(), 128);
}

#[test]
fn a_long_line_is_cut_at_a_character_and_says_how_long_it_was() {
    let mut lines = Lines::new(1, 10);
    for _ in 0..LINE_CHARS_MAX + 1 {
        assert!(lines.push("€".as_bytes()));
    }
    assert!(lines.push(b"\nnext"));
    lines.finish();
    let cut = format!("1: {} [line cut: 6003 bytes in all]\n2: next\n", "€".repeat(LINE_CHARS_MAX));
    assert_eq!(lines.text, cut);
    let mut whole = Lines::new(1, 10);
    whole.push("€".repeat(LINE_CHARS_MAX).as_bytes());
    whole.finish();
    assert_eq!(whole.text, format!("1: {}\n", "€".repeat(LINE_CHARS_MAX)));
}

#[test]
fn an_answer_is_bounded_in_bytes_and_goes_on_where_it_ended() {
    let content = format!("{}\n", "x".repeat(1_999)).repeat(200);
    let mut lines = Lines::new(1, 5_000);
    assert!(!lines.push(content.as_bytes()));
    assert!(lines.more && lines.text.len() <= OUTPUT_BYTES_MAX);
    let last = lines.last();
    assert!(lines.text.ends_with(&format!("\n{last}: {}\n", "x".repeat(1_999))));
    let mut rest = Lines::new(last + 1, 5_000);
    assert!(rest.push(content.as_bytes()));
    assert_eq!((rest.last(), rest.more), (200, false));
}

#[tokio::test]
async fn a_directory_is_a_listing_with_slashes() {
    let entries = json!([
        { "name": "a\nb", "kind": "file" },
        { "name": "lib", "kind": "directory" },
        { "name": "pipe", "kind": "other" },
    ]);
    let tool = with_directory(entries.clone(), false).await;
    assert_eq!(said(&tool, json!({ "path": "d" })).await, good("a\u{fffd}b\nlib/\npipe\n"));
    assert_eq!(
        said(&tool, json!({ "path": "d", "offset": 2, "limit": 1 })).await,
        good("lib/\n[more entries follow; go on with offset 3]\n")
    );
    assert_eq!(
        said(&tool, json!({ "path": "d", "offset": 4 })).await,
        bad("`d` has 3 entries; there is no entry 4")
    );
    let more = "[there are more than these 3 entries; list a part with the shell]\n";
    let said = said(&with_directory(entries, true).await, json!({ "path": "d", "offset": 3 })).await;
    assert_eq!(said, good(&format!("pipe\n{more}")));
}

#[tokio::test]
async fn it_contributes_one_reading_tool_and_has_nothing_to_configure() {
    let tool = with_file("").await;
    let tools = &tool.started().contributes.tools;
    assert_eq!((tools.len(), tools[0].name.as_str(), tools[0].effect), (1, "read_file", Effect::Read));
    let refused = FakeHost::new().open::<ReadFile>("tool-read-file", json!({ "root": "/" })).await;
    assert!(refused.err().expect("it is refused").message.contains("unknown field `root`"));
}

dispatch_testkit::settings_test!(dispatch_sdk::NoSettings);
