//! Making, renaming and putting away, also while turns write to the same conversation.

use super::disk::{Disk, Fail};
use super::rig::{CONV, Rig, body, called, seen, text, until};
use crate::writer::CONFLICT_RETRIES_MAX;
use dispatch_sdk::contracts::conversations as contract;
use dispatch_sdk::contracts::storage::NO_SPACE;
use dispatch_sdk::{Fault, fault};
use dispatch_testkit::FakeHost;
use serde_json::json;

fn named(id: &str) -> contract::CreateParams {
    contract::CreateParams { conversation_id: Some(id.to_owned()), ..Default::default() }
}

async fn create(rig: &Rig, params: &contract::CreateParams) -> Result<contract::CreateReply, Fault> {
    rig.store.call(contract::Create, params).await
}

#[tokio::test]
async fn a_made_conversation_is_there_as_it_was_answered_and_not_made_twice() {
    let rig = Rig::new().await;
    let params = contract::CreateParams {
        title: Some("Release notes".to_owned()),
        cwd: Some("/srv/project".to_owned()),
        provider: Some("demo".to_owned()),
        model: Some("m".to_owned()),
        ..named(CONV)
    };
    let made = create(&rig, &params).await.unwrap();
    assert!(made.durable);
    assert_eq!(rig.get().await, made.conversation);
    let found = &made.conversation;
    assert_eq!((found.title.as_str(), found.cwd.as_str()), ("Release notes", "/srv/project"));
    assert_eq!((found.provider.as_str(), found.model.as_str(), found.seq_last), ("demo", "m", 0));
    let again = create(&rig, &named(CONV)).await.unwrap_err();
    assert!(again.is(fault::CONFLICT) && again.message.contains("exists"), "{again}");
    assert_eq!(rig.get().await, made.conversation, "what was there stays");
    assert_eq!(rig.begin("t").await.unwrap().cursor, 0);
    assert_eq!(rig.get().await.title, "Release notes", "its first input does not rename it");
}

#[tokio::test]
async fn ids_are_made_when_none_is_given() {
    let rig = Rig::new().await;
    let nameless = contract::CreateParams::default();
    let (a, b) = (create(&rig, &nameless).await.unwrap(), create(&rig, &nameless).await.unwrap());
    assert_ne!(a.conversation.id, b.conversation.id);
    assert_eq!(a.conversation.title, "");
    rig.store.call(contract::Get, &contract::GetParams { conversation_id: a.conversation.id }).await.unwrap();
    let store = Rig::over_memory().await;
    assert!(!create(&store, &nameless).await.unwrap().durable, "a store that forgets is not called durable");
}

#[tokio::test]
async fn of_many_that_make_one_conversation_exactly_one_does() {
    let disk = Disk::new();
    let (a, b) = (Rig::over(&disk, FakeHost::new()).await, Rig::over(&disk, FakeHost::new()).await);
    for n in 0..20 {
        let params = named(&format!("c-{n}"));
        let (in_a, in_b) = tokio::join!(create(&a, &params), create(&b, &params));
        let lost = match (in_a, in_b) {
            (Ok(_), Err(lost)) | (Err(lost), Ok(_)) => lost,
            both => panic!("one must win: {both:?}"),
        };
        assert!(lost.is(fault::CONFLICT));
    }
}

#[tokio::test]
async fn what_cannot_be_a_conversation_is_refused_and_nothing_is_written() {
    let rig = Rig::new().await;
    let of = |change: &dyn Fn(&mut contract::CreateParams)| {
        let mut params = named("c");
        change(&mut params);
        params
    };
    let title = |title: &str| of(&|params| params.title = Some(title.to_owned()));
    let cwd = |cwd: &str| of(&|params| params.cwd = Some(cwd.to_owned()));
    let provider = |name: &str| of(&|params| params.provider = Some(name.to_owned()));
    let long = "x".repeat(257);
    let bad = [
        named("a/b"),
        named(""),
        title(""),
        title(" \u{3000}"),
        title("a\nb"),
        title("a\u{85}b"),
        title(&"ä".repeat(contract::TITLE_CHARS_MAX + 1)),
        cwd("relative"),
        cwd(""),
        cwd("/a\0b"),
        cwd(&format!("/{}", "x".repeat(4096))),
        provider(""),
        provider(&long),
        provider("a\nb"),
        of(&|params| params.model = Some("m".to_owned())),
        of(&|params| (params.provider, params.model) = (Some("p".to_owned()), Some(long.clone()))),
    ];
    for params in bad {
        assert!(create(&rig, &params).await.unwrap_err().is(fault::INVALID), "{params:?}");
    }
    assert_eq!(rig.disk.keys(""), Vec::<String>::new());
    create(&rig, &title(&"ä".repeat(contract::TITLE_CHARS_MAX))).await.unwrap();
    create(&rig, &named(CONV)).await.unwrap();
    assert!(rig.rename(" ").await.unwrap_err().is(fault::INVALID));
    assert!(rig.rename("a\tb").await.unwrap_err().is(fault::INVALID));
    assert!(rig.rename(&"x".repeat(contract::TITLE_CHARS_MAX + 1)).await.unwrap_err().is(fault::INVALID));
}

#[tokio::test]
async fn what_does_not_exist_cannot_be_renamed_or_put_away() {
    let rig = Rig::new().await;
    assert!(rig.rename("x").await.unwrap_err().is(fault::NOT_FOUND));
    assert!(rig.archive(true).await.unwrap_err().is(fault::NOT_FOUND));
    assert!(rig.adopt("t", "h2").await.unwrap_err().is(fault::NOT_FOUND));
}

