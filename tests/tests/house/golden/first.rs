//! What the first writers of each verb wrote: the golden files of their time, out of the archive of their sources.
//!
//! It must not know any contract.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Fields whose word says of which kind an object is; each kind has fields of its own.
const TAGS: [&str; 5] = ["type", "op", "decision", "kind", "source"];

/// Unpacks the golden files of the first writers into `dir`.
pub(super) fn unpack(dir: &Path) {
    let archive = ::house::workspace_dir().join("tests/abi-fixtures/first.tar.gz");
    #[expect(clippy::disallowed_methods, reason = "a tool of the machine, on an archive of ours")]
    let mut tar = Command::new("tar");
    let status = tar.arg("-xzf").arg(archive).arg("-C").arg(dir).arg("tests/golden").status();
    assert!(status.expect("`tar` is there").success(), "the archive holds golden files");
}

/// Answers `sample` once for each field that no sample of `first` has, each time without it.
pub(super) fn without_new_fields(sample: &Value, first: &[Value]) -> Vec<Value> {
    let mut known = BTreeSet::new();
    for sample in first {
        walk("", "", sample, &mut |place, _| {
            known.extend([place.to_owned(), object_of(place).to_owned()]);
        });
    }
    let mut found = Vec::new();
    walk("", "", sample, &mut |place, pointer| {
        if !known.contains(place) && known.contains(object_of(place)) {
            found.push(pointer.to_owned());
        }
    });
    found.iter().map(|pointer| without(sample, pointer)).collect()
}

/// The object, with its kind, whose field stands at `place`.
fn object_of(place: &str) -> &str {
    place.rsplit_once('/').map_or("", |(object, _)| object)
}

fn without(sample: &Value, pointer: &str) -> Value {
    let mut earlier = sample.clone();
    let (object, field) = pointer.rsplit_once('/').expect("a pointer of a field has one slash at least");
    let object = earlier.pointer_mut(object).and_then(Value::as_object_mut);
    object.expect("the place was just found").remove(&field.replace("~1", "/").replace("~0", "~"));
    earlier
}

/// Tells of every field where it stands: by its place, in which lists have no numbers and objects their kind, and by
/// its pointer.
fn walk(place: &str, pointer: &str, value: &Value, told: &mut dyn FnMut(&str, &str)) {
    match value {
        Value::Object(fields) => {
            let kind = TAGS.iter().find_map(|tag| fields.get(*tag)?.as_str()).unwrap_or_default();
            for (key, field) in fields {
                let key = key.replace('~', "~0").replace('/', "~1");
                let (place, pointer) = (format!("{place}<{kind}>/{key}"), format!("{pointer}/{key}"));
                told(&place, &pointer);
                walk(&place, &pointer, field, told);
            }
        }
        Value::Array(items) => {
            for (idx, item) in items.iter().enumerate() {
                walk(place, &format!("{pointer}/{idx}"), item, told);
            }
        }
        _ => {}
    }
}

#[test]
fn a_field_that_came_later_is_left_out_and_those_of_the_first_are_not() {
    let first = [serde_json::json!({"a": 1, "parts": [{"type": "text", "text": ""}]})];
    let later = serde_json::json!({"a": 1, "b": {"c": 1}, "parts": [
        {"type": "text", "text": "", "of": 2}, {"type": "image", "url": ""},
    ]});
    let without: Vec<String> = without_new_fields(&later, &first).iter().map(Value::to_string).collect();
    assert_eq!(
        without,
        [
            r#"{"a":1,"parts":[{"of":2,"text":"","type":"text"},{"type":"image","url":""}]}"#,
            r#"{"a":1,"b":{"c":1},"parts":[{"text":"","type":"text"},{"type":"image","url":""}]}"#,
        ]
    );
}
