//! Taking over the turn of a dead host that had not begun.

use super::disk::{Disk, Fail};
use super::rig::{CONV, Rig, body, called, message, seen, text, until};
use crate::adopt::TURN_ADOPTED;
use crate::turn_log::SEQ_RESERVE;
use dispatch_sdk::contracts::conversations as contract;
use dispatch_sdk::contracts::storage::NO_SPACE;
use dispatch_sdk::fault;
use dispatch_testkit::FakeHost;
use serde_json::{Value, json};
use std::sync::Arc;

/// A disk on which `host-1` began turn `t` and was killed.
async fn begun_and_killed() -> Arc<Disk> {
    let disk = Disk::new();
    Rig::over(&disk, FakeHost::new()).await.begin("t").await.unwrap();
    disk
}

async fn host(disk: &Arc<Disk>) -> Rig {
    Rig::over(disk, FakeHost::with_manual_clock()).await
}

#[tokio::test]
async fn an_adopted_turn_is_written_by_who_adopted_it_above_all_that_may_have_been_shown() {
    let disk = begun_and_killed().await;
    let rig = host(&disk).await;
    let mut watched = rig.watch(0);
    watched.up_to(2).await;
    assert!(rig.adopt("t", "h2").await.unwrap());
    assert_eq!(rig.get().await.open_turn.unwrap().host_id, "h2");
    rig.live("t", vec![text("a")]).await.unwrap();
    rig.append_with("t", vec![called("x")], vec![message("assistant", "said")]).await.unwrap();
    let end = rig.end("t").await.seq_last;
    let above = 2 + SEQ_RESERVE;
    let log = [
        (above, "notice".to_owned()),
        (above + 1, "a".to_owned()),
        (above + 2, "tool_call".to_owned()),
        (above + 3, "turn_ended".to_owned()),
    ];
    assert_eq!(rig.log().await[2..], log);
    assert_eq!(watched.up_to(end).await.iter().map(seen).collect::<Vec<_>>(), log);
    assert_eq!(rig.history().await, [message("user", "t").get(), message("assistant", "said").get()]);
    let notice = rig.page(Some(2), None, 1).await.events.pop().unwrap();
    let said: Value = serde_json::from_str(notice.data.get()).unwrap();
    assert_eq!((&said["code"], notice.seq_first), (&json!(TURN_ADOPTED), Some(3)));
}

#[tokio::test]
async fn text_that_the_dead_host_showed_and_did_not_write_is_taken_back() {
    let disk = Disk::new();
    let dying = host(&disk).await;
    dying.begin("t").await.unwrap();
    let mut watched = dying.watch(2);
    for (seq, part) in [(3, "Hel"), (4, "lo")] {
        dying.live("t", vec![text(part)]).await.unwrap();
        assert_eq!(watched.next().await.seq, seq);
    }
    drop((watched, dying));
    let rig = host(&disk).await;
    let mut resumed = rig.watch(4);
    assert!(rig.adopt("t", "h2").await.unwrap());
    let notice = resumed.next().await;
    assert_eq!((notice.rebased, notice.seq_first, notice.seq), (true, Some(3), 2 + SEQ_RESERVE));
    rig.live("t", vec![text("Hello")]).await.unwrap();
    assert_eq!(seen(&resumed.next().await).1, "Hello");
}

#[tokio::test]
async fn a_turn_of_which_anything_was_written_is_left_as_it_is() {
    for what in ["text", "event", "message", "an event and no answer"] {
        let disk = Disk::new();
        let dying = host(&disk).await;
        dying.begin("t").await.unwrap();
        match what {
            "text" => {
                dying.live("t", vec![text("a")]).await.unwrap();
                until("the flush", || {
                    dying.host.advance_ms(50);
                    disk.keys("log/").len() == 3
                })
                .await;
            }
            "event" => drop(dying.append("t", vec![called("x")]).await.unwrap()),
            "message" => drop(dying.append_with("t", vec![], vec![message("user", "x")]).await.unwrap()),
            _ => {
                disk.fail_next(Fail::Written);
                dying.append("t", vec![called("x")]).await.unwrap_err();
            }
        }
        drop(dying);
        let rig = host(&disk).await;
        let before = (rig.log().await, rig.get().await);
        assert!(!rig.adopt("t", "h2").await.unwrap(), "{what}");
        assert_eq!((rig.log().await, rig.get().await), before, "{what}");
        assert!(rig.append("t", vec![called("y")]).await.unwrap_err().is(fault::CONFLICT));
        assert!(rig.seal("t").await);
    }
}

