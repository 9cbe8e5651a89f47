//! The images of a history: their bytes, from where they are kept. It must not know the wire.

use dispatch_sdk::contracts::conversations::{Blob, BlobParams};
use dispatch_sdk::contracts::fault::{NO_SERVICE, NOT_FOUND, TOO_LARGE};
use dispatch_sdk::contracts::message::{ImageSource, Message, Part};
use dispatch_sdk::{Call, Fault};
use std::collections::HashMap;

/// Most bytes of the images of one request, as base64; the newest are shown.
pub(crate) const REQUEST_IMAGES_BYTES_MAX: usize = 20 * 1024 * 1024;

/// Stands for an image that is kept nowhere any more.
const GONE: &str = "[an image, which is not kept any more]";
/// Stands for an image beyond the bound.
const TOO_MANY: &str = "[an image, which there was no room to show again]";
/// Stands for an image in a place that nobody here knows.
const UNKNOWN: &str = "[an image, which cannot be shown]";

/// The bytes of the images of one history, by name; what is missing there was too much.
#[derive(Debug, Default)]
pub(crate) struct Images {
    by_hash: HashMap<String, Option<String>>,
}

impl Images {
    /// Asks for the bytes of every image, the newest first, up to [`REQUEST_IMAGES_BYTES_MAX`].
    ///
    /// Errors: those of whoever keeps them, unless they say that there is no such image or nobody keeps any.
    pub(crate) async fn of(history: &[Message], call: &Call) -> Result<Self, Fault> {
        let mut images = Self::default();
        let mut bytes_left = REQUEST_IMAGES_BYTES_MAX;
        for hash in history.iter().rev().flat_map(|message| hashes(&message.parts).into_iter().rev()) {
            if images.by_hash.contains_key(hash) {
                continue;
            }
            let data = match call.host().call(Blob, &BlobParams { hash: hash.to_owned() }).await {
                Ok(reply) => Some(reply.data),
                Err(fault) if [NOT_FOUND, NO_SERVICE, TOO_LARGE].contains(&fault.code.as_str()) => None,
                Err(fault) => return Err(fault),
            };
            let Some(left) = bytes_left.checked_sub(data.as_ref().map_or(0, String::len)) else { break };
            bytes_left = left;
            images.by_hash.insert(hash.to_owned(), data);
        }
        Ok(images)
    }

    /// The address of an image for the endpoint, or what is said in its place.
    pub(crate) fn address(&self, source: &ImageSource, media_type: &str) -> Result<String, &'static str> {
        match source {
            ImageSource::Blob { hash } => match self.by_hash.get(hash) {
                Some(Some(data)) => Ok(format!("data:{media_type};base64,{data}")),
                Some(None) => Err(GONE),
                None => Err(TOO_MANY),
            },
            ImageSource::Url { url } => Ok(url.clone()),
            ImageSource::Data { data } => Ok(format!("data:{media_type};base64,{data}")),
            ImageSource::Unknown => Err(UNKNOWN),
        }
    }
}

/// The names of the images of a message, in order.
fn hashes(parts: &[Part]) -> Vec<&str> {
    let mut found = Vec::new();
    for part in parts {
        match part {
            Part::Image { source: ImageSource::Blob { hash }, .. } => found.push(hash.as_str()),
            Part::ToolResult { parts, .. } => found.extend(hashes(parts)),
            Part::Image { .. }
            | Part::Text { .. }
            | Part::Reasoning { .. }
            | Part::ToolCall { .. }
            | Part::Unknown => {}
        }
    }
    found
}
