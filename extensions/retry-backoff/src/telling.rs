//! What the policy shows of itself: metrics, and the checks of `doctor`. It must not decide anything.

use crate::settings::Settings;
use crate::state::State;
use dispatch_sdk::contracts::instance::{
    CheckReply, CheckResult, CheckStatus, Metric, MetricKind, MetricsReply, Sample,
};
use std::collections::BTreeMap;

pub(crate) fn metrics(state: &State, now_ms: u64) -> MetricsReply {
    let open = state.breakers.states(now_ms).into_iter().map(|(provider, left_ms)| {
        let value = if left_ms.is_some() { 1.0 } else { 0.0 };
        sample("provider", provider, value)
    });
    let metrics = vec![
        Metric {
            name: "dispatch_retries_total".to_owned(),
            help: "Failed model requests that are tried again, by class of the fault.".to_owned(),
            kind: MetricKind::Counter,
            samples: counted("class", &state.n_retries),
        },
        Metric {
            name: "dispatch_retry_give_ups_total".to_owned(),
            help: "Failed model requests that are not tried again, by reason.".to_owned(),
            kind: MetricKind::Counter,
            samples: counted("reason", &state.n_give_ups),
        },
        Metric {
            name: "dispatch_retry_breaker_open".to_owned(),
            help: "1 while nothing of the provider is tried again.".to_owned(),
            kind: MetricKind::Gauge,
            samples: open.collect(),
        },
    ];
    MetricsReply { metrics }
}

fn counted(label: &str, counts: &BTreeMap<&'static str, u64>) -> Vec<Sample> {
    counts.iter().map(|(word, n)| sample(label, word, *n as f64)).collect()
}

fn sample(label: &str, word: &str, value: f64) -> Sample {
    Sample { labels: BTreeMap::from([(label.to_owned(), word.to_owned())]), value }
}

pub(crate) fn check(settings: &Settings, state: &State, now_ms: u64) -> CheckReply {
    CheckReply { checks: vec![schedule(settings), breakers(state, now_ms)] }
}

fn schedule(settings: &Settings) -> CheckResult {
    let delays: Vec<String> = settings.delays_ms.iter().map(u64::to_string).collect();
    let summary = format!(
        "waits {} ms, or what the endpoint asks for up to {} ms; at most {} requests within {} ms",
        delays.join(", "),
        settings.retry_after_max_ms,
        settings.attempts_max,
        settings.elapsed_max_ms
    );
    CheckResult { name: "schedule".to_owned(), status: CheckStatus::Ok, summary, recovery: String::new() }
}

fn breakers(state: &State, now_ms: u64) -> CheckResult {
    let states = state.breakers.states(now_ms);
    let open: Vec<String> = states
        .iter()
        .filter_map(|(provider, left_ms)| left_ms.map(|ms| format!("`{provider}` for {ms} ms more")))
        .collect();
    let (status, summary, recovery) = match open.is_empty() {
        true => (CheckStatus::Ok, "every provider is tried again".to_owned(), ""),
        false => (
            CheckStatus::Warn,
            format!("not tried again: {}", open.join(", ")),
            "look at the endpoint; a turn's first request is still sent",
        ),
    };
    CheckResult { name: "breakers".to_owned(), status, summary, recovery: recovery.to_owned() }
}