#[tokio::test]
async fn a_commit_that_wrote_nothing_and_an_edit_leave_a_turn_adoptable() {
    let disk = Disk::new();
    let dying = host(&disk).await;
    dying.begin("t").await.unwrap();
    dying.append("t", Vec::new()).await.unwrap();
    dying.rename("new").await.unwrap();
    disk.fail_next(Fail::NoSpace);
    dying.append("t", vec![called("x")]).await.unwrap_err();
    drop(dying);
    let rig = host(&disk).await;
    assert!(rig.adopt("t", "h2").await.unwrap());
    assert_eq!(rig.get().await.title, "new");
}

#[tokio::test]
async fn a_head_from_before_adoption_was_known_is_not_adopted() {
    let disk = begun_and_killed().await;
    let rig = host(&disk).await;
    let key = crate::keys::head(CONV);
    let head = disk.value(&key).unwrap();
    let mut head: Value = serde_json::from_str(&head).unwrap();
    assert!(head["open_turn"].as_object_mut().unwrap().remove("begun").is_some());
    disk.put(&key, &head.to_string());
    assert!(!rig.adopt("t", "h2").await.unwrap());
}

#[tokio::test]
async fn another_turn_another_host_and_a_turn_that_ended_are_conflicts() {
    let disk = begun_and_killed().await;
    let rig = host(&disk).await;
    assert!(rig.adopt("t2", "h2").await.unwrap_err().is(fault::CONFLICT));
    assert!(rig.adopt_from("t", "host-9", "h2").await.unwrap_err().is(fault::CONFLICT));
    assert!(rig.adopt("t", "host-1").await.unwrap_err().is(fault::INVALID), "of itself");
    assert!(rig.adopt("t", "h2").await.unwrap());
    assert!(rig.adopt("t", "h2").await.unwrap_err().is(fault::CONFLICT), "it runs here already");
    assert!(rig.adopt("t", "h3").await.unwrap_err().is(fault::CONFLICT));
    rig.end("t").await;
    assert!(rig.adopt("t", "h2").await.unwrap_err().is(fault::CONFLICT));
}

#[tokio::test]
async fn of_two_hosts_that_adopt_at_once_exactly_one_writes_the_turn() {
    for _ in 0..20 {
        let disk = begun_and_killed().await;
        let (a, b) = (host(&disk).await, host(&disk).await);
        let (in_a, in_b) = tokio::join!(a.adopt("t", "ha"), b.adopt("t", "hb"));
        let (winner, loser, lost) = match (in_a, in_b) {
            (Ok(true), Err(lost)) => (&a, &b, lost),
            (Err(lost), Ok(true)) => (&b, &a, lost),
            both => panic!("one must win: {both:?}"),
        };
        assert!(lost.is(fault::CONFLICT));
        assert!(loser.append("t", vec![called("x")]).await.unwrap_err().is(fault::CONFLICT));
        winner.end("t").await;
        assert_eq!(winner.log().await.len(), 4);
    }
}

#[tokio::test]
async fn one_host_that_adopts_twice_at_once_has_one_writer() {
    for fail in [None, Some(Fail::Written), Some(Fail::Lost)] {
        let disk = begun_and_killed().await;
        let rig = host(&disk).await;
        if let Some(fail) = fail {
            disk.fail_next(fail);
        }
        let (one, two) = tokio::join!(rig.adopt("t", "h2"), rig.adopt("t", "h2"));
        let n_won = [&one, &two].into_iter().filter(|adopted| matches!(adopted, Ok(true))).count();
        assert_eq!(n_won, 1, "{one:?} {two:?}");
        rig.append("t", vec![called("x")]).await.unwrap();
        rig.end("t").await;
        assert_eq!(rig.log().await.len(), 5);
    }
}

