//! `dispatch doctor`: what the host can say of itself, and what each instance of the build says of itself.
//!
//! It must not need a build that holds, or a host that runs; and it must not take work: nothing is asked to serve.

mod host;
mod instances;

use crate::argv::Invocation;
use crate::boot;
use crate::exit::{FAILED, OK, Refusal};
use crate::ext::out;
use crate::policy;
use dispatch_contracts::instance::{CheckResult, CheckStatus};
use dispatch_contracts::kernel::HOST_INSTANCE;
use dispatch_contracts::plain::plain;
use serde_json::json;

/// Most characters of a summary or a recovery that are shown.
const LINE_CHARS_MAX: usize = 1000;

/// What was found at one instance, or at the host itself.
#[derive(Debug, PartialEq)]
struct Group {
    instance: String,
    checks: Vec<CheckResult>,
}

/// Checks everything; 1 if anything fails.
pub(crate) fn run(invocation: &Invocation, as_json: bool) -> Result<u8, Refusal> {
    // A word of the command line that means nothing is no finding.
    policy::of(dispatch_compose::Policy::default(), &invocation.options.allow, policy::Unsaid::IsDenied)?;
    let (checks, composed) = host::look(invocation);
    let mut groups = vec![Group { instance: HOST_INSTANCE.to_owned(), checks }];
    if !as_json {
        // First of all, for an instance may take the whole process with it.
        out(&in_text(&groups[0]))?;
    }
    if let Some(composed) = composed {
        let allow = &invocation.options.allow;
        let show = |found: &[Group]| match as_json {
            true => Ok(OK),
            false => out(&found.iter().map(in_text).collect::<String>()),
        };
        groups.extend(boot::block_on(instances::look(composed, allow, show))?);
    }
    if as_json {
        out(&in_json(&groups))?;
    }
    let fails = |group: &Group| group.checks.iter().any(|check| check.status == CheckStatus::Fail);
    Ok(if groups.iter().any(fails) { FAILED } else { OK })
}

fn check(
    name: &str,
    status: CheckStatus,
    summary: impl Into<String>,
    recovery: impl Into<String>,
) -> CheckResult {
    CheckResult { name: name.to_owned(), status, summary: summary.into(), recovery: recovery.into() }
}

fn in_text(group: &Group) -> String {
    let width = group.checks.iter().map(|check| check.name.chars().count()).max().unwrap_or(0);
    let mut text = format!("{}\n", one_line(&group.instance));
    for check in &group.checks {
        let (name, status) = (one_line(&check.name), status_word(check.status));
        text.push_str(&format!("  {status:<4}  {name:<width$}  {}\n", one_line(&check.summary)));
        if !check.recovery.is_empty() {
            text.push_str(&format!("        {:<width$}  -> {}\n", "", one_line(&check.recovery)));
        }
    }
    text
}

fn in_json(groups: &[Group]) -> String {
    let count = |status| groups.iter().flat_map(|group| &group.checks).filter(|c| c.status == status).count();
    let shown: Vec<_> = groups
        .iter()
        .map(|group| {
            let of_check = |check: &CheckResult| {
                json!({
                    "name": check.name,
                    "status": check.status,
                    "summary": one_line(&check.summary),
                    "recovery": one_line(&check.recovery),
                })
            };
            json!({ "instance": group.instance, "checks": group.checks.iter().map(of_check).collect::<Vec<_>>() })
        })
        .collect();
    let document = json!({
        "ok": count(CheckStatus::Ok),
        "warn": count(CheckStatus::Warn),
        "fail": count(CheckStatus::Fail),
        "groups": shown,
    });
    format!("{document:#}\n")
}

fn status_word(status: CheckStatus) -> &'static str {
    match status {
        CheckStatus::Ok => "ok",
        CheckStatus::Warn => "warn",
        CheckStatus::Fail => "fail",
    }
}

/// What an instance says may be long, and may hold anything.
fn one_line(text: &str) -> String {
    let line = plain(text).split_whitespace().collect::<Vec<_>>().join(" ");
    let n_chars = line.chars().count();
    if n_chars <= LINE_CHARS_MAX {
        return line;
    }
    // What to do stands at the end.
    let head: String = line.chars().take(LINE_CHARS_MAX / 2).collect();
    let tail: String = line.chars().skip(n_chars - LINE_CHARS_MAX / 2).collect();
    format!("{head} … {tail}")
}

#[cfg(test)]
mod tests;
