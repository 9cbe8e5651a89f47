//! Watchers that wait: for their reader, and for something to happen.

use super::disk::Disk;
use super::rig::{Rig, body, until};
use dispatch_testkit::FakeHost;
use serde_json::{Value, json};

/// A row of more bytes than a stream takes without being read.
fn large(n: u64) -> dispatch_sdk::contracts::event::EventBody {
    body("notice", json!({ "n": n, "text": "x".repeat(100 * 1024) }))
}

fn n_log_pages(rig: &Rig) -> usize {
    let pages = rig.host.calls_of("storage.v1/scan");
    let of_log = |page: &&Value| page["start"].as_str().is_some_and(|start| start.starts_with("log/"));
    pages.iter().filter(of_log).inspect(|page| assert_eq!(page["bytes_max"], 64 * 1024)).count()
}

#[tokio::test]
async fn a_watcher_reads_what_its_reader_takes_and_no_further() {
    let rig = Rig::new().await;
    rig.begin("t").await.unwrap();
    for n in 3..23 {
        rig.append("t", vec![large(n)]).await.unwrap();
    }
    rig.end("t").await;
    let (mut slow, mut other) = (rig.watch(2), rig.watch(2));
    assert_eq!(slow.next().await.seq, 3);
    until("the next page", || n_log_pages(&rig) >= 2).await;
    let read = n_log_pages(&rig);
    assert!(read <= 5, "two watchers of which one took a frame read {read} pages of one row");
    let numbers = |events: &[dispatch_sdk::contracts::event::Event]| -> Vec<u64> {
        events.iter().map(|event| event.seq).collect()
    };
    assert_eq!(numbers(&slow.up_to(23).await), (4..=23).collect::<Vec<_>>());
    let all = other.up_to(23).await;
    assert_eq!(numbers(&all), (3..=23).collect::<Vec<_>>(), "frames that another read are shared");
    assert!(all[0].data.get() == large(3).data.get());
}

#[tokio::test]
async fn a_shared_frame_is_no_frame_for_who_has_seen_a_part_of_its_row() {
    let rig = Rig::new().await;
    rig.begin("t").await.unwrap();
    let half = super::rig::text(&"x".repeat(30 * 1024));
    rig.live("t", vec![half.clone(), half]).await.unwrap();
    rig.end("t").await;
    let whole = rig.watch(2).next().await;
    assert_eq!((whole.seq_first, whole.seq, whole.rebased), (Some(3), 4, false));
    let rest = rig.watch(3).next().await;
    assert_eq!((rest.seq, rest.rebased), (4, true));
}

#[tokio::test]
async fn watchers_of_idle_conversations_ask_the_store_nothing_each_on_its_own() {
    let disk = Disk::new();
    let rig = Rig::over(&disk, FakeHost::with_manual_clock()).await;
    rig.begin("t").await.unwrap();
    rig.end("t").await;
    let mut watched: Vec<_> = (0..50).map(|_| rig.watch(0)).collect();
    for watched in &mut watched {
        watched.up_to(3).await;
    }
    let n_reads = || rig.host.calls_of("storage.v1/get").len();
    let n_looks = || rig.host.calls_of("storage.v1/scan").len();
    let look = async || {
        let before = n_looks();
        until("a look", || {
            rig.host.advance_ms(10);
            n_looks() >= before + 2
        })
        .await;
    };
    // The first looks may find what is new to this process alone.
    look().await;
    look().await;
    until("everybody is idle again", || {
        let before = (n_reads(), n_looks());
        std::thread::sleep(std::time::Duration::from_millis(5));
        before == (n_reads(), n_looks())
    })
    .await;
    let before = n_reads();
    for _ in 0..5 {
        look().await;
    }
    assert_eq!(n_reads(), before, "50 watchers, and not one head was read");
    let other = Rig::over(&disk, FakeHost::new()).await;
    other.begin("t2").await.unwrap();
    look().await;
    for watched in &mut watched {
        rig.host.advance_ms(600);
        assert_eq!(watched.next().await.seq, 4, "what another process wrote comes");
    }
}
