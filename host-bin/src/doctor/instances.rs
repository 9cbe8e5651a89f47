//! What each instance says of itself: the build is booted, every instance that can be is checked, and all are stopped.
//!
//! It must not ask anybody to serve, so that a host which runs meanwhile is not disturbed.

use super::findings::{Group, check};
use crate::boot;
use crate::compose::Composed;
use crate::exit::Refusal;
use crate::policy::{self, Unsaid};
use crate::stdin::Stdin;
use dispatch_contracts::command::Read;
use dispatch_contracts::instance::CheckStatus::{Fail, Ok as Fine, Warn};
use dispatch_contracts::instance::{Check, CheckReply, CheckResult, ITEMS_MAX};
use dispatch_contracts::kernel::{
    HOST_INSTANCE, Health, HealthState, InstanceHealth, InstanceInfo, InstanceState,
};
use dispatch_contracts::{Empty, Fault, Verb as _};
use dispatch_kernel::{Attached, Kernel};
use std::collections::HashMap;
use std::time::Duration;
use tokio::task::JoinSet;

/// What an instance has beyond the contract's limit, should the router not have ended the call by then.
const GRACE: Duration = Duration::from_secs(2);

/// Boots, checks, shows what was found, and stops.
pub(super) async fn look(
    mut composed: Composed,
    allow: &[String],
    show: impl Fn(&[Group]) -> Result<u8, Refusal>,
) -> Result<Vec<Group>, Refusal> {
    let required: Vec<String> =
        composed.plan.instances.iter().filter(|i| i.required).map(|i| i.id.clone()).collect();
    // One that does not start must not hide what the others have to say.
    composed.require_nobody();
    let policy = policy::of(composed.plan.policy, allow, Unsaid::IsDenied)?;
    let asked = boot::with_kernel(composed, policy, async |kernel| {
        let groups = ask_all(kernel, &required).await;
        // Before anything is stopped: that may take long, or take the process with it.
        Ok(show(&groups).map(|_| groups))
    });
    match asked.await {
        Ok(shown) => shown,
        Err(refusal) if refusal.is_by_signal() => Err(refusal),
        Err(refusal) => {
            let found = check("boot", Fail, refusal.message, "");
            let groups = vec![Group { instance: "kernel".to_owned(), checks: vec![found] }];
            show(&groups)?;
            Ok(groups)
        }
    }
}

async fn ask_all(kernel: &Kernel, required: &[String]) -> Vec<Group> {
    let host = kernel.attach::<Read, _>(HOST_INSTANCE, Stdin::without_command());
    let mut answers = JoinSet::new();
    for id in kernel.serving(Check::NAME) {
        let host = host.clone();
        answers.spawn(async move {
            let checks = ask(&host, &id).await;
            (id, checks)
        });
    }
    let mut found: HashMap<String, Vec<CheckResult>> = answers.join_all().await.into_iter().collect();
    match host.call(Health, &Empty {}).await {
        Ok(health) => {
            for instance in health.instances {
                found.entry(instance.id.clone()).or_default().extend(stands(&instance));
            }
        }
        Err(fault) => tracing::warn!(%fault, "the kernel does not tell how its instances stand"),
    }
    let group = |info: &InstanceInfo| {
        let mut checks = vec![started(info, required.contains(&info.id))];
        checks.extend(found.remove(&info.id).into_iter().flatten());
        Group { instance: info.id.clone(), checks }
    };
    kernel.inventory().instances.iter().map(group).collect()
}

fn started(info: &InstanceInfo, required: bool) -> CheckResult {
    let of =
        if info.id == info.from { info.version.clone() } else { format!("{} {}", info.from, info.version) };
    match info.state {
        InstanceState::Active if info.left_out.is_empty() => check("started", Fine, of, ""),
        InstanceState::Active => {
            let way = "it is made for a later kernel; update the host, or take an older version of it";
            check("started", Warn, format!("{of}; {}", info.left_out.join("; ")), way)
        }
        InstanceState::Disabled => {
            let way = if required {
                "no command runs until it starts: the build requires it"
            } else {
                "the host runs without it; mend it, or leave it out of the build"
            };
            check("started", Fail, format!("disabled: {}", info.reason), way)
        }
    }
}

/// What an instance that cannot work reported of itself; nothing of one that can.
fn stands(instance: &InstanceHealth) -> Option<CheckResult> {
    let summary = match instance.state {
        HealthState::Ok => return None,
        HealthState::Degraded => format!("it cannot work now: {}", instance.reason),
        HealthState::Failed => format!("it failed for good: {}", instance.reason),
    };
    Some(check("health", Fail, summary, ""))
}

async fn ask(host: &Attached, id: &str) -> Vec<CheckResult> {
    let within = Duration::from_millis(Check::LIMITS.budget_ms) + GRACE;
    let answer = tokio::time::timeout(within, host.call_named(Check, id, &Empty {})).await;
    judge(answer.ok(), within)
}

/// An answer as it is shown; none is a finding of its own.
fn judge(answer: Option<Result<CheckReply, Fault>>, within: Duration) -> Vec<CheckResult> {
    let failed = |summary: String| {
        vec![check("check", Fail, summary, "its log, with `DISPATCH_LOG=debug`, may say more")]
    };
    match answer {
        None => failed(format!("it did not answer within {} s", within.as_secs())),
        Some(Err(fault)) => failed(format!("it cannot check itself: {fault}")),
        Some(Ok(mut reply)) => {
            let n_checks = reply.checks.len();
            reply.checks.truncate(ITEMS_MAX);
            if n_checks > ITEMS_MAX {
                let summary = format!("it answered {n_checks} checks; {ITEMS_MAX} are shown");
                reply.checks.push(check("check", Warn, summary, ""));
            }
            reply.checks
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_answer_and_a_fault_are_failures_of_their_own() {
        let within = Duration::from_secs(17);
        let hung = judge(None, within);
        assert_eq!((hung[0].status, hung[0].summary.as_str()), (Fail, "it did not answer within 17 s"));
        let fault = judge(Some(Err(Fault::new("panicked", "boom"))), within);
        assert!(fault[0].status == Fail && fault[0].summary.contains("boom"), "{fault:?}");
    }

    #[test]
    fn what_an_instance_says_is_bounded() {
        let one = check("one", Fine, "", "");
        let found = judge(Some(Ok(CheckReply { checks: vec![one; ITEMS_MAX + 5] })), Duration::ZERO);
        assert_eq!((found.len(), found[ITEMS_MAX].status), (ITEMS_MAX + 1, Warn));
        assert!(found[ITEMS_MAX].summary.contains("261 checks"), "{}", found[ITEMS_MAX].summary);
    }

    #[test]
    fn an_instance_that_does_not_run_fails_whoever_needs_it() {
        let info = InstanceInfo {
            id: "x".to_owned(),
            from: "x".to_owned(),
            version: "0.1.0".to_owned(),
            sha256: String::new(),
            state: InstanceState::Disabled,
            reason: "no key".to_owned(),
            provides: Vec::new(),
            serves: Vec::new(),
            contributes: Default::default(),
            left_out: Vec::new(),
        };
        for required in [false, true] {
            let found = started(&info, required);
            assert_eq!((found.status, found.summary.as_str()), (Fail, "disabled: no key"));
            assert_eq!(found.recovery.contains("requires"), required);
        }
    }
}
