//! Pages of the log and of the list, and rows that cannot be read.

use super::rig::{CONV, Rig, body, called, message};
use crate::read::EVENTS_BYTES_MAX;
use dispatch_sdk::contracts::conversations as contract;
use dispatch_sdk::fault;

async fn listed(rig: &Rig, limit: usize, before: Option<u64>) -> (Vec<(String, u64)>, bool) {
    let reply = rig
        .store
        .call(contract::List, &contract::ListParams { limit, before, ..Default::default() })
        .await
        .unwrap();
    (reply.conversations.into_iter().map(|found| (found.id, found.active_at)).collect(), reply.has_older)
}

async fn begin_in(rig: &Rig, id: &str) {
    let params = contract::BeginParams {
        conversation_id: id.to_owned(),
        create: true,
        turn_id: "t".to_owned(),
        host_id: "h".to_owned(),
        cwd: String::new(),
        provider: String::new(),
        model: String::new(),
        title: id.to_owned(),
        events: Vec::new(),
        messages: Vec::new(),
    };
    rig.store.call(contract::Begin, &params).await.unwrap();
}

#[tokio::test]
async fn a_window_of_the_log_says_what_lies_on_both_sides() {
    let rig = Rig::new().await;
    rig.begin("t").await.unwrap();
    rig.append("t", (0..8).map(|n| called(&n.to_string())).collect()).await.unwrap();
    let window = async |after, before, limit| {
        let page = rig.page(after, before, limit).await;
        (page.events.iter().map(|event| event.seq).collect::<Vec<_>>(), page.has_older, page.has_newer)
    };
    assert_eq!(window(None, None, 0).await, ((1..=10).collect(), false, false));
    assert_eq!(window(None, None, 3).await, (vec![1, 2, 3], false, true));
    assert_eq!(window(Some(3), None, 3).await, (vec![4, 5, 6], true, true));
    assert_eq!(window(Some(7), None, 3).await, (vec![8, 9, 10], true, false));
    assert_eq!(window(Some(10), None, 3).await, (vec![], true, false));
    assert_eq!(window(None, Some(8), 3).await, (vec![5, 6, 7], true, true));
    assert_eq!(window(None, Some(3), 3).await, (vec![1, 2], false, true));
    assert_eq!(window(None, Some(u64::MAX), 2).await, (vec![9, 10], true, false));
    assert_eq!(window(Some(2), Some(5), 9).await, (vec![3, 4], true, true));
    assert_eq!(window(Some(5), Some(3), 9).await, (vec![], true, true));
    let missing =
        contract::EventsParams { conversation_id: "x".to_owned(), after: None, before: None, limit: 0 };
    assert!(rig.store.call(contract::Events, &missing).await.unwrap_err().is(fault::NOT_FOUND));
}

#[tokio::test]
async fn rows_that_cannot_be_read_are_left_out_and_counted() {
    let rig = Rig::new().await;
    rig.begin("t").await.unwrap();
    rig.append_with("t", vec![called("a"), called("b")], vec![message("assistant", "said")]).await.unwrap();
    rig.disk.put(&crate::keys::row(CONV, 3), r#"{"seq_first":"three"}"#);
    rig.disk.put(&crate::keys::message(CONV, 0), r#""not a message""#);
    let page = rig.page(None, None, 3).await;
    assert_eq!(page.events.iter().map(|event| event.seq).collect::<Vec<_>>(), [1, 2, 4]);
    assert_eq!((page.skipped, page.has_newer), (1, false));
    let mut watched = rig.watch(0);
    assert_eq!(watched.up_to(4).await.iter().map(|event| event.seq).collect::<Vec<_>>(), [1, 2, 4]);
    let history = rig.messages().await;
    assert_eq!((history.messages.len(), history.skipped), (1, 1));
    assert_eq!(history.messages[0].get(), message("assistant", "said").get());
    let warned = rig.host.logs().iter().filter(|log| log.level == 2).count();
    assert!(warned >= 3, "each is in the log");
}

#[tokio::test]
async fn conversations_are_listed_by_activity_and_each_once() {
    let rig = Rig::with_manual_clock().await;
    for id in ["a", "b", "c", "d"] {
        begin_in(&rig, id).await;
        rig.host.advance_ms(10);
    }
    let params = contract::AppendParams {
        conversation_id: "a".to_owned(),
        turn_id: "t".to_owned(),
        events: vec![called("x")],
        messages: Vec::new(),
        end_turn: false,
    };
    rig.store.call(contract::Append, &params).await.unwrap();
    let start = rig.host.now_ms() - 40;
    let at = |id: &str, ms: u64| (id.to_owned(), start + ms);
    assert_eq!(listed(&rig, 2, None).await, (vec![at("a", 40), at("d", 30)], true));
    assert_eq!(listed(&rig, 2, Some(start + 30)).await, (vec![at("c", 20), at("b", 10)], false));
    assert_eq!(rig.disk.keys("act/").len(), 4);
}

#[tokio::test]
async fn a_page_of_the_list_does_not_cut_through_a_millisecond() {
    let rig = Rig::with_manual_clock().await;
    for id in ["a", "b"] {
        begin_in(&rig, id).await;
    }
    rig.host.advance_ms(5);
    begin_in(&rig, "c").await;
    let now = rig.host.now_ms();
    assert_eq!(listed(&rig, 2, None).await, (vec![("c".to_owned(), now)], true));
    let rest = vec![("a".to_owned(), now - 5), ("b".to_owned(), now - 5)];
    assert_eq!(listed(&rig, 2, Some(now)).await, (rest, false));
}

#[tokio::test]
async fn a_page_of_large_rows_ends_early_and_says_that_there_are_more() {
    let rig = Rig::new().await;
    rig.begin("t").await.unwrap();
    let large = "x".repeat(900 * 1024);
    for _ in 0..6 {
        rig.append("t", vec![body("notice", serde_json::json!({ "message": large }))]).await.unwrap();
    }
    let page = rig.page(None, None, 0).await;
    assert_eq!((page.events.len(), page.has_newer), (2 + EVENTS_BYTES_MAX / large.len() + 1, true));
    let rest = rig.page(page.events.last().map(|event| event.seq), None, 0).await;
    assert_eq!((rest.events.last().unwrap().seq, rest.has_newer), (8, false));
}

#[tokio::test]
async fn a_history_larger_than_one_page_of_the_store_is_read_whole() {
    let rig = Rig::over_memory().await;
    let begun = rig.begin("t").await.unwrap();
    assert!(!begun.durable, "a store that forgets is not called durable");
    let large = "x".repeat(900 * 1024);
    let mut expected = vec![message("user", "t").get().to_owned()];
    for n in 0..12 {
        let next = message("user", &format!("{n}{large}"));
        expected.push(next.get().to_owned());
        rig.append_with("t", vec![called(&n.to_string())], vec![next]).await.unwrap();
    }
    rig.end("t").await;
    assert!(rig.history().await == expected);
    assert_eq!(rig.log().await.len(), 2 + 12 + 1);
    let mut watched = rig.watch(0);
    assert_eq!(watched.up_to(15).await.len(), 15);
    assert_eq!(listed(&rig, 0, None).await.0.len(), 1);
}
