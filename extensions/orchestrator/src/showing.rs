//! Images on their way into a history: what a client shows beside its words, and what a tool showed. They are kept with
//! the conversations, and messages name them by their hash.

use crate::committing::from_kernel;
use crate::orchestrator::Orchestrator;
use dispatch_sdk::contracts::conversations::{KeepBlob, KeepBlobParams};
use dispatch_sdk::contracts::fault::INVALID;
use dispatch_sdk::contracts::message::{ImageSource, Part};
use dispatch_sdk::contracts::turn::{KeepParams, KeepReply};
use dispatch_sdk::contracts::turns::InputPart;
use dispatch_sdk::{Call, Fault};
use std::sync::Arc;

impl Orchestrator {
    /// `turn_host.v1/keep`.
    pub(crate) async fn keep(self: Arc<Self>, call: Call, params: KeepParams) -> Result<KeepReply, Fault> {
        from_kernel(&call)?;
        Ok(KeepReply { hash: keep(&call, params.data).await? })
    }
}

/// The parts of an input as the history has them; every image is durable when this answers.
pub(crate) async fn kept(call: &Call, parts: Vec<InputPart>) -> Result<Vec<Part>, Fault> {
    let mut kept = Vec::with_capacity(parts.len());
    for part in parts {
        match part {
            InputPart::Image { media_type, data } => {
                let hash = keep(call, data).await?;
                kept.push(Part::Image { source: ImageSource::Blob { hash }, media_type });
            }
            InputPart::Unknown => {
                return Err(Fault::new(INVALID, "`parts` holds a type that is not known here"));
            }
        }
    }
    Ok(kept)
}

async fn keep(call: &Call, data: String) -> Result<String, Fault> {
    Ok(call.host().call(KeepBlob, &KeepBlobParams { data }).await?.hash)
}
