//! Who lives: what a process sees of another, what a row says where it cannot see it, and that no row says nothing.

use super::disk::{Disk, Fail};
use super::rig::{CONV, Rig, until};
use crate::here::{Place, Probe, Prober, Proc};
use crate::hosts::{HostRow, Hosts};
use crate::open_turns::{ROWS_LOOKED_AT_MAX, TIDY_EVERY_MS};
use dispatch_sdk::contracts::conversations::{self as contract, HOST_LEASE_MS, HOST_RENEW_MS, Life};
use dispatch_sdk::contracts::verb::Empty;
use dispatch_sdk::{Config, Extension, Fault, Host, Verbs, fault};
use dispatch_testkit::FakeHost;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

const PROC: &str = "/proc";

async fn life(rig: &Rig, host_id: &str) -> Life {
    let params = contract::HostLifeParams { host_id: host_id.to_owned() };
    rig.store.call(contract::HostLife, &params).await.unwrap().life
}

async fn bury(rig: &Rig, host_id: &str) -> Result<Life, Fault> {
    let params = contract::BuryParams { host_id: host_id.to_owned() };
    Ok(rig.store.call(contract::Bury, &params).await?.life)
}

/// A row of this boot and namespace, of a process that is not there.
fn row_of_nobody() -> HostRow {
    let Place { boot_id, pid_ns, .. } = Proc::at(Path::new(PROC)).own().expect("tests run on Linux");
    HostRow { boot_id, pid_ns, pid: u32::MAX, started: 1, until: u64::MAX, buried: false }
}

fn row_elsewhere(until: u64) -> HostRow {
    HostRow { boot_id: "another".to_owned(), until, ..row_of_nobody() }
}

fn put(disk: &Disk, host_id: &str, row: &HostRow) {
    disk.put(&crate::keys::host(host_id), &serde_json::to_string(row).unwrap());
}

#[tokio::test]
async fn a_host_without_a_row_is_unknown_and_never_dead() {
    let rig = Rig::with_manual_clock().await;
    assert_eq!(life(&rig, "never-seen").await, Life::Unknown);
    rig.host.advance_ms(100 * HOST_LEASE_MS);
    assert_eq!(life(&rig, "never-seen").await, Life::Unknown);
}

#[tokio::test]
async fn a_host_lives_as_long_as_its_process_however_old_its_row_is() {
    let rig = Rig::new().await;
    rig.begin("t").await.unwrap();
    assert_eq!(life(&rig, "host-1").await, Life::Alive);
    let row: HostRow = serde_json::from_str(&rig.disk.value("host/host-1").unwrap()).unwrap();
    put(&rig.disk, "host-1", &HostRow { until: 0, ..row.clone() });
    assert_eq!(life(&rig, "host-1").await, Life::Alive, "nobody needs to renew what can be looked at");
    put(&rig.disk, "host-1", &HostRow { started: row.started + 1, ..row });
    assert_eq!(life(&rig, "host-1").await, Life::Dead, "another process has its number by now");
    put(&rig.disk, "gone", &row_of_nobody());
    assert_eq!(life(&rig, "gone").await, Life::Dead);
}

#[tokio::test]
async fn a_host_elsewhere_is_dead_when_its_row_did_not_change_for_a_lease_of_our_time() {
    let rig = Rig::with_manual_clock().await;
    let now = rig.host.now_ms();
    // Its clock goes wrong: it does not count.
    put(&rig.disk, "far", &row_elsewhere(now + 1_000_000_000));
    let mut seen = Vec::new();
    for n in 0..7 {
        seen.push(life(&rig, "far").await);
        if n == 2 {
            put(&rig.disk, "far", &row_elsewhere(0));
        }
        rig.host.advance_ms(HOST_LEASE_MS / 3);
    }
    let (alive, dead) = (Life::Alive, Life::Dead);
    assert_eq!(seen, [alive, alive, alive, alive, alive, alive, dead]);
    put(&rig.disk, "far", &row_elsewhere(0));
    assert_eq!(life(&rig, "far").await, Life::Alive, "it renewed its row");
    // The machine slept, and so did the one that renews.
    rig.host.advance_ms(1000 * HOST_LEASE_MS);
    assert_eq!(life(&rig, "far").await, Life::Alive);
}

/// A host that lived was once taken for dead by the first who looked, because its clock was behind.
#[tokio::test]
async fn no_host_elsewhere_is_dead_at_the_first_look_whatever_its_clock_says() {
    let rig = Rig::with_manual_clock().await;
    put(&rig.disk, "behind", &row_elsewhere(0));
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(life(&rig, "behind").await);
        rig.host.advance_ms(HOST_LEASE_MS / 3);
    }
    let (alive, dead) = (Life::Alive, Life::Dead);
    assert_eq!(seen, [alive, alive, alive, dead], "it is known a lease of our own time later");
}

/// Lets time pass until the row of a host is renewed.
async fn is_renewed(rig: &Rig, host_id: &str) {
    let until_of = || -> u64 {
        let row: Value = serde_json::from_str(&rig.disk.value(&format!("host/{host_id}")).unwrap()).unwrap();
        row["until"].as_u64().unwrap()
    };
    let first = until_of();
    until("a renewal", || {
        rig.host.advance_ms(HOST_RENEW_MS / 10);
        until_of() > first
    })
    .await;
}

