//! The whole matrix of choices.

use super::Providers;
use dispatch_sdk::contracts::kernel::ProvidersReply;
use serde_json::{Value, json};

fn reply(providers: Value) -> ProvidersReply {
    let reply = json!({
        "host_id": "h",
        "providers": providers,
        "disabled": [{ "id": "lost", "reason": "its library is missing" }],
    });
    serde_json::from_value(reply).expect("providers")
}

#[test]
fn a_provider_is_chosen_by_name_then_by_the_last_turn_then_if_it_is_the_only_one() {
    let a = || json!({ "name": "a", "ready": true });
    let b = || json!({ "name": "b", "ready": true });
    let keyless = || json!({ "name": "keyless", "ready": false, "reason": "`KEY` is not set" });
    let demo = || json!({ "name": "demo", "ready": true, "selectable": false });
    let cases = [
        // Providers, named, last, expected.
        (json!([a()]), None, None, Ok("a")),
        (json!([a(), keyless(), demo()]), None, None, Ok("a")),
        (
            json!([a(), b()]),
            None,
            None,
            Err(
                "several providers are ready and none is chosen; name one of `a`, `b`, or set `orchestrator.default_provider`",
            ),
        ),
        (json!([a(), b()]), Some("b"), Some("a"), Ok("b")),
        (json!([a(), b()]), None, Some("b"), Ok("b")),
        (json!([a(), keyless()]), None, Some("keyless"), Ok("a")),
        (
            json!([a(), b()]),
            None,
            Some("gone"),
            Err(
                "several providers are ready and none is chosen; name one of `a`, `b`, or set `orchestrator.default_provider`",
            ),
        ),
        (json!([a(), demo()]), Some("demo"), None, Ok("demo")),
        (json!([a(), demo()]), None, Some("demo"), Ok("demo")),
        (json!([a(), demo()]), Some("x"), None, Err("there is no provider `x`; known: `a`, `demo`")),
        (json!([]), Some("x"), None, Err("there is no provider `x`; the build has none")),
        (
            json!([a(), keyless()]),
            Some("keyless"),
            None,
            Err("provider `keyless` is not ready: `KEY` is not set"),
        ),
        (
            json!([keyless(), demo()]),
            None,
            None,
            Err(
                "no provider is ready (`keyless`: `KEY` is not set; `lost` does not run: its library is missing); \
                 set the key of one and start the host again, or name `demo` as the provider, which needs no key and answers without a model",
            ),
        ),
        (
            json!([keyless()]),
            None,
            None,
            Err(
                "no provider is ready (`keyless`: `KEY` is not set; `lost` does not run: its library is missing); \
                 set the key of one and start the host again, or add one to the build",
            ),
        ),
    ];
    for (providers, named, last, expected) in cases {
        let reply = reply(providers.clone());
        let chosen = Providers::of(&reply, "").choose(named, last);
        let chosen = chosen.as_deref().map_err(|fault| fault.message.as_str());
        assert_eq!(chosen, expected, "{providers} named {named:?} last {last:?}");
    }
}

#[test]
fn a_refusal_lists_every_provider_with_its_reason() {
    let reply = reply(json!([{ "name": "keyless", "ready": false, "reason": "`KEY` is not set" }]));
    let fault = Providers::of(&reply, "").choose(None, None).expect_err("none is ready");
    let providers = json!([
        { "name": "keyless", "ready": false, "reason": "`KEY` is not set" },
        { "name": "lost", "ready": false, "reason": "its library is missing" },
    ]);
    assert_eq!((fault.code.as_str(), fault.detail), ("no_provider", json!({ "providers": providers })));
}

#[test]
fn the_default_is_chosen_where_nothing_else_says_and_never_replaced_in_silence() {
    let providers = json!([
        { "name": "a", "ready": true },
        { "name": "b", "ready": true },
        { "name": "keyless", "ready": false, "reason": "`KEY` is not set" },
        { "name": "demo", "ready": true, "selectable": false },
    ]);
    let cases = [
        // Default, named, last, expected.
        ("b", None, None, Ok("b")),
        ("demo", None, None, Ok("demo")),
        ("b", Some("a"), None, Ok("a")),
        ("b", None, Some("a"), Ok("a")),
        ("b", None, Some("keyless"), Ok("b")),
        (
            "keyless",
            None,
            None,
            Err(
                "`keyless`, which is `orchestrator.default_provider`, is not ready: `KEY` is not set; name another, or mend this one",
            ),
        ),
        (
            "gone",
            None,
            None,
            Err(
                "there is no provider `gone`, which is `orchestrator.default_provider`; known: `a`, `b`, `keyless`, `demo`",
            ),
        ),
    ];
    let reply = reply(providers);
    for (default, named, last, expected) in cases {
        let chosen = Providers::of(&reply, default).choose(named, last);
        let chosen = chosen.as_deref().map_err(|fault| fault.message.as_str());
        assert_eq!(chosen, expected, "default {default} named {named:?} last {last:?}");
    }
}
