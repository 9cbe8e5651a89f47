//! What runs a turn: named, the conversation's last, the build's default, or the kernel's own loop. Nothing else steps in
//! for an engine that is not there: what it remembers of the conversation is not another's.

use dispatch_sdk::Fault;
use dispatch_sdk::contracts::engine::EngineSpec;
use dispatch_sdk::contracts::engine::{NATIVE, is_native};
use dispatch_sdk::contracts::turns::NO_ENGINE;
use serde_json::json;

/// The engine of the turn, empty for the kernel's own loop: `named`, else `last`, else `default`; each may be absent.
///
/// Errors: `no_engine`, naming those there are.
pub(crate) fn choose(
    engines: &[EngineSpec],
    named: Option<&str>,
    last: Option<&str>,
    default: &str,
) -> Result<String, Fault> {
    let (name, whose) = match (named, last) {
        (Some(name), _) => (name, ""),
        (None, Some(name)) => (name, ", which ran the last turn of this conversation,"),
        (None, None) => (default, ", which is `orchestrator.default_engine`,"),
    };
    if is_native(name) {
        return Ok(String::new());
    }
    let why = match engines.iter().find(|engine| engine.name == name) {
        Some(engine) if engine.ready => return Ok(name.to_owned()),
        Some(engine) if engine.reason.is_empty() => "is not ready".to_owned(),
        Some(engine) => format!("is not ready: {}", engine.reason),
        None => "is not in this build".to_owned(),
    };
    // A kernel of before there were engines names none.
    let mut known: Vec<String> = vec![format!("`{NATIVE}`")];
    known.extend(engines.iter().filter(|one| !is_native(&one.name)).map(|one| format!("`{}`", one.name)));
    let message = format!("engine `{name:.80}`{whose} {why}; name another: {}", known.join(", "));
    let detail: Vec<_> = engines
        .iter()
        .map(|engine| json!({ "name": engine.name, "ready": engine.ready, "reason": engine.reason }))
        .collect();
    Err(Fault::new(NO_ENGINE, message).with_detail(json!({ "engines": detail })))
}