/// Nobody renewed the row of a host whose first turn was opened by a commit of which nobody knew.
#[tokio::test]
async fn a_row_is_renewed_also_when_nobody_knew_that_it_was_written() {
    let rig = Rig::with_manual_clock().await;
    rig.disk.fail_next(Fail::Written);
    rig.begin("t").await.unwrap();
    is_renewed(&rig, "host-1").await;
    let other = Rig::over(&rig.disk, FakeHost::with_manual_clock()).await;
    rig.disk.fail_next(Fail::Written);
    assert!(other.adopt("t", "host-2").await.unwrap());
    is_renewed(&other, "host-2").await;
}

async fn hosts(rig: &Rig) -> Vec<(String, Life)> {
    let reply = rig.store.call(contract::Hosts, &Empty {}).await.unwrap();
    reply.hosts.into_iter().map(|open| (open.host_id, open.life)).collect()
}

/// One such row once kept every turn of every dead host from being adopted.
#[tokio::test]
async fn a_row_that_cannot_be_read_says_nothing_and_hides_no_other_host() {
    let rig = Rig::new().await;
    for host_id in ["bad", "gone", "short"] {
        rig.disk.put(&format!("open/{host_id}/c-{host_id}"), "{}");
    }
    rig.disk.put("host/bad", "[1]");
    rig.disk.put("host/short", r#"{ "boot_id": "another" }"#);
    put(&rig.disk, "gone", &row_of_nobody());
    let of = |id: &str, life| (id.to_owned(), life);
    let found = [of("gone", Life::Dead), of("bad", Life::Unknown), of("short", Life::Alive)];
    assert_eq!(hosts(&rig).await, found);
    assert_eq!(life(&rig, "bad").await, Life::Unknown);
    assert_eq!(bury(&rig, "bad").await.unwrap(), Life::Dead, "a person can say it");
    assert_eq!(life(&rig, "bad").await, Life::Dead);
}

#[tokio::test]
async fn rows_left_behind_are_taken_out_again_and_again_also_after_a_fault_and_however_many_there_are() {
    let rig = Rig::with_manual_clock().await;
    assert_eq!(hosts(&rig).await, []);
    put(&rig.disk, "a-gone", &row_of_nobody());
    assert_eq!(hosts(&rig).await, []);
    assert_eq!(rig.disk.keys("host/"), ["host/a-gone"], "it is not time yet");
    rig.host.advance_ms(TIDY_EVERY_MS);
    rig.disk.fail_next(Fail::Lost);
    assert_eq!(hosts(&rig).await, [], "whoever asks is answered");
    assert_eq!(rig.disk.keys("host/"), ["host/a-gone"]);
    assert_eq!(hosts(&rig).await, []);
    assert_eq!(rig.disk.keys("host/"), Vec::<String>::new(), "what failed is done again");
    for n in 0..ROWS_LOOKED_AT_MAX {
        put(&rig.disk, &format!("m-{n:04}"), &row_elsewhere(u64::MAX));
    }
    put(&rig.disk, "z-gone", &row_of_nobody());
    for _ in 0..2 {
        rig.host.advance_ms(TIDY_EVERY_MS);
        hosts(&rig).await;
    }
    assert_eq!(rig.disk.keys("host/z-gone"), Vec::<String>::new(), "it lies behind many that live");
}

#[tokio::test]
async fn a_row_comes_with_the_first_turn_is_renewed_while_one_is_open_and_goes_with_the_host() {
    let rig = Rig::with_manual_clock().await;
    rig.disk.fail_next(Fail::NoSpace);
    assert!(rig.begin("t0").await.is_err());
    assert_eq!(rig.disk.keys("host/"), Vec::<String>::new());
    rig.begin("t").await.unwrap();
    let until_of = |rig: &Rig| -> u64 {
        let row: Value = serde_json::from_str(&rig.disk.value("host/host-1").unwrap()).unwrap();
        row["until"].as_u64().unwrap()
    };
    let first = until_of(&rig);
    assert_eq!(first, rig.host.now_ms() + HOST_LEASE_MS);
    until("a renewal", || {
        rig.host.advance_ms(HOST_RENEW_MS / 10);
        until_of(&rig) > first
    })
    .await;
    rig.store.clone().stop().await.unwrap();
    assert_eq!(rig.disk.keys("host/"), ["host/host-1"], "a turn is open");
    let rig = Rig::over(&rig.disk, FakeHost::new()).await;
    assert!(rig.adopt("t", "host-2").await.unwrap());
    assert_eq!(life(&rig, "host-2").await, Life::Alive);
    rig.end("t").await;
    rig.store.clone().stop().await.unwrap();
    assert_eq!(rig.disk.keys("host/"), ["host/host-1"]);
}

#[tokio::test]
async fn a_person_buries_a_host_that_nobody_knows_and_none_that_lives() {
    let rig = Rig::new().await;
    rig.begin("t").await.unwrap();
    assert!(bury(&rig, "host-1").await.unwrap_err().is(fault::CONFLICT));
    assert!(bury(&rig, "of-old").await.unwrap_err().is(fault::NOT_FOUND), "it has nothing open");
    rig.disk.put("open/of-old/c-2", "{}");
    assert_eq!(bury(&rig, "of-old").await.unwrap(), Life::Dead);
    assert_eq!(life(&rig, "of-old").await, Life::Dead);
    assert!(bury(&rig, "../x").await.unwrap_err().is(fault::INVALID));
}

#[tokio::test]
async fn hosts_are_listed_while_they_hold_turns_open_and_forgotten_when_they_are_dead() {
    let rig = Rig::new().await;
    put(&rig.disk, "gone", &row_of_nobody());
    put(&rig.disk, "far", &row_elsewhere(u64::MAX));
    rig.begin("t").await.unwrap();
    rig.begin_elsewhere("other").await;
    let alive = |id: &str| (id.to_owned(), Life::Alive);
    assert_eq!(hosts(&rig).await, [alive("host-1"), alive("host-2")]);
    assert_eq!(rig.disk.keys("host/"), ["host/far", "host/host-1", "host/host-2"]);
    rig.end("t").await;
    assert_eq!(hosts(&rig).await, [alive("host-2")]);
    assert_eq!(rig.disk.keys("open/"), ["open/host-2/other"]);
}

#[tokio::test]
async fn open_turns_come_by_the_page_and_what_no_head_bears_out_is_taken_away() {
    let rig = Rig::new().await;
    for n in 0..5 {
        rig.begin_elsewhere(&format!("d-{n}")).await;
    }
    rig.begin("t").await.unwrap();
    rig.disk.put("open/host-2/not-there", "{}");
    rig.disk.put(&format!("open/host-2/{CONV}"), "{}");
    let page = async |after| {
        let params = contract::OpenTurnsParams { host_id: Some("host-2".to_owned()), after, limit: 3 };
        let page = rig.store.call(contract::OpenTurns, &params).await.unwrap();
        let ids: Vec<String> = page.conversations.into_iter().map(|found| found.id).collect();
        (ids, page.next)
    };
    let (mut found, mut next) = page(None).await;
    while next.is_some() {
        let (ids, after) = page(next).await;
        found.extend(ids);
        next = after;
    }
    assert_eq!(found, ["d-0", "d-1", "d-2", "d-3", "d-4"]);
    assert_eq!(rig.disk.keys("open/").len(), 6, "{:?}", rig.disk.keys("open/"));
    let beyond =
        contract::OpenTurnsParams { limit: contract::OPEN_TURNS_LIMIT_MAX + 1, ..Default::default() };
    assert!(rig.store.call(contract::OpenTurns, &beyond).await.unwrap_err().is(fault::INVALID));
}

/// A proc file system of our own: what is hidden in it is not gone.
#[test]
fn a_process_that_is_hidden_is_not_taken_for_one_that_is_gone() {
    let dir = FakeHost::new();
    let proc = dir.temp_dir().join("proc");
    let write = |pid: &str, state: &str, started: u64| {
        fs::create_dir_all(proc.join(pid)).unwrap();
        let zeros = "0 ".repeat(18);
        fs::write(proc.join(pid).join("stat"), format!("{pid} (a) b) {state} {zeros}{started} 0")).unwrap();
    };
    let prober = Proc::at(&proc);
    assert_eq!(prober.own(), None, "nothing is mounted");
    assert_eq!(prober.probe(7, 1), Probe::CannotTell, "not even the first process is shown");
    write("1", "S", 1);
    assert_eq!(prober.probe(7, 1), Probe::Gone);
    write("7", "R", 1);
    assert_eq!((prober.probe(7, 1), prober.probe(7, 2)), (Probe::There, Probe::Gone));
    write("7", "Z", 1);
    assert_eq!(prober.probe(7, 1), Probe::Gone, "it has ended");
}

/// Shows nothing, as where processes of others are hidden.
struct Blind;

impl Prober for Blind {
    fn own(&self) -> Option<Place> {
        Some(Place { boot_id: "boot".to_owned(), pid_ns: "ns".to_owned(), pid: 1, started: 1 })
    }

    fn probe(&self, _pid: u32, _started: u64) -> Probe {
        Probe::CannotTell
    }
}

/// Judges with the host that an extension gets.
struct Holder;

impl Extension for Holder {
    fn open(host: Host, _config: Config) -> Result<Self, Fault> {
        let hosts = Hosts::new(host, Box::new(Blind));
        let row = HostRow { boot_id: "boot".to_owned(), pid_ns: "ns".to_owned(), ..HostRow::default() };
        let held = HostRow { until: u64::MAX, ..row };
        assert_eq!(hosts.judge("h", &held, 1, 1_000), Life::Alive, "the row counts where nothing is shown");
        Ok(Self)
    }

    fn verbs(_verbs: &mut Verbs<Self>) {}
}

#[tokio::test]
async fn where_processes_are_hidden_the_row_counts() {
    let host = FakeHost::new();
    host.open::<Holder>("holder", json!({})).await.unwrap();
}
