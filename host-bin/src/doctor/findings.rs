//! What was found, and how it is shown.
//!
//! It must not know who looked, or where.

use dispatch_contracts::instance::{CheckResult, CheckStatus};
use dispatch_contracts::plain::plain;
use serde_json::json;

/// Most characters of a summary or a recovery that are shown.
const LINE_CHARS_MAX: usize = 1000;

/// What was found at one instance, or at the host itself.
#[derive(Debug, PartialEq)]
pub(super) struct Group {
    pub(super) instance: String,
    pub(super) checks: Vec<CheckResult>,
}

/// One finding.
pub(super) fn check(
    name: &str,
    status: CheckStatus,
    summary: impl Into<String>,
    recovery: impl Into<String>,
) -> CheckResult {
    CheckResult { name: name.to_owned(), status, summary: summary.into(), recovery: recovery.into() }
}

/// For a person.
pub(super) fn in_text(group: &Group) -> String {
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

/// For a program.
pub(super) fn in_json(groups: &[Group]) -> String {
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
