//! The ops, as the kernel and projections read them.

use crate::ops;
use serde_json::Value;

const MANIFEST: &str = include_str!("../../extension.toml");

#[test]
fn every_example_of_an_op_is_valid_and_a_wrong_key_is_not() {
    for op in ops::all() {
        let schema = jsonschema::validator_for(&op.input_schema).expect("a schema");
        assert!(!op.examples.is_empty(), "{}", op.id);
        for example in op.examples {
            assert!(schema.is_valid(&example.input), "{}: {}", op.id, example.summary);
            let mut wrong = example.input;
            wrong["turn"] = Value::Null;
            assert!(!schema.is_valid(&wrong), "{} takes a key that it does not know", op.id);
        }
    }
}

#[test]
fn every_op_is_in_the_manifest_and_names_a_verb_of_this_extension() {
    for op in ops::all() {
        assert!(MANIFEST.contains(&format!("\"{}\"", op.id)), "{}", op.id);
        let (noun, verb) = op.id.split_once('.').expect("`<noun>.<verb>`");
        assert_eq!(op.verb, format!("turns.v1/{}", if noun == "turns" { verb } else { noun }));
        assert_eq!(op.stream, op.id == "turns.watch");
        let below_conversations = op.surface.http_path.starts_with("/v1/conversations/{conversation_id}/");
        assert_eq!(below_conversations, noun == "turns", "{}", op.surface.http_path);
    }
}
