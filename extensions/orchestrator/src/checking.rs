//! `instance.v1/check`: open turns that wait for a person, because nobody can tell whether their host lives.
//!
//! It must not decide: such a host may run its turns, so that only a person can say that it is dead.

use crate::orchestrator::Orchestrator;
use dispatch_sdk::contracts::Empty;
use dispatch_sdk::contracts::conversations::{Hosts, Life, OpenTurns, OpenTurnsParams};
use dispatch_sdk::contracts::instance::{CheckReply, CheckResult, CheckStatus};
use dispatch_sdk::contracts::kernel::{HostAlive, HostAliveParams};
use dispatch_sdk::{Call, Fault};
use std::sync::Arc;

/// Most hosts that are named one by one.
const HOSTS_NAMED_MAX: usize = 20;
/// Most turns of one host that are named.
const TURNS_NAMED_MAX: usize = 5;

impl Orchestrator {
    pub(crate) async fn check(self: Arc<Self>, call: Call, _: Empty) -> Result<CheckReply, Fault> {
        let result = |name: &str, status, summary: String, recovery: String| CheckResult {
            name: name.to_owned(),
            status,
            summary,
            recovery,
        };
        let checks = match unjudged(&call).await {
            Ok(found) if found.is_empty() => {
                let fine = "every open turn is of a host that can be judged".to_owned();
                vec![result("open_turns", CheckStatus::Ok, fine, String::new())]
            }
            Ok(found) => {
                let checks = found.into_iter().enumerate().map(|(idx, (host_id, turns))| {
                    let name =
                        if idx == 0 { "open_turns".to_owned() } else { format!("open_turns_{}", idx + 1) };
                    let summary =
                        format!("nobody can tell whether host `{host_id}` lives, and it has open: {turns}");
                    let recovery = format!(
                        "if no process of that host runs any more, say so: `dispatch hosts bury {host_id}`"
                    );
                    result(&name, CheckStatus::Warn, summary, recovery)
                });
                checks.collect()
            }
            Err(fault) => {
                let summary = format!("open turns cannot be read: {fault}");
                let recovery =
                    "look at the checks of the instance that provides `conversations.v1`".to_owned();
                vec![result("open_turns", CheckStatus::Fail, summary, recovery)]
            }
        };
        Ok(CheckReply { checks })
    }
}

/// The hosts that hold turns open and that nobody can judge, each with its turns in words.
async fn unjudged(call: &Call) -> Result<Vec<(String, String)>, Fault> {
    let host = call.host();
    let mut found = Vec::new();
    for open in host.call(Hosts, &Empty {}).await?.hosts {
        // A lock file here proves life and death of hosts that are older than rows.
        let asked = HostAliveParams { host_id: open.host_id.clone() };
        if open.life != Life::Unknown || host.call(HostAlive, &asked).await?.known {
            continue;
        }
        if found.len() == HOSTS_NAMED_MAX {
            break;
        }
        let params =
            OpenTurnsParams { host_id: Some(open.host_id.clone()), after: None, limit: TURNS_NAMED_MAX };
        let page = host.call(OpenTurns, &params).await?;
        let turns = page.conversations.iter().filter_map(|conversation| {
            let turn_id = &conversation.open_turn.as_ref()?.turn_id;
            Some(format!("`{turn_id}` of conversation `{}`", conversation.id))
        });
        let mut turns = turns.collect::<Vec<_>>().join(", ");
        if page.next.is_some() {
            turns.push_str(" and more");
        }
        found.push((open.host_id, turns));
    }
    Ok(found)
}
