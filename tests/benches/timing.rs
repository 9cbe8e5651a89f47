//! Timing of things that take microseconds: one after another with a pause, or all at once.
//!
//! It must not know what is timed.

use house::bench::Samples;
use std::future::Future;
use std::time::{Duration, Instant};

/// The pause before each idle sample: long enough for threads to go to sleep.
pub(crate) const IDLE_GAP: Duration = Duration::from_millis(1);
/// Samples of something idle.
pub(crate) const IDLE_SAMPLES: usize = 1_500;

pub(crate) fn us(duration: Duration) -> f64 {
    duration.as_nanos() as f64 / 1_000.0
}

pub(crate) fn ms(duration: Duration) -> f64 {
    duration.as_nanos() as f64 / 1_000_000.0
}

/// Times `what` again and again, in µs, with a pause before each.
pub(crate) async fn idle<F, T>(mut what: impl FnMut() -> F) -> Samples
where
    F: Future<Output = T>,
{
    let mut samples = Vec::with_capacity(IDLE_SAMPLES);
    for _ in 0..IDLE_SAMPLES {
        tokio::time::sleep(IDLE_GAP).await;
        let began = Instant::now();
        std::hint::black_box(what().await);
        samples.push(us(began.elapsed()));
    }
    Samples::new(samples)
}

/// Times `n` runs of `what`, in µs, one directly after another.
pub(crate) async fn hot<F, T>(n: usize, mut what: impl FnMut() -> F) -> Samples
where
    F: Future<Output = T>,
{
    let mut samples = Vec::with_capacity(n);
    for _ in 0..n {
        let began = Instant::now();
        std::hint::black_box(what().await);
        samples.push(us(began.elapsed()));
    }
    Samples::new(samples)
}

/// Nanoseconds as a toy tells them, in µs.
pub(crate) fn of_ns(list: &serde_json::Value) -> Samples {
    let list = list.as_array().map_or(&[][..], Vec::as_slice);
    Samples::new(list.iter().filter_map(|ns| Some(ns.as_u64()? as f64 / 1_000.0)).collect())
}
