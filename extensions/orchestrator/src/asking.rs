//! `turn_host.v1/ask`: passed on to whoever answers for people; with nobody there it is a deny.

use crate::Orchestrator;
use crate::committing::from_kernel;
use dispatch_sdk::contracts::approvals;
use dispatch_sdk::contracts::fault::{NO_SERVICE, UNAVAILABLE};
use dispatch_sdk::contracts::turn::{AllowScope, AskParams, AskReply};
use dispatch_sdk::{Call, Fault};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// Most answers remembered; the oldest are asked again.
const ALLOWED_MAX: usize = 1024;

/// Tools that a person allowed for the rest of a conversation, as long as this host runs.
#[derive(Default)]
pub(crate) struct Allowed {
    /// `(conversation, tool)`, oldest first.
    pairs: Mutex<VecDeque<(String, String)>>,
}

impl Allowed {
    fn holds(&self, asked: &AskParams) -> bool {
        let pairs = self.pairs.lock().unwrap_or_else(PoisonError::into_inner);
        pairs.iter().any(|(conversation, tool)| *conversation == asked.conversation_id && *tool == asked.tool)
    }

    fn remember(&self, asked: &AskParams) {
        if self.holds(asked) {
            return;
        }
        let mut pairs = self.pairs.lock().unwrap_or_else(PoisonError::into_inner);
        if pairs.len() == ALLOWED_MAX {
            pairs.pop_front();
        }
        pairs.push_back((asked.conversation_id.clone(), asked.tool.clone()));
    }
}

impl Orchestrator {
    pub(crate) async fn ask(self: Arc<Self>, call: Call, params: AskParams) -> Result<AskReply, Fault> {
        from_kernel(&call)?;
        if self.allowed.holds(&params) {
            return Ok(AskReply::Allow { scope: AllowScope::Conversation });
        }
        match call.host().call(approvals::Ask, &params).await {
            Ok(AskReply::Allow { scope: AllowScope::Conversation }) => {
                self.allowed.remember(&params);
                Ok(AskReply::Allow { scope: AllowScope::Conversation })
            }
            Err(fault) if fault.is(NO_SERVICE) => Ok(AskReply::Deny {
                reason: "it needs a person's consent, and nobody is there to ask".to_owned(),
            }),
            Err(fault) if fault.is(UNAVAILABLE) => {
                let reason =
                    format!("it needs a person's consent, and nobody is there to ask: {}", fault.message);
                Ok(AskReply::Deny { reason })
            }
            Ok(AskReply::Unknown) => {
                Ok(AskReply::Deny { reason: "the answer to the question is not understood here".to_owned() })
            }
            answer => answer,
        }
    }
}

#[cfg(test)]
mod tests;
