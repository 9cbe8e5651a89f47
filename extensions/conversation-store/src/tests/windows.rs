//! Windows of the log and of the messages, and rows that cannot be read.

use super::rig::{CONV, Rig, body, called, message};
use crate::windows::WINDOW_BYTES_MAX;
use dispatch_sdk::contracts::conversations as contract;
use dispatch_sdk::fault;

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
async fn a_page_of_large_rows_ends_early_and_says_that_there_are_more() {
    let rig = Rig::new().await;
    rig.begin("t").await.unwrap();
    let large = "x".repeat(900 * 1024);
    for _ in 0..6 {
        rig.append("t", vec![body("notice", serde_json::json!({ "message": large }))]).await.unwrap();
    }
    let page = rig.page(None, None, 0).await;
    assert_eq!((page.events.len(), page.has_newer), (2 + WINDOW_BYTES_MAX / large.len() + 1, true));
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
}

#[tokio::test]
async fn a_window_of_the_messages_says_what_lies_on_both_sides() {
    let rig = Rig::new().await;
    rig.begin("t").await.unwrap();
    let said: Vec<_> = (1..10).map(|n| message("assistant", &n.to_string())).collect();
    rig.append_with("t", Vec::new(), said).await.unwrap();
    let window = async |since, before, limit| {
        let page = rig.window(since, before, limit).await.unwrap();
        assert_eq!((page.messages_total, page.skipped), (10, 0));
        let positions = page.messages.iter().map(|message| message.position).collect::<Vec<_>>();
        (positions, page.has_older, page.has_newer)
    };
    assert_eq!(window(None, None, 0).await, ((0..10).collect(), false, false));
    assert_eq!(window(None, None, 3).await, (vec![7, 8, 9], true, false));
    assert_eq!(window(None, Some(7), 3).await, (vec![4, 5, 6], true, true));
    assert_eq!(window(None, Some(2), 3).await, (vec![0, 1], false, true));
    assert_eq!(window(None, Some(0), 3).await, (vec![], false, true));
    assert_eq!(window(Some(0), None, 3).await, (vec![0, 1, 2], false, true));
    assert_eq!(window(Some(8), None, 3).await, (vec![8, 9], true, false));
    assert_eq!(window(Some(2), Some(4), 3).await, (vec![2, 3], true, true));
    assert_eq!(window(Some(10), None, 3).await, (vec![], true, false));
    assert_eq!(window(Some(u64::MAX), None, 3).await, (vec![], true, false));
    let page = rig.window(Some(3), None, 1).await.unwrap();
    assert_eq!(page.messages[0].message.get(), message("assistant", "3").get(), "byte for byte");
    let missing = contract::HistoryParams { conversation_id: "x".to_owned(), ..Default::default() };
    assert!(rig.store.call(contract::History, &missing).await.unwrap_err().is(fault::NOT_FOUND));
}

#[tokio::test]
async fn a_message_that_cannot_be_read_is_left_out_and_its_position_stays_its_own() {
    let rig = Rig::new().await;
    rig.begin("t").await.unwrap();
    rig.append_with("t", Vec::new(), vec![message("assistant", "1"), message("user", "2")]).await.unwrap();
    rig.disk.put(&crate::keys::message(CONV, 1), r#""not a message""#);
    let page = rig.window(None, None, 0).await.unwrap();
    let positions: Vec<u64> = page.messages.iter().map(|message| message.position).collect();
    assert_eq!((positions, page.skipped, page.messages_total), (vec![0, 2], 1, 3));
}

#[tokio::test]
async fn a_window_of_large_messages_ends_early_on_the_side_that_it_grows_to() {
    let rig = Rig::new().await;
    rig.begin("t").await.unwrap();
    let large = "x".repeat(900 * 1024);
    for _ in 0..7 {
        rig.append_with("t", Vec::new(), vec![message("user", &large)]).await.unwrap();
    }
    let last = rig.window(None, None, 0).await.unwrap();
    let n = WINDOW_BYTES_MAX / large.len() + 1;
    assert_eq!((last.messages.len(), last.has_older, last.has_newer), (n, true, false));
    assert_eq!(last.messages.last().unwrap().position, 7);
    let first = rig.window(Some(1), None, 0).await.unwrap();
    assert_eq!((first.messages.len(), first.has_older, first.has_newer), (n, true, true));
    assert_eq!(first.messages[0].position, 1);
}

#[tokio::test]
async fn a_page_larger_than_its_bound_is_refused_everywhere() {
    let rig = Rig::new().await;
    rig.begin("t").await.unwrap();
    let of_log =
        |limit| contract::EventsParams { conversation_id: CONV.to_owned(), after: None, before: None, limit };
    let of_list = |limit| contract::ListParams { limit, ..Default::default() };
    let refused = [
        rig.store.call(contract::Events, &of_log(contract::EVENTS_LIMIT_MAX + 1)).await.unwrap_err(),
        rig.store.call(contract::List, &of_list(contract::LIST_LIMIT_MAX + 1)).await.unwrap_err(),
        rig.window(None, None, contract::HISTORY_LIMIT_MAX + 1).await.unwrap_err(),
    ];
    assert!(refused.iter().all(|fault| fault.is(fault::INVALID)), "{refused:?}");
    rig.store.call(contract::Events, &of_log(contract::EVENTS_LIMIT_MAX)).await.unwrap();
    rig.store.call(contract::List, &of_list(contract::LIST_LIMIT_MAX)).await.unwrap();
    rig.window(None, None, contract::HISTORY_LIMIT_MAX).await.unwrap();
}