#[tokio::test]
async fn an_adoption_of_which_nobody_knows_is_looked_up_and_one_that_found_no_space_is_none() {
    for fail in [Fail::Lost, Fail::Written] {
        let disk = begun_and_killed().await;
        let rig = host(&disk).await;
        disk.fail_next(fail);
        assert!(rig.adopt("t", "h2").await.unwrap());
        rig.end("t").await;
        assert_eq!(rig.log().await.len(), 4, "{fail:?}");
    }
    let disk = begun_and_killed().await;
    let rig = host(&disk).await;
    disk.fail_next(Fail::NoSpace);
    assert!(rig.adopt("t", "h2").await.unwrap_err().is(NO_SPACE));
    assert!(rig.adopt("t", "h2").await.unwrap());
}

/// A host that was only slow, and thought dead, must not write beside the one that took its turn over.
#[tokio::test]
async fn a_host_whose_turn_was_adopted_by_another_writes_nothing_more() {
    let disk = Disk::new();
    let slow = host(&disk).await;
    slow.begin("t").await.unwrap();
    let other = host(&disk).await;
    assert!(other.adopt("t", "h2").await.unwrap());
    assert!(slow.append("t", vec![called("x")]).await.unwrap_err().is(fault::CONFLICT));
    assert!(slow.live("t", vec![text("b")]).await.unwrap_err().is(fault::CONFLICT));
    other.append("t", vec![body("usage", json!({}))]).await.unwrap();
    other.end("t").await;
    let log: Vec<String> = other.log().await.into_iter().skip(2).map(|(_, what)| what).collect();
    assert_eq!(log, ["notice", "usage", "turn_ended"]);
}

#[tokio::test]
async fn a_turn_can_be_adopted_again_and_sealed() {
    let disk = begun_and_killed().await;
    assert!(host(&disk).await.adopt("t", "h2").await.unwrap());
    assert!(host(&disk).await.adopt_from("t", "h2", "h3").await.unwrap());
    let rig = host(&disk).await;
    assert!(rig.seal("t").await);
    let log = rig.log().await;
    assert_eq!(
        log[2..].iter().map(|(_, what)| what.as_str()).collect::<Vec<_>>(),
        ["notice", "notice", "turn_ended"]
    );
    assert_eq!(log.last().unwrap().0, 2 + 3 * SEQ_RESERVE + 1);
    assert_eq!(rig.history().await.len(), 1);
}

/// Whoever adopts must act for the same people as the host that died, and so must whoever adopts it after that one.
#[tokio::test]
async fn an_adopted_turn_keeps_whom_it_is_for_and_what_it_is_to_run_with() {
    let disk = Disk::new();
    let word = |said: &str| said.to_owned();
    let owner = contract::Owner { tenant: Some(word("acme")), user: Some(word("ann")) };
    let begin = contract::BeginParams {
        conversation_id: word(CONV),
        create: true,
        turn_id: word("t"),
        host_id: word("host-1"),
        cwd: word("/w"),
        provider: word("demo"),
        model: word("m"),
        engine: word("toy"),
        actor: word("user:ann"),
        tenant: word("acme"),
        user: word("ann"),
        device: word("phone"),
        computer: word("exec-ssh"),
        owner: Some(owner.clone()),
        attempt: 1,
        ..contract::BeginParams::default()
    };
    host(&disk).await.store.call(contract::Begin, &begin).await.unwrap();
    for (attempt, dead, living) in [(2, "host-1", "h2"), (3, "h2", "h3")] {
        let rig = host(&disk).await;
        let params = contract::AdoptParams {
            conversation_id: word(CONV),
            turn_id: word("t"),
            dead_host_id: word(dead),
            host_id: word(living),
        };
        let adopted = rig.store.call(contract::Adopt, &params).await.unwrap();
        let told = adopted.turn.expect("the turn as it was begun");
        let asked = contract::TurnParams { conversation_id: word(CONV), turn_id: word("t") };
        let kept = rig.store.call(contract::Turn, &asked).await.unwrap();
        assert_eq!((adopted.owner.as_ref(), told.attempt), (Some(&owner), attempt));
        for row in [told, kept] {
            let begun_with = [&row.actor, &row.tenant, &row.user, &row.device, &row.computer];
            assert_eq!(begun_with, ["user:ann", "acme", "ann", "phone", "exec-ssh"], "by {living}");
            let runs_with = [&row.engine, &row.provider, &row.model, &row.cwd];
            assert_eq!(runs_with, ["toy", "demo", "m", "/w"], "by {living}");
        }
    }
}
