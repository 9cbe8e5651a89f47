//! Waits that double, up to a longest one: for whoever offers something again.

use crate::Host;
use std::time::Duration;

/// How long to wait before the next try. It counts no tries: whoever tries knows when to give up.
///
/// ```ignore
/// let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(30));
/// while let Err(fault) = offer().await { backoff.wait(&host).await; }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    next: Duration,
    max: Duration,
}

impl Backoff {
    /// Waits `first`, then twice as long each time, never longer than `max`.
    pub fn new(first: Duration, max: Duration) -> Self {
        Self { next: first.min(max), max }
    }

    /// Waits by the host's clock.
    pub async fn wait(&mut self, host: &Host) {
        host.sleep(self.step()).await;
    }

    /// The next wait, for whoever waits by other means.
    pub fn step(&mut self) -> Duration {
        let now = self.next;
        self.next = now.saturating_mul(2).min(self.max);
        now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_millis(350));
        let waits: Vec<u128> = (0..4).map(|_| backoff.step().as_millis()).collect();
        assert_eq!(waits, [100, 200, 350, 350]);
        assert_eq!(Backoff::new(Duration::MAX, Duration::MAX).step(), Duration::MAX);
    }
}
