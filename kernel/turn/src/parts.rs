//! The parts of a result and of a history: which there may be, how large, where images are kept, and what stands for an
//! image where nobody looks at images.
//!
//! It must not know tools or providers.

use crate::bound::head_and_tail;
use crate::commit::events::raw;
use crate::ctx::{Ctx, with_grace};
use crate::limits::{EMIT_GRACE_MS, RESULT_IMAGES_BYTES_MAX};
use dispatch_contracts::message::{
    IMAGE_BYTES_MAX, IMAGE_URL_BYTES_MAX, ImageSource, MEDIA_TYPE_BYTES_MAX, Part,
};
use dispatch_contracts::tool::REPLY_PARTS_MAX;
use dispatch_contracts::turn::KeepParams;
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// Stands for an image before a model that takes none.
const IMAGE_UNSEEN: &str = "[an image, which this model cannot be shown]";

/// The texts and images of a result; a text stands in the place of an image that cannot be taken.
pub(crate) fn accepted(parts: Vec<Part>) -> Vec<Part> {
    let n_parts = parts.len();
    let mut bytes_left = RESULT_IMAGES_BYTES_MAX;
    let mut accepted: Vec<Part> = Vec::new();
    for part in parts.into_iter().take(REPLY_PARTS_MAX) {
        match part {
            Part::Text { .. } => accepted.push(part),
            Part::Image { source, media_type } => match wrong(&source, &media_type, &mut bytes_left) {
                None => accepted.push(Part::Image { source, media_type }),
                Some(why) => accepted.push(left_out(&why)),
            },
            Part::Reasoning { .. } | Part::ToolCall { .. } | Part::ToolResult { .. } | Part::Unknown => {}
        }
    }
    if n_parts > REPLY_PARTS_MAX {
        let text = format!(
            "[the result has {n_parts} parts; those after the first {REPLY_PARTS_MAX} were left out]"
        );
        accepted.push(Part::Text { text });
    }
    accepted
}

/// Why an image cannot be taken.
fn wrong(source: &ImageSource, media_type: &str, bytes_left: &mut usize) -> Option<String> {
    if media_type.len() > MEDIA_TYPE_BYTES_MAX || !media_type.starts_with("image/") {
        return Some("its media type is none of an image".to_owned());
    }
    match source {
        ImageSource::Blob { hash } if hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit()) => None,
        ImageSource::Blob { .. } => Some("its name is none of a blob".to_owned()),
        ImageSource::Url { url } if url.len() <= IMAGE_URL_BYTES_MAX && url.starts_with("https://") => None,
        ImageSource::Url { .. } => {
            Some(format!("its address is not `https://…` of at most {IMAGE_URL_BYTES_MAX} bytes"))
        }
        ImageSource::Data { data } if data.len() / 4 * 3 > IMAGE_BYTES_MAX => {
            Some(format!("it has more than {IMAGE_BYTES_MAX} bytes"))
        }
        ImageSource::Data { data } => match bytes_left.checked_sub(data.len()) {
            Some(left) => {
                *bytes_left = left;
                None
            }
            None => {
                Some(format!("the images of a result have at most {RESULT_IMAGES_BYTES_MAX} bytes together"))
            }
        },
        ImageSource::Unknown => Some("where it is is not understood here".to_owned()),
    }
}

fn left_out(why: &str) -> Part {
    Part::Text { text: format!("[an image was left out: {why}]") }
}

/// `parts` with `content` in the place of their texts.
pub(crate) fn with_text(parts: Vec<Part>, content: &str) -> Vec<Part> {
    let images = parts.into_iter().filter(|part| matches!(part, Part::Image { .. }));
    std::iter::once(Part::Text { text: content.to_owned() }).chain(images).collect()
}

/// The parts as the history holds them: texts within the bound of a result, and the names of images instead of their
/// bytes. What cannot be kept is told to the model.
pub(crate) async fn kept(ctx: &Ctx<'_>, parts: Vec<Part>) -> Vec<Part> {
    let mut bytes_left = ctx.tools.limits.tool_result_bytes_max;
    let mut kept = Vec::with_capacity(parts.len());
    for part in parts {
        kept.push(match part {
            Part::Text { text } => {
                let text = head_and_tail(&text, bytes_left).into_owned();
                bytes_left = bytes_left.saturating_sub(raw(&text).get().len());
                Part::Text { text }
            }
            Part::Image { source: ImageSource::Data { data }, media_type } => {
                let keeping = ctx.ports.keep(KeepParams { data });
                match with_grace(ctx.ports, ctx.stop, EMIT_GRACE_MS, keeping).await {
                    Some(Ok(reply)) => {
                        Part::Image { source: ImageSource::Blob { hash: reply.hash }, media_type }
                    }
                    Some(Err(fault)) => left_out(&fault.message),
                    None => left_out("the turn was stopped before it was kept"),
                }
            }
            part => part,
        });
    }
    kept
}

