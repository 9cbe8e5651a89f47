//! Puts an op's input together from the path, the query, the body and `Last-Event-ID`.
//!
//! It must not know how the op is run. The path wins over all; a field that stands both in the query and in the body
//! is refused; `Last-Event-ID` wins over `?after=`, because a browser that reconnects repeats the URL it began with
//! and adds the header to say how far it came.

use crate::body::Fields;
use crate::problem::Problem;
use crate::schema::{Kinds, Shape};
use percent_encoding::percent_decode_str;
use serde_json::Value;
use std::collections::BTreeMap;

/// The field of a stream's input that is its cursor.
pub(crate) const CURSOR_FIELD: &str = "after";
/// Most parameters of a query.
const QUERY_PARAMETERS_MAX: usize = 256;

/// Where an input comes from.
pub(crate) struct Sources<'a> {
    pub(crate) places: BTreeMap<String, String>,
    pub(crate) query: &'a str,
    pub(crate) fields: Fields,
    /// Of a stream op alone.
    pub(crate) last_event_id: Option<&'a str>,
    /// Whether the op emits frames.
    pub(crate) stream: bool,
}

/// The input as JSON.
pub(crate) fn put_together(shape: &Shape, sources: Sources<'_>) -> Result<Vec<u8>, Problem> {
    let Sources { places, query, mut fields, last_event_id, stream } = sources;
    let cursors = stream && shape.fields.contains_key(CURSOR_FIELD);
    for (name, texts) in query_parameters(query)? {
        let Some(kinds) = shape.fields.get(&name) else { return Err(unknown(&name, shape)) };
        if places.contains_key(&name) {
            continue;
        }
        if fields.contains_key(&name) {
            let message = format!("`{name}` stands in the query and in the body; send it once");
            return Err(Problem::invalid(message));
        }
        let value = if cursors && name == CURSOR_FIELD {
            cursor("the query's `after`", single(&name, &texts)?)?
        } else {
            value(&name, kinds, &texts)?
        };
        fields.insert(name, raw(&value));
    }
    if cursors && let Some(id) = last_event_id.filter(|id| !id.is_empty()) {
        fields.insert(CURSOR_FIELD.to_owned(), raw(&cursor("`Last-Event-ID`", id)?));
    }
    for (name, text) in places {
        let kinds = shape.fields.get(&name).cloned().unwrap_or_default();
        fields.insert(name.clone(), raw(&value(&name, &kinds, std::slice::from_ref(&text))?));
    }
    Ok(serde_json::to_vec(&fields).expect("names and JSON always encode"))
}

fn raw(value: &Value) -> Box<serde_json::value::RawValue> {
    serde_json::value::to_raw_value(value).expect("a JSON value always encodes")
}

fn cursor(whence: &str, text: &str) -> Result<Value, Problem> {
    match text.parse::<u64>() {
        Ok(cursor) if text.bytes().all(|b| b.is_ascii_digit()) => Ok(cursor.into()),
        _ => Err(Problem::invalid(format!(
            "{whence} is no cursor; send the `id` of the last event that was seen"
        ))),
    }
}

fn value(name: &str, kinds: &Kinds, texts: &[String]) -> Result<Value, Problem> {
    let wrong = |kinds: &Kinds| {
        Problem::invalid(format!("`{name}` is not what the op takes; send {}", kinds.wanted()))
    };
    if let Some(items) = &kinds.array {
        let items: Option<Vec<_>> = texts.iter().map(|text| items.read(text)).collect();
        return items.map(Value::Array).ok_or_else(|| wrong(kinds.array.as_deref().unwrap_or(kinds)));
    }
    kinds.read(single(name, texts)?).ok_or_else(|| wrong(kinds))
}

fn single<'a>(name: &str, texts: &'a [String]) -> Result<&'a str, Problem> {
    match texts {
        [text] => Ok(text),
        _ => {
            Err(Problem::invalid(format!("`{name}` stands in the query {} times; send it once", texts.len())))
        }
    }
}

fn unknown(name: &str, shape: &Shape) -> Problem {
    let known: Vec<_> = shape.fields.keys().map(|known| format!("`{known}`")).collect();
    let known =
        if known.is_empty() { "none is known".to_owned() } else { format!("known are {}", known.join(", ")) };
    Problem::invalid(format!("`{name}` is no parameter of this route; {known}"))
}

/// Names and their texts, decoded; a `+` is a space.
fn query_parameters(query: &str) -> Result<BTreeMap<String, Vec<String>>, Problem> {
    let mut parameters: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (n, pair) in query.split('&').filter(|pair| !pair.is_empty()).enumerate() {
        if n >= QUERY_PARAMETERS_MAX {
            let message = format!("the query has more than {QUERY_PARAMETERS_MAX} parameters; send fewer");
            return Err(Problem::invalid(message));
        }
        let (name, text) = pair.split_once('=').unwrap_or((pair, ""));
        parameters.entry(decoded(name)?).or_default().push(decoded(text)?);
    }
    Ok(parameters)
}

fn decoded(text: &str) -> Result<String, Problem> {
    let spaced = text.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8();
    decoded
        .map(|text| text.into_owned())
        .map_err(|_| Problem::invalid("the query is no UTF-8 when it is decoded"))
}
