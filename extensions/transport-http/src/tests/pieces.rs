//! Pieces that need no socket: schemas, templates, addresses, frames.

use crate::frames::{put_event, put_frame};
use crate::listen::Place;
use crate::routes::{Refused, Routes, names_of};
use crate::schema::{Kinds, Shape};
use serde_json::{Value, json};
use std::time::Instant;

#[test]
fn the_shape_of_an_input_is_found_through_references() {
    let schema = json!({
        "$ref": "#/$defs/Params",
        "allOf": [{ "properties": { "flat": { "type": "boolean" } } }],
        "$defs": {
            "Params": { "type": "object", "properties": {
                "maybe": { "anyOf": [{ "$ref": "#/$defs/Level" }, { "type": "null" }] },
                "list": { "type": ["array", "null"], "items": { "$ref": "#/$defs/Level" } },
                "any": {},
                "never": true,
                "loop": { "$ref": "#/$defs/Loop" },
                "mixed": { "enum": [1, "two", true, 1.5] },
                "sure": { "const": 7 },
            } },
            "Level": { "oneOf": [{ "const": "low" }, { "const": "high" }] },
            "Loop": { "$ref": "#/$defs/Loop" },
        },
    });
    let shape = Shape::of(&schema);
    let names: Vec<_> = shape.fields.keys().map(String::as_str).collect();
    assert_eq!(names, ["any", "flat", "list", "loop", "maybe", "mixed", "never", "sure"]);
    let text = Kinds { string: true, ..Kinds::default() };
    assert_eq!(shape.fields["maybe"], text);
    assert_eq!(shape.fields["list"], Kinds { array: Some(Box::new(text)), ..Kinds::default() });
    for plain in ["any", "never", "loop"] {
        assert_eq!(shape.fields[plain], Kinds::default(), "{plain}");
    }
    let read = |field: &str, text: &str| shape.fields[field].read(text);
    assert_eq!(read("any", "1"), Some(json!("1")));
    for (text, value) in [("1", json!(1)), ("true", json!(true)), ("two", json!("two")), ("1.5", json!(1.5))]
    {
        assert_eq!(read("mixed", text), Some(value));
    }
    assert_eq!((read("sure", "7"), read("sure", "x")), (Some(json!(7)), None));
    assert_eq!(read("flat", "TRUE"), None);
}

#[test]
fn numbers_keep_their_digits() {
    let integer = Kinds { integer: true, ..Kinds::default() };
    for text in ["18446744073709551615", "-9223372036854775808", "0"] {
        assert_eq!(integer.read(text).map(|value| value.to_string()).as_deref(), Some(text));
    }
    for text in ["18446744073709551616", "1e3", "0x1", " 1", "1 ", "", "-"] {
        assert_eq!(integer.read(text), None, "{text}");
    }
    let number = Kinds { number: true, ..Kinds::default() };
    for text in ["inf", "NaN", "1e999", "x"] {
        assert_eq!(number.read(text), None, "{text}");
    }
    assert_eq!(number.read("1e3"), Some(json!(1000.0)));
}

#[test]
fn templates_that_differ_in_names_alone_are_one_path() {
    assert_eq!(names_of("/a/{x}/b/{y}"), ["x", "y"]);
    assert_eq!(names_of("/a/{*rest}"), ["rest"]);
    let mut routes = Routes::default();
    assert_eq!(routes.add("GET", "/a/{x}", ()), Ok(()));
    assert_eq!(routes.add("PUT", "/a/{y}", ()), Ok(()));
    assert_eq!(routes.add("GET", "/a/{y}", ()), Err(Refused::Taken));
    assert_eq!(routes.add("HEAD", "/a/{y}", ()), Err(Refused::Taken));
    assert_eq!(routes.add("GET", "/a/fixed", ()), Ok(()));
    assert_eq!(routes.add("GET", "/a/{x}/b", ()), Ok(()));
    assert_eq!(routes.add("GET", "/a/{*all}", ()), Err(Refused::Taken));
    assert!(matches!(routes.add("GET", &format!("/{}", "x".repeat(2_000)), ()), Err(Refused::Malformed(_))));
}

#[test]
fn addresses_are_read_as_people_write_them() {
    for (text, shown) in [
        ("127.0.0.1:80", "127.0.0.1:80"),
        ("[::1]:0", "[::1]:0"),
        ("localhost:7700", "127.0.0.1:7700"),
        ("unix:/run/x.sock", "unix:/run/x.sock"),
    ] {
        assert_eq!(Place::parse(text).expect("an address").to_string(), shown);
    }
}

#[test]
fn data_of_several_lines_stays_one_event() {
    let mut out = Vec::new();
    put_event(&mut out, "end", b"{\n  \"a\": 1\n}");
    assert_eq!(out, b"event: end\ndata: {\ndata:   \"a\": 1\ndata: }\n\n");
    let mut out = Vec::new();
    put_frame(&mut out, b"\xff not JSON");
    assert_eq!(out, b"data: \xff not JSON\n\n");
}

/// Prints what a frame costs: `cargo test --release … -- --nocapture a_frame_is_put`.
#[test]
fn a_frame_is_put_without_reading_its_data() {
    let data: Value =
        json!({ "step_id": "0197a5c0-0000-7000-8000-0000000000f1#1", "text": "some words of an answer" });
    let frame = json!({
        "seq": 1234, "conversation_id": "0197a5c0-0000-7000-8000-000000000001",
        "turn_id": "0197a5c0-0000-7000-8000-0000000000f1", "at": 1_700_000_000_000_u64,
        "type": "text_delta", "data": data,
    })
    .to_string();
    let (n, begun) = (20_000_u32, Instant::now());
    let mut out = Vec::new();
    for _ in 0..n {
        out.clear();
        put_frame(&mut out, frame.as_bytes());
    }
    println!("{} bytes, {:?} each", frame.len(), begun.elapsed() / n);
    assert!(out.starts_with(b"id: 1234\nevent: text_delta\ndata: {"));
}
