//! What a person allowed for the rest of a conversation, one entry for each tool.

use crate::keys;
use crate::store::{self, Pages};
use dispatch_sdk::contracts::conversations::{
    GRANTS_MAX, GrantParams, GrantedTool, GrantsReply, RevokeParams, RevokeReply,
};
use dispatch_sdk::contracts::storage::{Commit, CommitParams, Put, Require};
use dispatch_sdk::{Fault, Host, fault};
use serde_json::value::to_raw_value;
use tracing::warn;

/// Most bytes of the name of a tool.
const TOOL_BYTES_MAX: usize = 256;

/// What was allowed in a conversation, by tool.
pub(crate) async fn list(host: &Host, id: &str) -> Result<GrantsReply, Fault> {
    store::head_of(host, id).await?;
    let (start, end) = keys::grants_of(id);
    let entries = Pages::new(start, end, GRANTS_MAX, false).next(host).await?.unwrap_or_default();
    let mut grants = Vec::with_capacity(entries.len());
    for entry in &entries {
        match serde_json::from_str::<GrantedTool>(entry.value.get()) {
            Ok(granted) => grants.push(granted),
            Err(error) => warn!(key = entry.key, %error, "a grant cannot be read; it does not hold"),
        }
    }
    Ok(GrantsReply { grants })
}

/// Allows a tool; one that is allowed already stays as it was.
pub(crate) async fn grant(host: &Host, params: &GrantParams) -> Result<(), Fault> {
    let GrantParams { conversation_id: id, tool, by } = params;
    check_tool(tool)?;
    let granted = list(host, id).await?.grants;
    if granted.iter().any(|granted| granted.tool == *tool) {
        return Ok(());
    }
    if granted.len() >= GRANTS_MAX {
        let message = format!(
            "cannot allow `{tool}` in conversation `{id}`: {GRANTS_MAX} tools are allowed there already; revoke some"
        );
        return Err(Fault::new(fault::CONFLICT, message));
    }
    let granted = GrantedTool { tool: tool.clone(), granted_at: host.now_ms(), by: by.clone() };
    let value = to_raw_value(&granted).expect("a struct of strings and numbers always encodes");
    let put = vec![Put { key: keys::grant(id, tool), value }];
    host.call(Commit, &CommitParams { put, ..CommitParams::default() }).await?;
    Ok(())
}

/// Takes back what was allowed.
pub(crate) async fn revoke(host: &Host, params: &RevokeParams) -> Result<RevokeReply, Fault> {
    let RevokeParams { conversation_id: id, tool } = params;
    check_tool(tool)?;
    store::head_of(host, id).await?;
    let key = keys::grant(id, tool);
    let Some((_, version)) = store::read::<serde_json::Value>(host, &key).await? else {
        return Ok(RevokeReply { revoked: false });
    };
    let commit = CommitParams {
        require: vec![Require { key: key.clone(), version: Some(version) }],
        delete: vec![key],
        ..CommitParams::default()
    };
    match host.call(Commit, &commit).await {
        // Another was faster.
        Err(fault) if fault.is(fault::CONFLICT) => Ok(RevokeReply { revoked: false }),
        committed => committed.map(|_| RevokeReply { revoked: true }),
    }
}

fn check_tool(tool: &str) -> Result<(), Fault> {
    if (1..=TOOL_BYTES_MAX).contains(&tool.len()) && !tool.chars().any(char::is_control) {
        return Ok(());
    }
    let message = format!(
        "`{}` cannot be the name of a tool; use 1 to {TOOL_BYTES_MAX} bytes without control characters",
        tool.chars().take(TOOL_BYTES_MAX).collect::<String>().escape_debug()
    );
    Err(Fault::new(fault::INVALID, message))
}
