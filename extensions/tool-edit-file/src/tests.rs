//! What `edit_file` makes of a file, and what it tells the model, over a file that the test plays.

use crate::EditFile;
use crate::diff::{DIFF_BYTES_MAX, diff};
use crate::edit::{Edited, edit};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dispatch_sdk::Fault;
use dispatch_sdk::contracts::exec::WRITE_BYTES_MAX;
use dispatch_sdk::contracts::tool::{Effect, Run, RunParams, RunReply};
use dispatch_testkit::{FakeHost, Opened};
use serde_json::{Value, json};

/// A host whose one file is `content`, read at most 4 bytes at once, and whose write answers `reply`.
async fn with_file(content: impl Into<Vec<u8>>, reply: Result<Value, Fault>) -> Opened {
    with_pieces(content, 4, reply).await
}

async fn with_pieces(content: impl Into<Vec<u8>>, bytes: usize, reply: Result<Value, Fault>) -> Opened {
    let content = content.into();
    let host = FakeHost::new();
    host.on("exec.v1/read", move |params| {
        let from = usize::try_from(params["offset"].as_u64().expect("a number")).expect("small");
        let to = (from + bytes).min(content.len());
        let data = STANDARD.encode(&content[from..to]);
        Ok(json!({ "data": data, "file_bytes": content.len(), "eof": to == content.len() }))
    });
    host.on("exec.v1/write", move |_| reply.clone());
    host.open::<EditFile>("tool-edit-file", json!({})).await.expect("it opens")
}

fn written() -> Result<Value, Fault> {
    Ok(json!({ "path": "/w/f", "bytes": 9, "sha256": "ab", "created": false }))
}

async fn run(tool: &Opened, args: Value) -> Result<RunReply, Fault> {
    let Value::Object(args) = args else { panic!("arguments are an object") };
    let params = RunParams { tool_call_id: "call-1".to_owned(), args, cwd: "/w".to_owned() };
    tool.call_named(Run, "edit_file", &params).await
}

fn args(old: &str, new: &str) -> Value {
    json!({ "path": "f", "old_string": old, "new_string": new })
}

fn failure(content: &str) -> Result<RunReply, Fault> {
    Ok(RunReply { content: content.to_owned(), is_error: true, detail: Value::Null, ..RunReply::default() })
}

fn once(text: &str, old: &str, new: &str) -> Result<Edited, String> {
    edit(text, old, new, false, WRITE_BYTES_MAX)
}

fn edited(text: &str, n_replacements: usize) -> Result<Edited, String> {
    Ok(Edited { text: text.to_owned(), n_replacements })
}

#[tokio::test]
async fn an_empty_or_unchanging_replacement_is_refused_and_nothing_is_read() {
    let tool = with_file("abc", written()).await;
    let wrong = [
        json!({}),
        json!({ "path": "", "old_string": "a", "new_string": "b" }),
        json!({ "path": "f", "old_string": "a", "new_string": "b", "replace_all": "yes" }),
        args("", "x"),
        args("same", "same"),
    ];
    for args in wrong {
        assert_eq!(run(&tool, args).await.expect_err("it is refused").code, "invalid");
    }
    assert_eq!(tool.host().calls_of("exec.v1/read"), Vec::<Value>::new());
}

#[tokio::test]
async fn what_cannot_be_edited_is_said_and_nothing_is_written() {
    let large = with_pieces(vec![b'x'; WRITE_BYTES_MAX + 1], 2 * 1024 * 1024, written()).await;
    let said = "cannot edit `f`: it has more than 8388608 bytes";
    assert_eq!(run(&large, args("x", "y")).await, failure(said));
    let binary = with_file(b"a\xff".to_vec(), written()).await;
    assert_eq!(run(&binary, args("a", "b")).await, failure("cannot edit `f`: it is no UTF-8 text"));
    let utf16 = with_file(b"\xff\xfea\0\xe9\xd8".to_vec(), written()).await;
    let said = "cannot edit `f`: it is text in UTF-16LE, and only UTF-8 is edited; convert it first \
                (`iconv -f UTF-16 -t UTF-8`)";
    assert_eq!(run(&utf16, args("a", "b")).await, failure(said));
    let text = with_file("abc", written()).await;
    let said = "cannot edit `f`: `old_string` is not in it; read it again";
    assert_eq!(run(&text, args("x", "y")).await, failure(said));
    for tool in [large, binary, utf16, text] {
        assert_eq!(tool.host().calls_of("exec.v1/write"), Vec::<Value>::new());
    }
}

