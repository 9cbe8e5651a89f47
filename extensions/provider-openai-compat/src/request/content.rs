//! The content of one message: a text, or texts and images where it has images that are shown. It must not know roles.

use super::style::Style;
use dispatch_sdk::contracts::message::Part;
use serde::Serialize;

/// Said in the place of an image to a model that was found to take none.
const UNSEEN: &str = "[an image, which this model cannot be shown]";

/// What stands under `content`.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Content {
    Text(String),
    Pieces(Vec<Piece>),
}

/// One piece of a content that is a list.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Piece {
    Text { text: String },
    ImageUrl { image_url: Address },
}

#[derive(Debug, Serialize)]
pub(super) struct Address {
    url: String,
}

impl Content {
    /// What a user's parts say; a text wherever there is no image, since strict servers take no list.
    pub(super) fn of(parts: &[Part], style: Style<'_>) -> Self {
        let (text, images) = divided(parts, style);
        match images.is_empty() {
            true => Self::Text(text),
            false if text.is_empty() => Self::Pieces(images),
            false => Self::Pieces(std::iter::once(Piece::Text { text }).chain(images).collect()),
        }
    }

    pub(super) fn has_images(&self) -> bool {
        matches!(self, Self::Pieces(_))
    }

    /// Goes on with what was said next.
    pub(super) fn push(&mut self, next: Self) {
        match (&mut *self, next) {
            (Self::Text(said), Self::Text(next)) => {
                said.push_str("\n\n");
                said.push_str(&next);
            }
            (said, next) => {
                let mut pieces = std::mem::replace(said, Self::Text(String::new())).into_pieces();
                pieces.extend(next.into_pieces());
                *said = Self::Pieces(pieces);
            }
        }
    }

    fn into_pieces(self) -> Vec<Piece> {
        match self {
            Self::Text(text) => vec![Piece::Text { text }],
            Self::Pieces(pieces) => pieces,
        }
    }
}

/// The texts of some parts, words for images that are not shown among them, and the images that are, in order.
pub(super) fn divided(parts: &[Part], style: Style<'_>) -> (String, Vec<Piece>) {
    let (mut texts, mut images) = (Vec::new(), Vec::new());
    for part in parts {
        match part {
            Part::Text { text } => texts.push(text.as_str()),
            Part::Image { .. } if !style.shows_images => texts.push(UNSEEN),
            Part::Image { source, media_type } => match style.images.address(source, media_type) {
                Ok(url) => images.push(Piece::ImageUrl { image_url: Address { url } }),
                Err(words) => texts.push(words),
            },
            Part::Reasoning { .. } | Part::ToolCall { .. } | Part::ToolResult { .. } | Part::Unknown => {}
        }
    }
    (texts.join("\n"), images)
}
