//! A schema as `schemars` writes it: its keys, and what does not fit it.

use super::*;
use serde_json::json;

fn settings() -> Settings {
    let schema = json!({
        "type": "object", "additionalProperties": false,
        "properties": {
            "base_url": { "type": "string", "default": "", "description": "Where the\n endpoint is." },
            "api_key": { "type": ["string", "null"], "writeOnly": true, "description": "Its key." },
            "headers": { "type": "object", "additionalProperties": { "type": "string" }, "default": {}, "x-reload": true },
            "wait_ms": { "type": "integer", "format": "uint64", "minimum": 1, "maximum": 900, "default": 5 },
            "delays_ms": { "type": "array", "items": { "type": "integer", "minimum": 0 }, "default": [1, 2] },
            "mode": { "oneOf": [{ "const": "full", "description": "A." }, { "const": "normal" }], "default": "full" },
            "breaker": {
                "type": "object", "additionalProperties": false, "default": { "failures": 30 },
                "properties": { "failures": { "type": "integer", "minimum": 0, "description": "How many." } }
            }
        }
    });
    Settings::parse(schema.to_string().as_bytes()).unwrap()
}

#[test]
fn every_key_says_what_it_takes() {
    let shown: Vec<String> = settings()
        .keys()
        .iter()
        .map(|key| {
            let default = key.default.as_ref().map_or_else(String::new, |value| format!(" = {value}"));
            let marks = [(key.reload, " reload"), (key.secret, " secret")];
            let marks: String = marks.iter().filter(|(on, _)| *on).map(|(_, mark)| *mark).collect();
            format!("{}{default}: {}{marks} {}", key.name(), key.shape(), key.meaning)
        })
        .collect();
    assert_eq!(
        shown,
        [
            "api_key: text secret Its key.",
            "base_url = \"\": text Where the endpoint is.",
            "breaker.failures = 30: whole number How many.",
            "delays_ms = [1,2]: list of whole numbers, ms ",
            "headers.*: text reload ",
            "mode = \"full\": `full` or `normal` ",
            "wait_ms = 5: whole number from 1 to 900, ms ",
        ]
    );
}

#[test]
fn what_does_not_fit_is_named_with_its_mend_and_without_its_value() {
    let told = |config| -> Vec<String> {
        settings().misfits(&config).into_iter().map(|m| format!("{}; {}", m.message, m.help)).collect()
    };
    assert!(told(json!({})).is_empty());
    assert!(told(json!({ "api_key": { "env": "KEY" }, "headers": { "x": { "env": "Y" } } })).is_empty());
    assert_eq!(told(json!({ "wiat_ms": 1 })), ["there is no key `wiat_ms`; did you mean `wait_ms`?"]);
    assert_eq!(
        told(json!({ "breaker": { "zzz": 1 } })),
        ["there is no key `breaker.zzz`; its keys are `failures`"]
    );
    assert_eq!(
        told(json!({ "wait_ms": "sk-canary-000" })),
        ["`wait_ms` does not fit: expected whole number from 1 to 900, ms; "]
    );
    assert_eq!(
        told(json!({ "wait_ms": { "env": "N" } })),
        ["`wait_ms` does not fit: expected whole number from 1 to 900, ms; "]
    );
    assert_eq!(told(json!({ "mode": "sk-canary" })), ["`mode` does not fit: expected `full` or `normal`; "]);
    assert_eq!(told(json!({ "headers": { "x": 3 } })), ["`headers.x` does not fit: expected text; "]);
    for config in
        [json!({ "api_key": ["sk-canary"] }), json!({ "delays_ms": ["sk-canary"] }), json!("sk-canary")]
    {
        let told = told(config).concat();
        assert!(!told.is_empty() && !told.contains("canary"), "{told}");
    }
}

#[test]
fn what_is_no_schema_of_a_table_is_refused() {
    for bytes in [&b"{"[..], b"[]", b"{}", b"{\"type\":\"string\"}"] {
        assert!(Settings::parse(bytes).is_err(), "{}", String::from_utf8_lossy(bytes));
    }
    assert!(Settings::parse(&vec![b' '; SETTINGS_BYTES_MAX + 1]).is_err());
}
