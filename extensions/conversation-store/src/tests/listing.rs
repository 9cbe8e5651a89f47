//! Lists: by activity, put away or not, page by page; and the open turns.

use super::disk::Disk;
use super::rig::{Rig, called};
use dispatch_sdk::contracts::conversations as contract;
use dispatch_sdk::fault;
use dispatch_testkit::FakeHost;

fn params(limit: usize, before: Option<(u64, &str)>) -> contract::ListParams {
    contract::ListParams {
        limit,
        before: before.map(|(at, _)| at),
        before_id: before.map(|(_, id)| id.to_owned()).filter(|id| !id.is_empty()),
        archived: false,
    }
}

async fn page(rig: &Rig, params: &contract::ListParams) -> (Vec<(String, u64)>, bool) {
    let reply = rig.store.call(contract::List, params).await.unwrap();
    (reply.conversations.into_iter().map(|found| (found.id, found.active_at)).collect(), reply.has_older)
}

async fn create(rig: &Rig, id: &str) {
    let params = contract::CreateParams { conversation_id: Some(id.to_owned()), ..Default::default() };
    rig.store.call(contract::Create, &params).await.unwrap();
}

async fn begin_in(rig: &Rig, id: &str) {
    begin_turn_in(rig, id, "t").await;
}

async fn begin_turn_in(rig: &Rig, id: &str, turn_id: &str) {
    let params = contract::BeginParams {
        conversation_id: id.to_owned(),
        create: true,
        turn_id: turn_id.to_owned(),
        host_id: "h".to_owned(),
        title: id.to_owned(),
        ..Default::default()
    };
    rig.store.call(contract::Begin, &params).await.unwrap();
}

async fn append_in(rig: &Rig, id: &str) {
    let params = contract::AppendParams {
        conversation_id: id.to_owned(),
        turn_id: "t".to_owned(),
        events: vec![called("x")],
        ..Default::default()
    };
    rig.store.call(contract::Append, &params).await.unwrap();
}

async fn archive_in(rig: &Rig, id: &str, archived: bool) {
    let params = contract::ArchiveParams { conversation_id: id.to_owned(), archived };
    rig.store.call(contract::Archive, &params).await.unwrap();
}

#[tokio::test]
async fn conversations_are_listed_by_activity_and_each_once() {
    let rig = Rig::with_manual_clock().await;
    for id in ["a", "b", "c", "d"] {
        begin_in(&rig, id).await;
        rig.host.advance_ms(10);
    }
    append_in(&rig, "a").await;
    let start = rig.host.now_ms() - 40;
    let at = |id: &str, ms: u64| (id.to_owned(), start + ms);
    assert_eq!(page(&rig, &params(2, None)).await, (vec![at("a", 40), at("d", 30)], true));
    let rest = (vec![at("c", 20), at("b", 10)], false);
    assert_eq!(page(&rig, &params(2, Some((start + 30, "")))).await, rest);
    assert_eq!(page(&rig, &params(2, Some((start + 30, "d")))).await, rest);
    assert_eq!(rig.disk.keys("act/").len(), 4);
}

#[tokio::test]
async fn pages_through_many_of_one_millisecond_lose_and_repeat_nothing() {
    let rig = Rig::with_manual_clock().await;
    // One id is the beginning of another, and `-` sorts before the digits.
    let ids = ["a", "a-", "a1", "a10", "a2", "aa", "b", "B", "_", "-"];
    for id in ids {
        create(&rig, id).await;
    }
    rig.host.advance_ms(1);
    create(&rig, "later").await;
    let mut expected = ids.to_vec();
    expected.sort_unstable();
    expected.insert(0, "later");
    for limit in 1..=expected.len() + 1 {
        let (mut found, mut last): (Vec<String>, Option<(u64, String)>) = (Vec::new(), None);
        loop {
            let before = last.as_ref().map(|(at, id)| (*at, id.as_str()));
            let (ids, has_older) = page(&rig, &params(limit, before)).await;
            assert!(ids.len() == limit || !has_older, "a page is full while there are more");
            last = ids.last().map(|(id, at)| (*at, id.clone()));
            found.extend(ids.into_iter().map(|(id, _)| id));
            if !has_older {
                break;
            }
        }
        assert_eq!(found, expected, "by {limit}");
    }
}

#[tokio::test]
async fn a_page_that_begins_nowhere_is_refused() {
    let rig = Rig::new().await;
    let alone = contract::ListParams { before_id: Some("a".to_owned()), ..Default::default() };
    assert!(rig.store.call(contract::List, &alone).await.unwrap_err().is(fault::INVALID));
    let bad = params(1, Some((5, "a/b")));
    assert!(rig.store.call(contract::List, &bad).await.unwrap_err().is(fault::INVALID));
}

#[tokio::test]
async fn what_is_put_away_is_listed_apart_until_a_turn_begins_in_it() {
    let rig = Rig::with_manual_clock().await;
    for id in ["a", "b", "c"] {
        begin_in(&rig, id).await;
        rig.host.advance_ms(10);
    }
    archive_in(&rig, "b", true).await;
    archive_in(&rig, "b", true).await;
    let away = contract::ListParams { archived: true, ..Default::default() };
    let ids = async |params: &contract::ListParams| -> Vec<String> {
        page(&rig, params).await.0.into_iter().map(|(id, _)| id).collect()
    };
    assert_eq!(
        (ids(&params(0, None)).await, ids(&away).await),
        (vec!["c".into(), "a".into()], vec!["b".into()])
    );
    // The turn that was open already does not bring it back.
    append_in(&rig, "b").await;
    assert_eq!(ids(&away).await, ["b"]);
    rig.store
        .call(
            contract::Seal,
            &contract::SealParams { conversation_id: "b".into(), turn_id: "t".into(), ..Default::default() },
        )
        .await
        .unwrap();
    assert_eq!(ids(&away).await, ["b"]);
    begin_turn_in(&rig, "b", "t2").await;
    assert_eq!(
        (ids(&params(0, None)).await, ids(&away).await),
        (vec!["b".into(), "c".into(), "a".into()], vec![])
    );
    archive_in(&rig, "a", true).await;
    archive_in(&rig, "a", false).await;
    assert_eq!((rig.disk.keys("act/").len(), rig.disk.keys("arc/").len()), (3, 0));
    assert_eq!(ids(&params(0, None)).await, ["b", "c", "a"], "it comes back where it was");
}

#[tokio::test]
async fn every_open_turn_is_found_whoever_runs_it_and_wherever_it_is_listed() {
    let disk = Disk::new();
    let (a, b) = (Rig::over(&disk, FakeHost::new()).await, Rig::over(&disk, FakeHost::new()).await);
    for (rig, id) in [(&a, "one"), (&b, "two"), (&a, "three")] {
        begin_in(rig, id).await;
        a.host.advance_ms(10);
        b.host.advance_ms(10);
    }
    create(&a, "idle").await;
    archive_in(&b, "two", true).await;
    append_in(&a, "one").await;
    disk.put("head/broken", r#"{"title":7}"#);
    let open =
        b.store.call(contract::OpenTurns, &contract::OpenTurnsParams::default()).await.unwrap().conversations;
    let ids: Vec<&str> = open.iter().map(|found| found.id.as_str()).collect();
    assert_eq!(ids, ["one", "three", "two"]);
    assert!(open.iter().all(|found| found.open_turn.as_ref().unwrap().turn_id == "t"));
    assert!(open[2].archived && !open[1].archived);
}
