//! The wish that an open turn ends: kept beside the turn, found by its host, and honoured by whoever takes the turn over.

use super::disk::{Disk, Fail};
use super::rig::{CONV, Rig, called};
use dispatch_sdk::contracts::conversations::{
    RequestStop, RequestStopParams, RequestStopReply, StopWishes, StopWishesParams, Turn, TurnParams, TurnRow,
};
use dispatch_sdk::contracts::event::TurnStatus;
use dispatch_sdk::{Fault, fault};
use dispatch_testkit::FakeHost;
use serde_json::{Value, json};

async fn request(rig: &Rig, turn_id: &str, by: &str) -> Result<RequestStopReply, Fault> {
    let (conversation_id, turn_id, by) = (CONV.to_owned(), turn_id.to_owned(), by.to_owned());
    rig.store.call(RequestStop, &RequestStopParams { conversation_id, turn_id, by }).await
}

/// The turns of a host that are to end.
async fn wished(rig: &Rig, host_id: &str) -> Vec<String> {
    let params = StopWishesParams { host_id: host_id.to_owned(), after: None };
    let reply = rig.store.call(StopWishes, &params).await.unwrap();
    reply.wishes.into_iter().map(|wish| format!("{}/{}", wish.conversation_id, wish.turn_id)).collect()
}

async fn row(rig: &Rig) -> TurnRow {
    let params = TurnParams { conversation_id: CONV.to_owned(), turn_id: "t".to_owned() };
    rig.store.call(Turn, &params).await.unwrap()
}

async fn last_event(rig: &Rig) -> Value {
    let last = rig.page(None, None, 0).await.events.pop().unwrap();
    json!([last.kind, serde_json::from_str::<Value>(last.data.get()).unwrap()])
}

#[tokio::test]
async fn a_wish_is_written_once_and_seen_by_the_turns_host_alone() {
    let here = Rig::new().await;
    here.begin("t").await.unwrap();
    let there = Rig::over(&here.disk, FakeHost::new()).await;
    assert_eq!(wished(&here, "host-1").await, Vec::<String>::new());
    let first = request(&there, "t", "user:ann").await.unwrap();
    assert_eq!((first.host_id.as_str(), first.stop.by.as_str()), ("host-1", "user:ann"));
    let n_commits = there.n_commits();
    assert_eq!(request(&there, "t", "user:bob").await.unwrap(), first, "the first wish stands");
    assert_eq!(there.n_commits(), n_commits, "and nothing is written again");
    assert_eq!(wished(&here, "host-1").await, ["c-1/t"]);
    assert_eq!(wished(&here, "host-2").await, Vec::<String>::new());
    assert_eq!(here.get().await.open_turn.unwrap().stop, Some(first.stop.clone()));
    assert_eq!(row(&here).await.stop, Some(first.stop.clone()));

    // Whoever writes the turn keeps the wish, and its end takes it out of the index.
    here.append("t", vec![called("a")]).await.unwrap();
    assert_eq!(wished(&here, "host-1").await, ["c-1/t"]);
    here.end("t").await;
    assert_eq!(wished(&here, "host-1").await, Vec::<String>::new());
    assert_eq!(here.disk.keys("stop/"), Vec::<String>::new());
    let row = row(&here).await;
    assert_eq!((row.stop, row.status), (Some(first.stop), Some(TurnStatus::Failed)), "no status was told");
}

#[tokio::test]
async fn a_turn_that_has_ended_is_refused_with_what_it_ended_as() {
    let rig = Rig::new().await;
    rig.begin("t").await.unwrap();
    rig.append("t", vec![super::rig::body("turn_ended", json!({ "status": "completed" }))]).await.unwrap();
    let refused = request(&rig, "t", "").await.unwrap_err();
    assert_eq!(
        (refused.code.as_str(), &refused.detail),
        (fault::CONFLICT, &json!({ "status": "completed" }))
    );
    assert!(request(&rig, "never", "").await.unwrap_err().is(fault::NOT_FOUND));
    rig.begin("t2").await.unwrap();
    assert!(request(&rig, "t", "").await.unwrap_err().is(fault::CONFLICT), "another is open");
    assert_eq!(rig.get().await.open_turn.unwrap().stop, None);
}

#[tokio::test]
async fn a_wish_whose_commit_nobody_heard_of_is_there_when_it_is_asked_again() {
    let rig = Rig::new().await;
    rig.begin("t").await.unwrap();
    rig.disk.fail_next(Fail::Conflict);
    let first = request(&rig, "t", "a").await.unwrap();
    assert_eq!(first.stop.by, "a", "a head that changed is read again");
    let rig = Rig::new().await;
    rig.begin("t").await.unwrap();
    rig.disk.fail_next(Fail::Written);
    request(&rig, "t", "a").await.unwrap_err();
    assert_eq!(request(&rig, "t", "b").await.unwrap().stop.by, "a");
}

#[tokio::test]
async fn a_waiting_turn_that_is_to_end_is_not_adopted_and_is_sealed_as_cancelled() {
    let disk = Disk::new();
    Rig::over(&disk, FakeHost::new()).await.begin("t").await.unwrap();
    let rig = Rig::over(&disk, FakeHost::new()).await;
    let wish = request(&rig, "t", "user:ann").await.unwrap().stop;
    assert!(!rig.adopt("t", "h2").await.unwrap(), "it never runs");
    assert!(rig.seal("t").await);
    assert_eq!(last_event(&rig).await[1]["status"], "cancelled");
    assert_eq!(last_event(&rig).await[1]["reason"], "stopped");
    let row = row(&rig).await;
    assert_eq!((row.status, row.stop), (Some(TurnStatus::Cancelled), Some(wish)));
    assert_eq!(wished(&rig, "host-1").await, Vec::<String>::new());
}

/// A wish and an adoption meet: whoever comes second sees the other.
#[tokio::test]
async fn a_wish_goes_with_the_turn_to_the_host_that_adopts_it() {
    let disk = Disk::new();
    Rig::over(&disk, FakeHost::new()).await.begin("t").await.unwrap();
    let rig = Rig::over(&disk, FakeHost::new()).await;
    assert!(rig.adopt("t", "h2").await.unwrap());
    assert_eq!(request(&rig, "t", "").await.unwrap().host_id, "h2");
    assert_eq!((wished(&rig, "h2").await, wished(&rig, "host-1").await), (vec!["c-1/t".to_owned()], vec![]));
}
