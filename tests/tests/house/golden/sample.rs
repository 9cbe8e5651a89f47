//! Samples of one verb as JSON, and what can be asked of that JSON with the verb's types.
//!
//! It must not know any contract.

use std::any::type_name;

use dispatch_contracts::message::Message;
use dispatch_contracts::{NoFrame, Verb};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;

/// A conversation that samples speak of.
pub(super) const CONVERSATION: &str = "01930000-0000-7000-8000-0000000000c1";
/// A turn that samples speak of.
pub(super) const TURN: &str = "01930000-0000-7000-8000-0000000000f1";
/// A step that samples speak of.
pub(super) const STEP: &str = "01930000-0000-7000-8000-0000000000f1#1";
/// A host process that samples speak of.
pub(super) const HOST: &str = "01930000-0000-7000-8000-0000000000a1";
/// A directory that samples speak of.
pub(super) const CWD: &str = "/srv/project";
/// A moment that samples speak of, unix ms.
pub(super) const AT: u64 = 1_763_700_000_000;

const WORD_OF_TOMORROW: &str = "a_word_of_a_later_version";

/// One verb with its samples.
pub(super) struct Golden {
    pub(super) verb: &'static str,
    pub(super) parts: Vec<Part>,
    /// What is missing, if something is.
    pub(super) gap: Option<String>,
}

/// Parameters, reply or frames of a verb.
pub(super) struct Part {
    /// `storage.v1/get.params`.
    pub(super) name: String,
    /// What the types write.
    pub(super) text: String,
    /// Reads a list of samples and writes it again.
    pub(super) again: fn(&str) -> Result<String, String>,
    /// Reads each sample as often as it has words, each time with one of them replaced by one of a later version.
    pub(super) with_unknown_words: fn(&str) -> Result<(), String>,
    /// Reads each sample with one field more than its type has.
    pub(super) with_unknown_field: fn(&str) -> Result<(), String>,
    /// Reads these samples.
    pub(super) reads: fn(&[Value]) -> Result<(), String>,
}

/// Makes the golden of `V`; a verb that emits no frames has an empty list of them.
pub(super) fn golden<V: Verb>(
    params: Vec<V::Params>,
    replies: Vec<V::Reply>,
    frames: Vec<V::Frame>,
) -> Golden {
    let emits = type_name::<V::Frame>() != type_name::<NoFrame>();
    let gap = if params.is_empty() || replies.is_empty() || emits == frames.is_empty() {
        Some(format!("{}: parameters, reply or frames have no sample", V::NAME))
    } else {
        None
    };
    let mut parts = vec![part::<V, _>("params", &params), part::<V, _>("reply", &replies)];
    if emits {
        parts.push(part::<V, _>("frame", &frames));
    }
    Golden { verb: V::NAME, parts, gap }
}

fn part<V: Verb, T: Serialize + DeserializeOwned>(what: &str, samples: &[T]) -> Part {
    Part {
        name: format!("{}.{what}", V::NAME),
        text: pretty(samples),
        again: |text| {
            serde_json::from_str::<Vec<T>>(text).map(|read| pretty(&read)).map_err(|e| e.to_string())
        },
        with_unknown_words: with_unknown_words::<T>,
        with_unknown_field: with_unknown_field::<T>,
        reads: |samples| samples.iter().try_for_each(read::<T>),
    }
}

pub(super) fn pretty<T: Serialize>(samples: &[T]) -> String {
    let mut text = serde_json::to_string_pretty(samples).expect("samples have string keys");
    text.push('\n');
    text
}

fn with_unknown_field<T: DeserializeOwned>(text: &str) -> Result<(), String> {
    let samples: Vec<Value> = serde_json::from_str(text).map_err(|error| error.to_string())?;
    for mut sample in samples {
        let fields = sample.as_object_mut().ok_or("a sample is no object, so it can never grow")?;
        fields.insert("a_field_of_a_later_version".to_owned(), serde_json::json!({"n": [1, null]}));
        read::<T>(&sample)?;
    }
    Ok(())
}

// From text, since raw JSON can be read from nothing else.
fn read<T: DeserializeOwned>(sample: &Value) -> Result<(), String> {
    serde_json::from_str::<T>(&sample.to_string()).map(|_| ()).map_err(|error| format!("{error} in {sample}"))
}

/// A text is as good as another; a word of an enum that cannot grow is told by its place.
pub(super) fn with_unknown_words<T: DeserializeOwned>(text: &str) -> Result<(), String> {
    let samples: Vec<Value> = serde_json::from_str(text).map_err(|error| error.to_string())?;
    for sample in samples {
        for place in words("", &sample) {
            let mut later = sample.clone();
            *later.pointer_mut(&place).expect("the place was just found") = Value::from(WORD_OF_TOMORROW);
            let read = serde_json::from_str::<T>(&later.to_string());
            read.map_err(|error| {
                format!("at `{place}`, which is {}: {error}", sample.pointer(&place).unwrap_or_default())
            })?;
        }
    }
    Ok(())
}

/// Where texts stand in `value`, as JSON pointers.
fn words(at: &str, value: &Value) -> Vec<String> {
    match value {
        Value::String(_) => vec![at.to_owned()],
        Value::Array(items) => {
            items.iter().enumerate().flat_map(|(idx, item)| words(&format!("{at}/{idx}"), item)).collect()
        }
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(key, field)| {
                let key = key.replace('~', "~0").replace('/', "~1");
                words(&format!("{at}/{key}"), field)
            })
            .collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => Vec::new(),
    }
}

/// Answers `value` as raw JSON.
pub(super) fn raw(value: &impl Serialize) -> Box<RawValue> {
    serde_json::value::to_raw_value(value).expect("samples have string keys")
}

/// Answers a user's message as raw JSON.
pub(super) fn said(text: &str) -> Box<RawValue> {
    raw(&Message::user(text))
}
