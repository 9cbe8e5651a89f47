//! `turn_host.v1/ask`: what was allowed for the conversation is not asked again; anything else is passed on to whoever
//! answers for people, and with nobody there it is a deny. A question that a filter demands is asked each time: what was
//! allowed before was allowed without it.
//!
//! It must not remember: what was allowed is kept with the conversation, where it is seen and taken back.

use crate::committing::from_kernel;
use crate::orchestrator::Orchestrator;
use dispatch_sdk::contracts::approvals;
use dispatch_sdk::contracts::conversations::{Grant, GrantParams, GrantedTool, Grants, GrantsParams};
use dispatch_sdk::contracts::fault::{NO_SERVICE, UNAVAILABLE};
use dispatch_sdk::contracts::turn::{AllowScope, AskParams, AskReply};
use dispatch_sdk::{Call, Fault};
use std::sync::Arc;

impl Orchestrator {
    pub(crate) async fn ask(self: Arc<Self>, call: Call, params: AskParams) -> Result<AskReply, Fault> {
        from_kernel(&call)?;
        if params.asked_by.is_empty()
            && let Some(granted) = granted(&call, &params).await
        {
            return Ok(AskReply::allow(AllowScope::Conversation, granted.by));
        }
        match call.host().call(approvals::Ask, &params).await {
            Ok(AskReply::Allow { scope: AllowScope::Conversation, args, by }) => {
                grant(&call, &params, &by).await;
                Ok(AskReply::Allow { scope: AllowScope::Conversation, args, by })
            }
            Err(fault) if fault.is(NO_SERVICE) => {
                Ok(AskReply::deny("it needs a person's consent, and nobody is there to ask"))
            }
            Err(fault) if fault.is(UNAVAILABLE) => {
                let reason =
                    format!("it needs a person's consent, and nobody is there to ask: {}", fault.message);
                Ok(AskReply::deny(reason))
            }
            Ok(AskReply::Unknown) => Ok(AskReply::deny("the answer to the question is not understood here")),
            answer => answer,
        }
    }
}

/// In doubt it is asked.
async fn granted(call: &Call, asked: &AskParams) -> Option<GrantedTool> {
    let params = GrantsParams { conversation_id: asked.conversation_id.clone() };
    match call.host().call(Grants, &params).await {
        Ok(reply) => reply.grants.into_iter().find(|grant| grant.tool == asked.tool),
        Err(fault) => {
            let (code, message) = (fault.code, fault.message);
            tracing::warn!(turn_id = asked.turn_id, code, message, "what was allowed before cannot be read");
            None
        }
    }
}

/// What cannot be kept holds for this call all the same, and is asked again.
async fn grant(call: &Call, asked: &AskParams, by: &str) {
    let params = GrantParams {
        conversation_id: asked.conversation_id.clone(),
        tool: asked.tool.clone(),
        by: if by.is_empty() { call.meta().actor } else { by.to_owned() },
    };
    if let Err(fault) = call.host().call(Grant, &params).await {
        let (code, message) = (fault.code, fault.message);
        tracing::warn!(
            turn_id = asked.turn_id,
            tool = asked.tool,
            code,
            message,
            "what was allowed cannot be kept"
        );
    }
}