#[tokio::test]
async fn a_change_by_somebody_else_is_told() {
    let fault = Fault::new("conflict", "cannot write `/w/f`: it holds something else");
    let said =
        "cannot write `/w/f`: it holds something else; it changed while it was edited, and was left so";
    assert_eq!(run(&with_file("abc", Err(fault)).await, args("a", "b")).await, failure(said));
}

#[tokio::test]
async fn what_the_file_system_refuses_is_the_tools_answer_and_other_trouble_is_a_fault() {
    let refused = Fault::new("denied", "cannot write `/w/f`: because");
    let reply = run(&with_file("abc", Err(refused)).await, args("a", "b")).await;
    assert_eq!(reply, failure("cannot write `/w/f`: because"));
    let trouble = Fault::new("overloaded", "later");
    assert_eq!(run(&with_file("abc", Err(trouble.clone())).await, args("a", "b")).await, Err(trouble));
}

#[tokio::test]
async fn an_edit_is_written_over_what_was_read_and_shown() {
    let tool = with_file("one\ntwo\n", written()).await;
    let reply = run(&tool, args("two", "2")).await;
    let diff = "--- f\n+++ f\n@@ -1,2 +1,2 @@\n one\n-two\n+2\n";
    let detail = json!({ "path": "/w/f", "bytes": 9, "replacements": 1, "diff": diff });
    let content = format!("1 replacement in `f`\n{diff}");
    assert_eq!(reply, Ok(RunReply { content, is_error: false, detail, ..RunReply::default() }));
    let asked = json!({
        "path": "f", "cwd": "/w", "data": STANDARD.encode("one\n2\n"), "if_exists": "replace", "make_dirs": false,
        "expect_sha256": "c3f9c8c283a2b1f2f1896f27a01cbe3cddc0c9d93f752e4639035a0f5b36f6e8",
    });
    assert_eq!(tool.host().calls_of("exec.v1/write"), [asked]);
}

#[test]
fn a_text_that_is_there_more_than_once_is_counted_with_its_lines() {
    let said = "`old_string` is in it 3 times (lines 1, 1, 3); add lines around it, or set `replace_all`";
    assert_eq!(once("a a\n\na", "a", "b"), Err(said.to_owned()));
    let many = once(&"a\n".repeat(11), "a", "b").expect_err("it is not unique");
    assert!(many.contains("11 times (lines 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, …)"), "{many}");
    assert_eq!(edit("a a\n\na", "a", "b", true, 100), edited("b b\n\nb", 3));
    // Matches do not overlap, and what was put in is not searched again.
    assert_eq!(edit("aaaa", "aa", "aaa", true, 100), edited("aaaaaa", 2));
}

#[test]
fn a_text_that_differs_in_whitespace_only_is_found_for_the_model() {
    let hint = |line| {
        let said = "differs in whitespace only: read it and copy it exactly";
        Err(format!("`old_string` is not in it; line {line} {said}"))
    };
    assert_eq!(once("x\n\tlet a  = 1;\n", "    let a = 1;", ""), hint(2));
    assert_eq!(once("x\nfn f() {\n\tone();\n\ttwo();\n}\n", "f() {\n  one();\n  two", ""), hint(2));
    let none = Err("`old_string` is not in it; read it again".to_owned());
    assert_eq!(once("x\n", " \t ", "y"), none);
    assert_eq!(once("a\nb\n", "a\nc", "y"), none);
    assert_eq!(once("a", "a\nb\nc", "y"), none);
    assert_eq!(once("", "a", "y"), none);
}

#[test]
fn line_endings_of_a_file_are_kept() {
    assert_eq!(once("a\r\nb\r\nc\r\n", "a\nb", "x\ny\nz"), edited("x\r\ny\r\nz\r\nc\r\n", 1));
    assert_eq!(once("a\r\nb\r\n", "a\r\n", "x\r\n"), edited("x\r\nb\r\n", 1));
    // Where both kinds are, nothing is guessed.
    assert_eq!(once("a\r\nb\nc", "b\nc", "d\ne"), edited("a\r\nd\ne", 1));
    assert!(once("a\r\nb\r\n", "a\n", "a\r\n").expect_err("nothing changes").contains("line endings only"));
}

