//! What every `storage.v1` must do, whoever serves it. It must not know any storage.
//!
//! ```ignore
//! #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
//! async fn it_passes_the_suite() {
//!     let open = || async { FakeHost::new().open::<MyStorage>("storage", json!({})).await.unwrap() };
//!     let reopen = |storage: Opened| async move {
//!         storage.stop().await.unwrap();
//!         storage.host().open::<MyStorage>("storage", json!({})).await.unwrap()
//!     };
//!     storage_suite::run_durable(open, reopen).await;
//! }
//! ```

mod blobs;
mod bounds;
mod commits;
mod entries;
mod faults;
mod ranges;
mod reopen;
mod scans;
mod shared;
mod steps;
mod watches;

use crate::Opened;
use dispatch_contracts::Fault;

/// Runs every check; panics at the first that fails. `open` gives a fresh, empty store in a host of its own each time.
pub async fn run<F, Fut>(open: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = Opened>,
{
    entries::check(&open().await).await;
    bounds::check(&open().await).await;
    scans::check(&open().await).await;
    scans::check_page_bytes(&open().await).await;
    commits::check(&open().await).await;
    commits::check_concurrent(&open().await).await;
    ranges::check(&open().await).await;
    ranges::check_bytes(&open().await).await;
    blobs::check(&open().await).await;
    watches::check(&open().await).await;
}

/// Runs the checks of what every `storage.v1` had to do from the first on: a library that was built before there were
/// `delete_range`, `blob_delete`, `watch`, pages in bytes and a bound on the bytes of a commit must still pass them.
pub async fn run_first<F, Fut>(open: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = Opened>,
{
    entries::check(&open().await).await;
    bounds::check_first(&open().await).await;
    scans::check_first(&open().await).await;
    scans::check_page_bytes(&open().await).await;
    commits::check(&open().await).await;
    commits::check_concurrent(&open().await).await;
    blobs::check_first(&open().await).await;
}

/// [`run`] and [`run_reopen`].
pub async fn run_durable<F, Fut, R, RFut>(open: F, reopen: R)
where
    F: Fn() -> Fut,
    Fut: Future<Output = Opened>,
    R: Fn(Opened) -> RFut,
    RFut: Future<Output = Opened>,
{
    run(&open).await;
    run_reopen(open, reopen).await;
}

/// Checks what must be true after the store was stopped and opened again. `reopen` does both, in the same host.
pub async fn run_reopen<F, Fut, R, RFut>(open: F, reopen: R)
where
    F: Fn() -> Fut,
    Fut: Future<Output = Opened>,
    R: Fn(Opened) -> RFut,
    RFut: Future<Output = Opened>,
{
    reopen::check(open().await, &reopen).await;
}

/// Checks two instances on one store: `beside` opens another one on what the given instance has open.
pub async fn run_shared<F, Fut, B, BFut>(open: F, beside: B)
where
    F: Fn() -> Fut,
    Fut: Future<Output = Opened>,
    B: Fn(Opened) -> BFut,
    BFut: Future<Output = Opened>,
{
    let left = open().await;
    let right = beside(left.clone()).await;
    shared::check(&left, &right).await;
}

/// Fills an empty store of at most 32 MiB `n_cycles` times, each time until it answers `no_space`.
///
/// `take_room` is called before each filling, `give_room` after it; what the suite deletes then must make room too.
/// The answer is the keys that are in the store at the end and no others, to be looked for after a reopen.
pub async fn run_no_space(
    storage: &Opened,
    n_cycles: usize,
    take_room: impl Fn(),
    give_room: impl Fn(),
) -> Vec<String> {
    faults::check_no_space(storage, n_cycles, take_room, give_room).await
}

/// Checks a commit while somebody else holds the store: `lock` takes it, and what it answers gives it back when dropped.
pub async fn run_locked<G>(storage: &Opened, lock: impl FnOnce() -> G) {
    faults::check_locked(storage, lock).await;
}

/// Checks that damage is told: `damage` stops the store, damages entries of it and opens it again, or is refused.
pub async fn run_corrupt<R, RFut>(storage: Opened, damage: R)
where
    R: FnOnce(Opened) -> RFut,
    RFut: Future<Output = Result<Opened, Fault>>,
{
    faults::check_corrupt(storage, damage).await;
}