/// The message with words in the place of its images; `None` when it has none.
pub(crate) fn in_words(message: &RawValue) -> Option<Box<RawValue>> {
    if !message.get().contains("\"image\"") {
        return None;
    }
    let mut value: Value = serde_json::from_str(message.get()).ok()?;
    let changed = unsee(value.get_mut("parts"));
    changed.then(|| raw(&value))
}

fn unsee(parts: Option<&mut Value>) -> bool {
    let Some(Value::Array(parts)) = parts else { return false };
    let mut changed = false;
    for part in parts {
        if part.get("type").and_then(Value::as_str) == Some("image") {
            *part = json!({ "type": "text", "text": IMAGE_UNSEEN });
            changed = true;
        } else {
            changed |= unsee(part.get_mut("parts"));
        }
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(source: ImageSource) -> Part {
        Part::Image { source, media_type: "image/png".to_owned() }
    }

    #[test]
    fn what_a_result_may_not_hold_is_told_in_words() {
        let data = |n: usize| image(ImageSource::Data { data: "A".repeat(n) });
        let whole = IMAGE_BYTES_MAX / 3 * 4;
        let url = |url: String| image(ImageSource::Url { url });
        let blob = |hash: &str| image(ImageSource::Blob { hash: hash.to_owned() });
        for (part, taken) in [
            (data(whole), true),
            (data(whole + 8), false),
            (url("https://a.example/b.png".to_owned()), true),
            (url("file:///etc/passwd".to_owned()), false),
            (url(format!("https://{}", "a".repeat(IMAGE_URL_BYTES_MAX))), false),
            (blob(&"0f".repeat(32)), true),
            (blob("../x"), false),
            (image(ImageSource::Unknown), false),
            (
                Part::Image {
                    source: ImageSource::Data { data: String::new() },
                    media_type: "text/html".to_owned(),
                },
                false,
            ),
        ] {
            let found = accepted(vec![part.clone()]);
            assert_eq!(found == [part], taken, "{:.200}", format!("{found:?}"));
            assert_eq!(found.len(), 1);
        }
        assert_eq!(accepted(vec![Part::Unknown]), []);
    }

    #[test]
    fn the_images_and_the_parts_of_one_result_are_bounded_together() {
        let one = || image(ImageSource::Data { data: "A".repeat(RESULT_IMAGES_BYTES_MAX / 2) });
        let found = accepted(vec![one(), one(), image(ImageSource::Data { data: "A".to_owned() })]);
        assert!(matches!(found.as_slice(), [Part::Image { .. }, Part::Image { .. }, Part::Text { .. }]));
        let text = Part::Text { text: "x".to_owned() };
        let found = accepted(vec![text; REPLY_PARTS_MAX + 1]);
        assert_eq!(found.len(), REPLY_PARTS_MAX + 1);
        assert!(matches!(found.last(), Some(Part::Text { text }) if text.contains("left out")));
    }

    #[test]
    fn words_stand_for_images_and_everything_else_stays() {
        let read = |text: &str| serde_json::from_str::<Box<RawValue>>(text).expect("JSON");
        assert!(
            in_words(&read(r#"{"role":"user","parts":[{"type":"text","text":"an \"image\""}]}"#)).is_none()
        );
        let message = read(
            r#"{"role":"tool","parts":[{"type":"tool_result","content":"x","parts":[{"type":"image","source":{"type":"blob","hash":"0"},"media_type":"image/png"},{"type":"later","n":1}]}]}"#,
        );
        let words: Value = serde_json::from_str(in_words(&message).expect("changed").get()).expect("JSON");
        let result = &words["parts"][0];
        assert_eq!(result["content"], "x");
        assert_eq!(
            result["parts"],
            json!([{ "type": "text", "text": IMAGE_UNSEEN }, { "type": "later", "n": 1 }])
        );
    }
}
