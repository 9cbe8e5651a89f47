//! The history in pages, and how long it is.

use super::disk::Disk;
use super::rig::{CONV, Rig, body, message};
use dispatch_sdk::contracts::conversations as contract;
use dispatch_sdk::fault;
use dispatch_testkit::FakeHost;
use proptest::prelude::*;
use serde_json::json;
use serde_json::value::RawValue;

const TURN: &str = "t";

async fn page(
    rig: &Rig,
    after: Option<u64>,
    limit: usize,
    bytes_max: usize,
) -> Result<contract::MessagesReply, dispatch_sdk::Fault> {
    let params = contract::MessagesParams { conversation_id: CONV.to_owned(), after, limit, bytes_max };
    rig.store.call(contract::Messages, &params).await
}

/// All pages, one after another.
async fn in_pages(rig: &Rig, limit: usize, bytes_max: usize) -> Vec<contract::MessagesReply> {
    let mut pages: Vec<contract::MessagesReply> = Vec::new();
    loop {
        let after = pages.last().map(|page| page.next.expect("there is a next one"));
        pages.push(page(rig, after, limit, bytes_max).await.unwrap());
        if pages.last().is_some_and(|page| page.next.is_none()) {
            return pages;
        }
    }
}

fn texts(pages: &[contract::MessagesReply]) -> Vec<String> {
    pages.iter().flat_map(|page| &page.messages).map(|message| message.get().to_owned()).collect()
}

fn raw(value: serde_json::Value) -> Box<RawValue> {
    serde_json::value::to_raw_value(&value).unwrap()
}

fn call(ids: &[&str]) -> Box<RawValue> {
    let part = |id: &&str| json!({ "type": "tool_call", "tool_call_id": id, "name": "shell", "args": {} });
    raw(json!({ "role": "assistant", "parts": ids.iter().map(part).collect::<Vec<_>>() }))
}

fn result(id: &str) -> Box<RawValue> {
    let part = json!({ "type": "tool_result", "tool_call_id": id, "name": "shell", "content": "done", "status": "ok" });
    raw(json!({ "role": "tool", "parts": [part] }))
}

fn kinds() -> [Box<RawValue>; 8] {
    [
        message("user", "hi"),
        message("assistant", "hello"),
        message("assistant", " "),
        message("later", "what no reader knows"),
        call(&["a"]),
        call(&["a", "b"]),
        result("a"),
        result("b"),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    /// Where a page ends says nothing about what is mended: a call and its results may lie on both sides.
    #[test]
    fn the_pages_of_a_history_are_the_history(
        choices in prop::collection::vec(0..8usize, 0..30),
        limit in 0..5usize,
        bytes_max in 1..400usize,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let rig = Rig::new().await;
            rig.begin(TURN).await.unwrap();
            let messages: Vec<_> = choices.iter().map(|idx| kinds()[*idx].clone()).collect();
            rig.append_with(TURN, Vec::new(), messages).await.unwrap();
            let whole = rig.history().await;
            let pages = in_pages(&rig, limit, bytes_max).await;
            assert_eq!(texts(&pages), whole);
            assert!(limit == 0 || pages.len() >= (choices.len() + 1).div_ceil(limit));
        });
    }
}

#[tokio::test]
async fn a_page_has_no_more_bytes_than_asked_and_one_message_at_least() {
    let rig = Rig::over_memory().await;
    rig.begin(TURN).await.unwrap();
    let large = |n: usize| message("user", &"x".repeat(n));
    let said = vec![large(900), large(40), large(40), large(3000), large(10)];
    rig.append_with(TURN, Vec::new(), said).await.unwrap();
    let pages = in_pages(&rig, 0, 1000).await;
    let sizes: Vec<usize> = pages.iter().map(|page| page.messages.len()).collect();
    assert_eq!(sizes, [1, 1, 2, 1, 1], "the input, and each large one alone");
    assert_eq!(texts(&pages), rig.history().await);
    let refused = page(&rig, None, 0, contract::MESSAGES_BYTES_MAX + 1).await.unwrap_err();
    assert!(refused.is(fault::INVALID), "{refused}");
}

