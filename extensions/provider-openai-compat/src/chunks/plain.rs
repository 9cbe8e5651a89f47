//! The chunk that long answers are made of, one choice with a piece of text and nothing else, read without a tree of values.
//!
//! Whatever else a chunk may hold makes [`read`] answer `None`: then the reader of all chunks takes it. It must not know
//! frames.

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, Visitor};
use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

/// What such a chunk says; a text that is absent or null is empty.
#[derive(Debug)]
pub(super) struct Plain<'d> {
    pub(super) model: Text<'d>,
    pub(super) reasoning: Text<'d>,
    pub(super) is_reasoning_content: bool,
    pub(super) content: Text<'d>,
}

/// Fields that must be absent or null are read as `Option<IgnoredAny>`; fields that are not named say nothing here.
#[derive(serde::Deserialize)]
struct Chunk<'d> {
    #[serde(borrow, default)]
    object: Text<'d>,
    #[serde(borrow, default)]
    model: Text<'d>,
    #[serde(borrow)]
    choices: [Choice<'d>; 1],
    usage: Option<IgnoredAny>,
    x_groq: Option<IgnoredAny>,
    error: Option<IgnoredAny>,
}

#[derive(serde::Deserialize)]
struct Choice<'d> {
    index: Option<u64>,
    #[serde(borrow)]
    delta: Delta<'d>,
    #[serde(borrow, default)]
    finish_reason: Text<'d>,
    usage: Option<IgnoredAny>,
    x_groq: Option<IgnoredAny>,
}

#[derive(serde::Deserialize)]
struct Delta<'d> {
    #[serde(borrow, default)]
    content: Text<'d>,
    #[serde(borrow, default)]
    reasoning_content: Text<'d>,
    #[serde(borrow, default)]
    reasoning: Text<'d>,
    #[serde(borrow, default)]
    refusal: Text<'d>,
    tool_calls: Option<Vec<IgnoredAny>>,
    function_call: Option<IgnoredAny>,
    reasoning_details: Option<Vec<IgnoredAny>>,
}

/// Reads the data of one event, if it is such a chunk.
pub(super) fn read(data: &str) -> Option<Plain<'_>> {
    // A list would be read as the fields in their order.
    if !data.starts_with('{') {
        return None;
    }
    let Chunk { object, model, choices: [choice], usage, x_groq, error } = serde_json::from_str(data).ok()?;
    let Choice { index, delta, finish_reason, usage: choice_usage, x_groq: choice_x_groq } = choice;
    let Delta {
        content,
        reasoning_content,
        reasoning,
        refusal,
        tool_calls,
        function_call,
        reasoning_details,
    } = delta;
    let says_more = [usage, x_groq, error, choice_usage, choice_x_groq, function_call];
    let is_plain = says_more.iter().all(Option::is_none)
        && [tool_calls, reasoning_details].into_iter().flatten().all(|list| list.is_empty())
        && index.unwrap_or(0) == 0
        && refusal.is_empty()
        && finish_reason.is_empty()
        && *object != *"error";
    let is_reasoning_content = !reasoning_content.is_empty();
    let reasoning = if is_reasoning_content { reasoning_content } else { reasoning };
    is_plain.then_some(Plain { model, reasoning, is_reasoning_content, content })
}

/// A string or null, borrowed where it holds no escape.
#[derive(Debug, Default)]
pub(super) struct Text<'d>(Cow<'d, str>);

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de: 'd, 'd> Deserialize<'de> for Text<'d> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or null")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Text(Cow::Owned(text.to_owned())))
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Text::default())
    }
}