/// The writer of a turn in this process, and one in another, find the head changed at their next commit.
#[tokio::test]
async fn a_title_and_an_archiving_outlive_the_turn_that_was_writing() {
    let disk = Disk::new();
    let (here, there) = (Rig::over(&disk, FakeHost::new()).await, Rig::over(&disk, FakeHost::new()).await);
    here.begin("t").await.unwrap();
    let mut watched = here.watch(2);
    for (n, rig) in [&here, &there, &here].into_iter().enumerate() {
        let title = format!("title {n}");
        let changed = rig.rename(&title).await.unwrap();
        assert_eq!((changed.title.as_str(), changed.open_turn.is_some()), (title.as_str(), true));
        here.live("t", vec![text(&format!("<{n}>"))]).await.unwrap();
        here.append("t", vec![called(&n.to_string())]).await.unwrap();
        assert_eq!(there.get().await.title, title);
    }
    assert!(there.archive(true).await.unwrap().archived);
    let end = here.end("t").await.seq_last;
    let found = there.get().await;
    assert_eq!((found.title.as_str(), found.archived, found.open_turn), ("title 2", true, None));
    let log = here.log().await;
    let what: Vec<&str> = log[2..].iter().map(|(_, what)| what.as_str()).collect();
    assert_eq!(what, ["<0>", "tool_call", "<1>", "tool_call", "<2>", "tool_call", "turn_ended"]);
    let shown: Vec<_> = watched.up_to(end).await.iter().map(seen).collect();
    assert_eq!(shown, log[2..]);
    assert_eq!((disk.keys("act/").len(), disk.keys("arc/").len()), (0, 1));
}

/// The row of a block moves up as it grows, and the number that it had stays known to the writer.
#[tokio::test]
async fn a_watcher_joins_an_open_block_that_was_written_before_and_after_a_rename() {
    let rig = Rig::with_manual_clock().await;
    rig.begin("t").await.unwrap();
    let flush = async |n_rows_end: &str| {
        until("the flush", || {
            rig.host.advance_ms(50);
            rig.disk.keys("log/").last().is_some_and(|key| key.ends_with(n_rows_end))
        })
        .await;
    };
    rig.live("t", vec![text("a"), text("b")]).await.unwrap();
    flush("4").await;
    // Its commit is written and reported as failed: what is on disk counts as settled although the block is open.
    rig.live("t", vec![text("c")]).await.unwrap();
    rig.disk.fail_next(Fail::Written);
    flush("5").await;
    rig.live("t", vec![text("d")]).await.unwrap();
    rig.rename("new").await.unwrap();
    flush("6").await;
    let mut watched = rig.watch(3);
    assert_eq!(seen(&watched.next().await), (6, "~abcd".to_owned()));
    rig.live("t", vec![text("e")]).await.unwrap();
    assert_eq!(seen(&watched.next().await), (7, "e".to_owned()));
    assert_eq!(rig.get().await.title, "new");
}

#[tokio::test]
async fn an_edit_is_tried_again_so_many_times_and_no_more() {
    let rig = Rig::new().await;
    rig.begin("t").await.unwrap();
    let fail = |n: usize| (0..n).for_each(|_| rig.disk.fail_next(Fail::Conflict));
    fail(CONFLICT_RETRIES_MAX - 1);
    rig.rename("a").await.unwrap();
    fail(CONFLICT_RETRIES_MAX);
    assert!(rig.rename("b").await.unwrap_err().is(fault::CONFLICT));
    assert_eq!(rig.get().await.title, "a");
    fail(CONFLICT_RETRIES_MAX - 1);
    create(&rig, &named("new")).await.unwrap();
    rig.disk.fail_next(Fail::NoSpace);
    assert!(rig.archive(true).await.unwrap_err().is(NO_SPACE));
    assert!(!rig.get().await.archived);
}

#[tokio::test]
async fn an_edit_that_changes_nothing_writes_nothing_and_none_moves_a_conversation_in_the_list() {
    let rig = Rig::with_manual_clock().await;
    rig.begin("t").await.unwrap();
    rig.end("t").await;
    let before = rig.get().await;
    rig.host.advance_ms(1000);
    rig.rename("new").await.unwrap();
    rig.archive(true).await.unwrap();
    let n = rig.n_commits();
    rig.rename("new").await.unwrap();
    rig.archive(true).await.unwrap();
    assert_eq!(rig.n_commits(), n);
    let expected = contract::Conversation { title: "new".to_owned(), archived: true, ..before };
    assert_eq!(rig.get().await, expected);
}

#[tokio::test]
async fn renaming_all_the_time_stops_no_turn() {
    let disk = Disk::new();
    let (here, there) = (Rig::over(&disk, FakeHost::new()).await, Rig::over(&disk, FakeHost::new()).await);
    here.begin("t").await.unwrap();
    let renaming = async {
        for n in 0..50 {
            there.rename(&format!("title {n}")).await.unwrap();
        }
    };
    let writing = async {
        for n in 0..50 {
            here.append("t", vec![body("usage", json!({ "n": n }))]).await.unwrap();
        }
    };
    tokio::join!(renaming, writing);
    here.end("t").await;
    assert_eq!((here.log().await.len(), here.get().await.title), (53, "title 49".to_owned()));
}