/// A reply of more than its bound was once made and thrown away.
#[tokio::test]
async fn a_history_that_no_answer_holds_is_refused_whole_and_read_in_pages() {
    let rig = Rig::over_memory().await;
    rig.begin(TURN).await.unwrap();
    let large = "x".repeat(3_700_000);
    for _ in 0..4 {
        rig.append_with(TURN, Vec::new(), vec![message("user", &large)]).await.unwrap();
    }
    let params = contract::MessagesParams { conversation_id: CONV.to_owned(), ..Default::default() };
    let refused = rig.store.call(contract::Messages, &params).await.unwrap_err();
    assert!(refused.is(fault::TOO_LARGE) && refused.message.contains("in pages"), "{refused}");
    let pages = in_pages(&rig, 0, 4 * 1024 * 1024).await;
    assert_eq!(texts(&pages).len(), 5);
    assert!(
        pages
            .iter()
            .all(|page| page.messages.iter().map(|m| m.get().len()).sum::<usize>() <= 4 * 1024 * 1024)
    );
}

#[tokio::test]
async fn what_cannot_be_read_is_counted_in_the_page_where_it_lies() {
    let rig = Rig::new().await;
    rig.begin(TURN).await.unwrap();
    rig.append_with(TURN, Vec::new(), vec![message("user", "a"), message("user", "b")]).await.unwrap();
    let key = rig.disk.keys("msg/")[1].clone();
    rig.disk.put(&key, "7");
    let skipped: Vec<u64> = in_pages(&rig, 1, 0).await.iter().map(|page| page.skipped).collect();
    assert_eq!(skipped, [0, 1, 0]);
}

async fn begin(
    rig: &Rig,
    turn_id: &str,
    bytes_max: u64,
) -> Result<contract::BeginReply, dispatch_sdk::Fault> {
    let params = contract::BeginParams {
        conversation_id: CONV.to_owned(),
        create: true,
        turn_id: turn_id.to_owned(),
        host_id: "host-1".to_owned(),
        events: vec![body("input", json!({ "parts": [] }))],
        messages: vec![message("user", turn_id)],
        history_bytes_max: bytes_max,
        ..Default::default()
    };
    rig.store.call(contract::Begin, &params).await
}

/// Every start was once acked and failed then.
#[tokio::test]
async fn a_turn_whose_history_would_be_too_long_is_refused_and_opens_nothing() {
    let rig = Rig::new().await;
    begin(&rig, TURN, 1000).await.unwrap();
    rig.append_with(TURN, Vec::new(), vec![message("assistant", &"x".repeat(500))]).await.unwrap();
    rig.end(TURN).await;
    let (input, kept) = (message("user", "t2").get().len() as u64, rig.history().await.concat().len() as u64);
    let before = rig.log().await;
    let refused = begin(&rig, "t2", kept + input - 1).await.unwrap_err();
    assert!(refused.is(fault::TOO_LARGE), "{refused}");
    let detail = json!({ "history_bytes": kept, "input_bytes": input, "bytes_max": kept + input - 1 });
    assert_eq!(refused.detail, detail);
    assert!(refused.message.contains("begin a new conversation"), "{refused}");
    assert_eq!((rig.log().await, rig.get().await.open_turn), (before, None));
    begin(&rig, "t2", kept + input).await.expect("it just fits");
}

#[tokio::test]
async fn what_a_seal_writes_counts_as_well() {
    let rig = Rig::new().await;
    begin(&rig, TURN, 1000).await.unwrap();
    let asked = vec![body(
        "tool_call",
        json!({ "step_id": "t#1", "tool_call_id": "a", "name": "shell", "args": {} }),
    )];
    rig.append_with(TURN, asked, vec![call(&["a"])]).await.unwrap();
    assert!(Rig::over(&rig.disk, FakeHost::new()).await.seal(TURN).await);
    let kept = rig.history().await.concat().len() as u64;
    assert_eq!(begin(&rig, "t2", 1).await.unwrap_err().detail["history_bytes"], json!(kept));
}

#[tokio::test]
async fn a_head_of_before_bytes_were_counted_is_counted_once() {
    let disk = Disk::new();
    let rig = Rig::over(&disk, FakeHost::new()).await;
    rig.begin(TURN).await.unwrap();
    rig.append_with(TURN, Vec::new(), vec![message("assistant", &"x".repeat(500))]).await.unwrap();
    rig.end(TURN).await;
    let kept = rig.history().await.concat().len() as u64;
    let head = disk.value("head/c-1").unwrap();
    let counted = format!(",\"message_bytes\":{kept}");
    assert!(head.contains(&counted), "{head}");
    disk.put("head/c-1", &head.replace(&counted, ""));
    let later = Rig::over(&disk, FakeHost::new()).await;
    assert_eq!(begin(&later, "t2", 10).await.unwrap_err().detail["history_bytes"], json!(kept));
    begin(&later, "t2", 10_000).await.unwrap();
    later.end("t2").await;
    let scans = disk.n_scans();
    begin(&later, "t3", 10_000).await.unwrap();
    assert_eq!(disk.n_scans(), scans, "it stands in the head now");
}
