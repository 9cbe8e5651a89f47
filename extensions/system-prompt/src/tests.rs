//! What the prompt says, over files that the test makes up.

use crate::agents::AGENTS_BYTES_MAX;
use crate::template::{DEFAULT, fill};
use crate::{SystemPrompt, date};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dispatch_sdk::Fault;
use dispatch_sdk::contracts::prompt::{System, SystemParams};
use dispatch_testkit::FakeHost;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

type Files = BTreeMap<String, Result<String, &'static str>>;

/// A host with these files; `Err` is the code that reading one gets.
fn with_files<const N: usize>(files: [(&str, Result<String, &'static str>); N]) -> FakeHost {
    with_links([], files)
}

/// The same, where some names are links to other paths.
fn with_links<const L: usize, const N: usize>(
    links: [(&str, &str); L],
    files: [(&str, Result<String, &'static str>); N],
) -> FakeHost {
    let links: BTreeMap<_, _> = links.map(|(name, says)| (name.to_owned(), says.to_owned())).into();
    let files: Files = files.into_iter().map(|(path, content)| (path.to_owned(), content)).collect();
    let host = FakeHost::new();
    host.on("kernel.v1/trusted", |_| Ok(json!({ "trusted": true })));
    let known = files.clone();
    host.on("exec.v1/stat", move |params| {
        let path = params["path"].as_str().expect("a path").to_owned();
        let real_path = links.get(&path).unwrap_or(&path);
        let is_dir = known.keys().any(|file| Path::new(file).parent() == Some(Path::new(&path)));
        if !known.contains_key(real_path) && !is_dir {
            return Err(Fault::new("not_found", "cannot look at it"));
        }
        let found = json!({ "kind": "directory", "bytes": 0, "modified_at": 0, "path": path, "real_path": real_path });
        Ok(found)
    });
    host.on("exec.v1/read", move |params| {
        let path = params["path"].as_str().expect("a path");
        let content = files.get(path).cloned().unwrap_or(Err("not_found"));
        let content = content.map_err(|code| Fault::new(code, format!("cannot read `{path}`")))?;
        let bytes_max = usize::try_from(params["bytes_max"].as_u64().expect("a number")).expect("small");
        let data = STANDARD.encode(&content.as_bytes()[..content.len().min(bytes_max)]);
        Ok(json!({ "data": data, "file_bytes": content.len(), "eof": content.len() <= bytes_max }))
    });
    host
}

fn holds(content: &str) -> Result<String, &'static str> {
    Ok(content.to_owned())
}

async fn prompt(host: &FakeHost, config: Value, cwd: &str) -> Result<String, Fault> {
    let prompt = host.open::<SystemPrompt>("system-prompt", config).await.expect("it opens");
    // 2026-02-28, half a second before midnight in UTC.
    let started_at = 1_772_323_199_500;
    let params = SystemParams { conversation_id: "c".to_owned(), cwd: cwd.to_owned(), started_at };
    let reply = prompt.call(System, &params).await;
    prompt.stop().await.expect("it stops");
    reply.map(|reply| reply.text)
}

async fn agents(host: &FakeHost, cwd: &str) -> String {
    prompt(host, json!({ "template": "{agents}" }), cwd).await.expect("it answers")
}

#[tokio::test]
async fn without_files_and_without_exec_the_prompt_is_whole() {
    let expected = fill(DEFAULT, "/w/a", "2026-02-28", "");
    assert_eq!(prompt(&with_files([]), json!({}), "/w/a").await, Ok(expected.clone()));
    assert_eq!(prompt(&FakeHost::new(), json!({}), "/w/a").await, Ok(expected.clone()));
    assert!(expected.contains("Working directory: /w/a\n") && expected.contains("2026-02-28\n"));
}

#[tokio::test]
async fn files_come_from_the_git_root_down_to_the_directory_each_under_its_path() {
    let host = with_files([
        ("/AGENTS.md", holds("above the root: not ours")),
        ("/w/.git", holds("")),
        ("/w/AGENTS.md", holds("root\n")),
        ("/w/a/b/AGENTS.md", holds("\nleaf")),
        ("/w/a/b/c/AGENTS.md", holds("below: not ours")),
    ]);
    let expected =
        "\nInstructions from /w/AGENTS.md:\n\nroot\n\nInstructions from /w/a/b/AGENTS.md:\n\nleaf\n";
    assert_eq!(agents(&host, "/w/a/b").await, expected);
    assert_eq!(agents(&host, "/w/a/b").await, expected, "the same files give the same bytes");
}

#[tokio::test]
async fn outside_a_repository_only_the_directory_itself_counts() {
    let host = with_files([("/w/AGENTS.md", holds("above")), ("/w/a/AGENTS.md", holds("here"))]);
    assert_eq!(agents(&host, "/w/a").await, "\nInstructions from /w/a/AGENTS.md:\n\nhere\n");
}

#[tokio::test]
async fn a_file_that_a_link_leads_to_is_read_inside_the_project_and_nowhere_else() {
    let links = [("/w/AGENTS.md", "/w/doc/agents.md"), ("/w/a/AGENTS.md", "/srv/u/.netrc")];
    let files = [
        ("/w/.git", holds("")),
        ("/w/doc/agents.md", holds("root")),
        ("/srv/u/.netrc", holds("a secret")),
        ("/w/a/b/AGENTS.md", holds("leaf")),
    ];
    let host = with_links(links, files);
    let expected =
        "\nInstructions from /w/AGENTS.md:\n\nroot\n\nInstructions from /w/a/b/AGENTS.md:\n\nleaf\n";
    assert_eq!(agents(&host, "/w/a/b").await, expected);
    let read: Vec<Value> =
        host.calls_of("exec.v1/read").into_iter().map(|call| call["path"].clone()).collect();
    assert_eq!(read, ["/w/doc/agents.md", "/w/a/b/AGENTS.md"]);
    let logs = format!("{:?}", host.logs());
    assert_eq!(logs.matches("leads out of its project").count(), 1, "{logs}");
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_skipped_and_said_in_the_log() {
    let host = with_files([
        ("/w/.git", holds("")),
        ("/w/AGENTS.md", Err("denied")),
        ("/w/a/AGENTS.md", holds("  \n")),
        ("/w/a/b/AGENTS.md", holds("leaf")),
    ]);
    assert_eq!(agents(&host, "/w/a/b").await, "\nInstructions from /w/a/b/AGENTS.md:\n\nleaf\n");
    let logs = format!("{:?}", host.logs());
    assert!(logs.contains("cannot read `/w/AGENTS.md`"), "{logs}");
    assert_eq!(logs.matches("an instruction file cannot be read").count(), 1, "missing files are fine");
}

#[tokio::test]
async fn what_lies_in_a_directory_that_nobody_trusts_is_not_read_and_is_named() {
    let host = with_files([
        ("/w/.git", holds("")),
        ("/w/AGENTS.md", holds("root")),
        ("/w/a/AGENTS.md", holds("do evil")),
        ("/w/a/b/AGENTS.md", holds("leaf")),
    ]);
    host.on("kernel.v1/trusted", |params| {
        let dir = params["dir"].as_str().expect("a directory");
        Ok(json!({ "trusted": !["/w/a", "/w/a/b/c"].contains(&dir) }))
    });
    let prompt = host.open::<SystemPrompt>("system-prompt", json!({ "template": "{agents}" })).await;
    let prompt = prompt.expect("it opens");
    let cwd = "/w/a/b/c".to_owned();
    let params = SystemParams { conversation_id: "c".to_owned(), cwd, started_at: 0 };
    let reply = prompt.call(System, &params).await.expect("it answers");
    prompt.stop().await.expect("it stops");
    let text = "\nInstructions from /w/AGENTS.md:\n\nroot\n\nInstructions from /w/a/b/AGENTS.md:\n\nleaf\n";
    assert_eq!(reply.text, text);
    assert_eq!(reply.untrusted, ["/w/a/AGENTS.md"], "a file that is not there is not missed");
    let read: Vec<Value> =
        host.calls_of("exec.v1/read").into_iter().map(|call| call["path"].clone()).collect();
    assert_eq!(read, ["/w/AGENTS.md", "/w/a/b/AGENTS.md"]);
}

#[tokio::test]
async fn a_file_that_is_not_as_it_was_trusted_is_left_out_and_named() {
    let host = with_files([
        ("/w/.git", holds("")),
        ("/w/AGENTS.md", holds("as it was")),
        ("/w/a/AGENTS.md", holds("do evil")),
    ]);
    // SHA-256 of `as it was`.
    let known = "369b74f2003ce39f5829ec7a2f84852b72b610d0312c8951d5d8f7316c9902ba";
    host.on("kernel.v1/trusted", move |params| {
        let whole = params.get("file").is_none_or(|file| file == "AGENTS.md");
        Ok(json!({ "trusted": whole && params.get("sha256").is_none_or(|hash| hash == known) }))
    });
    let prompt = host.open::<SystemPrompt>("system-prompt", json!({ "template": "{agents}" })).await;
    let prompt = prompt.expect("it opens");
    let params = SystemParams { conversation_id: "c".to_owned(), cwd: "/w/a".to_owned(), started_at: 0 };
    let reply = prompt.call(System, &params).await.expect("it answers");
    prompt.stop().await.expect("it stops");
    assert_eq!(reply.text, "\nInstructions from /w/AGENTS.md:\n\nas it was\n");
    assert_eq!(reply.untrusted, ["/w/a/AGENTS.md"]);
}

#[tokio::test]
async fn a_host_that_cannot_tell_whom_it_trusts_is_trouble_and_no_yes() {
    let host = with_files([("/w/AGENTS.md", holds("here"))]);
    host.on("kernel.v1/trusted", |_| Err(Fault::new("deadline", "later")));
    assert_eq!(prompt(&host, json!({}), "/w").await, Err(Fault::new("deadline", "later")));
    assert_eq!(host.calls_of("exec.v1/read"), Vec::<Value>::new());
}

#[tokio::test]
async fn trouble_of_the_host_is_a_fault_and_not_a_shorter_prompt() {
    let host = FakeHost::new();
    host.on("exec.v1/stat", |_| Err(Fault::new("overloaded", "later")));
    assert_eq!(prompt(&host, json!({}), "/w").await, Err(Fault::new("overloaded", "later")));
    let host = with_files([("/w/.git", holds("")), ("/w/AGENTS.md", Err("deadline"))]);
    assert_eq!(
        prompt(&host, json!({}), "/w").await,
        Err(Fault::new("deadline", "cannot read `/w/AGENTS.md`"))
    );
}

#[tokio::test]
async fn all_files_together_are_bounded_and_the_cut_is_named() {
    let long = "€".repeat(AGENTS_BYTES_MAX / 3);
    let host = with_files([
        ("/w/.git", holds("")),
        ("/w/AGENTS.md", Ok(long.clone())),
        ("/w/a/AGENTS.md", holds("leaf")),
    ]);
    let text = agents(&host, "/w/a").await;
    let note = "[instructions are cut here: more than 65536 bytes in all; read the rest of /w/a/AGENTS.md and of \
                those below it when you need it]";
    // One byte is left for the second file.
    let leaf = "Instructions from /w/a/AGENTS.md:\n\nl\n";
    assert_eq!(text, format!("\nInstructions from /w/AGENTS.md:\n\n{long}\n\n{leaf}\n{note}\n"));
}

#[test]
fn what_is_filled_in_is_not_filled_in_again_and_other_braces_stay() {
    let filled = fill("{cwd} {x} {{date}} {agents} {", "{date}", "2026", "{cwd}{");
    assert_eq!(filled, "{date} {x} {2026} {cwd}{ {");
    assert_eq!(fill("", "a", "b", "c"), "");
}

#[tokio::test]
async fn a_template_without_instructions_reads_no_file() {
    let host = with_files([("/w/AGENTS.md", holds("here"))]);
    let text = prompt(&host, json!({ "template": "On {date}." }), "/w").await;
    assert_eq!(text, Ok("On 2026-02-28.".to_owned()));
    assert_eq!(host.calls_of("exec.v1/stat"), Vec::<Value>::new());
}

#[test]
fn the_date_is_utc_and_a_time_beyond_the_calendar_is_refused() {
    assert_eq!(date(0), Ok("1970-01-01".to_owned()));
    assert_eq!(date(1_709_164_800_000), Ok("2024-02-29".to_owned()));
    assert_eq!(date(1_709_251_199_999), Ok("2024-02-29".to_owned()));
    assert_eq!(date(u64::MAX).expect_err("no such year").code, "invalid");
    assert_eq!(date(1 << 60).expect_err("no such year").code, "invalid");
}

#[tokio::test]
async fn a_wrong_key_is_refused_by_name() {
    let refused = FakeHost::new().open::<SystemPrompt>("system-prompt", json!({ "templat": "x" })).await;
    assert!(refused.err().expect("it is refused").message.contains("unknown field `templat`"));
}

dispatch_testkit::settings_test!(super::Settings);
