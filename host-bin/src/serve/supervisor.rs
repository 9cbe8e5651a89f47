//! What systemd is told: ready, reloading, stopping, a status line, and a sign of life while the kernel answers.
//!
//! Without `NOTIFY_SOCKET` all of it is nothing. Source: sd_notify(3), systemd 253.

use dispatch_contracts::Empty;
use dispatch_contracts::kernel::Health;
use dispatch_kernel::Attached;
use sd_notify::NotifyState;
use std::time::Duration;
use tokio::task::JoinHandle;

/// Longest wait for the kernel's answer; a shorter watchdog shortens it.
const HEALTH_WITHIN_MAX: Duration = Duration::from_secs(5);
/// What stopping may take beyond the drain.
const STOP_WITHIN: Duration = Duration::from_secs(20);

/// Whoever started the process and wants to know.
pub(super) struct Supervisor {
    /// How often a sign of life is due at the latest.
    watchdog: Option<Duration>,
}

/// Signs of life; they end with it.
pub(super) struct Watchdog(Option<JoinHandle<()>>);

impl Drop for Watchdog {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

impl Supervisor {
    pub(super) fn find() -> Self {
        Self { watchdog: sd_notify::watchdog_enabled().filter(|interval| !interval.is_zero()) }
    }

    pub(super) fn ready(&self, status: &str) {
        tell(&[NotifyState::Ready, NotifyState::Status(status)]);
    }

    pub(super) fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => tell(&[NotifyState::Reloading, now]),
            Err(error) => tracing::warn!(%error, "cannot read the monotonic clock"),
        }
    }

    pub(super) fn reloaded(&self) {
        tell(&[NotifyState::Ready]);
    }

    /// Stopping takes as long as the drain may, and what instances need after it.
    pub(super) fn stopping(&self, drain: Duration) {
        let longest = u32::try_from((drain + STOP_WITHIN).as_micros()).unwrap_or(u32::MAX);
        let status = NotifyState::Status("draining");
        tell(&[NotifyState::Stopping, NotifyState::ExtendTimeoutUsec(longest), status]);
    }

    /// Gives a sign of life twice per interval, each time only after the kernel has answered a call.
    pub(super) fn watch(&self, host: &Attached) -> Watchdog {
        let Some(interval) = self.watchdog else { return Watchdog(None) };
        let (host, pause) = (host.clone(), interval / 2);
        let within = (pause / 2).min(HEALTH_WITHIN_MAX);
        Watchdog(Some(tokio::spawn(async move {
            loop {
                match tokio::time::timeout(within, host.call(Health, &Empty {})).await {
                    Ok(Ok(_)) => tell(&[NotifyState::Watchdog]),
                    Ok(Err(fault)) => tracing::error!(%fault, "the kernel does not answer as it should"),
                    Err(_) => tracing::error!(within_ms = within.as_millis(), "the kernel does not answer"),
                }
                tokio::time::sleep(pause).await;
            }
        })))
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "cannot tell systemd");
    }
}