#[test]
fn where_both_line_endings_are_each_line_keeps_its_own() {
    let text = "alpha\nbeta\r\ngamma\r\ndelta\n";
    assert_eq!(once(text, "beta\ngamma", "B\nG"), edited("alpha\nB\r\nG\r\ndelta\n", 1));
    assert_eq!(once(text, "alpha\nbeta\n", "A\nB\nC\n"), edited("A\nB\r\nC\r\ngamma\r\ndelta\n", 1));
    assert_eq!(once(text, "\ngamma\ndelta", "\nD"), edited("alpha\nbeta\r\nD\n", 1));
    assert_eq!(once(text, "gamma", "g\nh"), edited("alpha\nbeta\r\ng\r\nh\r\ndelta\n", 1));
    assert_eq!(once(text, "delta", "d\ne"), edited("alpha\nbeta\r\ngamma\r\nd\ne\n", 1));
    // What is there exactly comes before what is there but for its ends, and CR is taken at the word.
    assert_eq!(once("a\nb\r\na\r\nb", "a\nb", "x"), edited("x\r\na\r\nb", 1));
    assert_eq!(once(text, "beta\r\n", "beta\n"), edited("alpha\nbeta\ngamma\r\ndelta\n", 1));
    let twice = once("a\r\nb\na\r\nb\n", "a\nb", "x").expect_err("it is there twice");
    assert!(twice.contains("2 times (lines 1, 3)"), "{twice}");
    // The count of bytes knows the ends.
    let text = "a\r\nb\n";
    assert_eq!(edit(text, "a", "x\ny", false, 8), edited("x\r\ny\r\nb\n", 1));
    assert!(edit(text, "a", "x\ny", false, 7).expect_err("too long").contains("8 bytes then; at most 7"));
}

#[test]
fn a_text_that_differs_in_characters_that_look_alike_is_found_for_the_model() {
    let text = "one\nHe said “hello – there” and\nit’s\u{a0}fine\ncafe\u{301} closed\n";
    for (old, line, told) in [
        ("He said \"hello - there\" and", 2, "`“` U+201C, `–` U+2013, `”` U+201D is in the file"),
        ("it's fine", 3, "`’` U+2019, `\u{a0}` U+00A0 is in the file"),
        ("café closed", 4, "`\u{301}` U+0301 is in the file"),
        (
            "there\" and\nit's fine\ncafé",
            2,
            "`“` U+201C, `–` U+2013, `”` U+201D, `’` U+2019, `\u{a0}` U+00A0",
        ),
    ] {
        let said = once(text, old, "x").expect_err("it is not there");
        let begin =
            format!("`old_string` is not in it; line {line} differs in quotes, dashes, spaces or accents");
        assert!(said.starts_with(&begin) && said.contains(told), "{said}");
    }
    assert_eq!(once(text, "He \"says\"", "x"), Err("`old_string` is not in it; read it again".to_owned()));
}

#[test]
fn a_result_that_cannot_be_written_is_never_made() {
    let said = "it would have 8388608000000 bytes then; at most 8388608 can be written";
    let new = "x".repeat(8 * 1024 * 1024);
    assert_eq!(edit(&"a".repeat(1_000_000), "a", &new, true, WRITE_BYTES_MAX), Err(said.to_owned()));
}

#[test]
fn a_diff_is_bounded_and_never_cut_inside_a_character() {
    let shown = diff("f", "", &"€\n".repeat(DIFF_BYTES_MAX));
    assert!(shown.ends_with("\n[… the rest of the diff is left out …]\n"));
    assert!(shown.len() <= DIFF_BYTES_MAX + 60, "{} bytes", shown.len());
}

#[tokio::test]
async fn it_contributes_one_tool_that_runs_alone_and_has_nothing_to_configure() {
    let tool = with_file("", written()).await;
    let tools = &tool.started().contributes.tools;
    assert_eq!((tools.len(), tools[0].name.as_str()), (1, "edit_file"));
    assert_eq!((tools[0].effect, tools[0].exclusive), (Effect::Write, true));
    let refused = FakeHost::new().open::<EditFile>("tool-edit-file", json!({ "root": "/" })).await;
    assert!(refused.err().expect("it is refused").message.contains("unknown field `root`"));
}

dispatch_testkit::settings_test!(dispatch_sdk::NoSettings);
