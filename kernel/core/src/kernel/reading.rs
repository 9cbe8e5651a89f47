//! Reads what an instance contributes one by one: what this kernel cannot read is refused by name, the rest is there.
//!
//! It must not know whether what was read may be contributed.

use dispatch_contracts::fault::INVALID;
use dispatch_contracts::kernel::{Started, Update, VerbInfo};
use dispatch_contracts::{ContributionKind, Contributions, Fault, Verb};
use dispatch_wire::decode;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// Characters of a refused name, and of the reason.
const SHOWN_CHARS_MAX: usize = 200;

/// A contribution that is not there, because this kernel cannot read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) kind: ContributionKind,
    pub(super) name: String,
    reason: String,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the {} `{}` is left out: {}", self.kind.noun(), self.name, self.reason)
    }
}

/// What an instance contributes, as far as it can be read.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) contributes: Contributions,
    pub(super) left_out: Vec<Refused>,
}

/// Tells the log what of `id` is left out.
pub(super) fn warn_of(id: &str, left_out: &[Refused]) {
    for refused in left_out {
        tracing::warn!(instance = %id, %refused, "a contribution cannot be read");
    }
}

/// Lists of contributions by key.
#[derive(Default, Deserialize)]
#[serde(transparent)]
struct Unread(BTreeMap<String, Value>);

/// What `start` answered.
pub(super) fn started(bytes: &[u8]) -> Result<(Started, Vec<Refused>), serde_json::Error> {
    #[derive(Deserialize)]
    struct UnreadStart {
        #[serde(default)]
        verbs: Vec<VerbInfo>,
        #[serde(default)]
        contributes: Unread,
    }
    let UnreadStart { verbs, contributes } = serde_json::from_slice(bytes)?;
    let (contributes, refused) = contributes.read()?;
    Ok((Started { verbs, contributes }, refused))
}

/// The parameters of `V`.
pub(super) fn params<V: Verb>(body: &[u8]) -> Result<V::Params, Fault> {
    decode(INVALID, format_args!("the parameters of `{}`", V::NAME), body)
}

/// The parameters of `kernel.v1/update`.
pub(super) fn update(bytes: &[u8]) -> Result<Read, Fault> {
    #[derive(Deserialize)]
    struct UnreadUpdate {
        contributes: Unread,
    }
    let what = format_args!("the parameters of `{}`", Update::NAME);
    let UnreadUpdate { contributes } = decode(INVALID, what, bytes)?;
    let (contributes, left_out) =
        contributes.read().map_err(|e| Fault::new(INVALID, format!("cannot read {what}: {e}")))?;
    Ok(Read { contributes, left_out })
}

impl Unread {
    /// A key that is no kind of this kernel's is passed over.
    fn read(mut self) -> Result<(Contributions, Vec<Refused>), serde_json::Error> {
        let (mut contributes, mut refused) = (Contributions::default(), Vec::new());
        for kind in ContributionKind::ALL {
            let values: Vec<Value> =
                self.0.remove(kind.key()).map_or(Ok(Vec::new()), serde_json::from_value)?;
            for value in values {
                let name =
                    value.get("name").or_else(|| value.get("id")).and_then(Value::as_str).unwrap_or("?");
                let name = shown(name);
                if let Err(reason) = contributes.take(kind, value) {
                    refused.push(Refused { kind, name, reason: shown(&reason) });
                }
            }
        }
        Ok((contributes, refused))
    }
}

fn shown(text: &str) -> String {
    text.chars().take(SHOWN_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_cannot_be_read_is_refused_by_name_and_the_rest_is_there() {
        let tool = |name: &str, effect| json!({ "name": name, "description": "", "input_schema": {}, "effect": effect });
        let answer = json!({
            "verbs": [{ "name": "tool.v1/run", "mode": "dreamt", "limits": {} }],
            "contributes": {
                "tools": [tool("net", json!("network")), tool("odd", json!({ "of": "a kind" })), tool("good", json!("read"))],
                "filters": [{ "name": "early", "point": "turn.dawn" }, { "name": "late", "point": "tool.result", "reads": "half" }],
                "ops": [{ "id": "things.list" }],
                "dreams": [{ "name": "nobody reads these" }],
            },
        });
        let (started, refused) = super::started(answer.to_string().as_bytes()).expect("it is read");
        let Contributions { tools, filters, ops, .. } = &started.contributes;
        let effects: Vec<_> = tools.iter().map(|tool| (tool.name.as_str(), tool.effect)).collect();
        use dispatch_contracts::tool::Effect;
        assert_eq!(effects, [("net", Effect::Exec), ("good", Effect::Read)]);
        assert_eq!(filters.iter().map(|filter| filter.name.as_str()).collect::<Vec<_>>(), ["late"]);
        assert_eq!((ops.len(), started.verbs.len()), (0, 1));
        let refused: Vec<_> = refused.iter().map(|one| (one.kind, one.name.as_str())).collect();
        let expected = [
            (ContributionKind::Tool, "odd"),
            (ContributionKind::Op, "things.list"),
            (ContributionKind::Filter, "early"),
        ];
        assert_eq!(refused, expected);
    }

    #[test]
    fn an_update_is_read_the_same_way_and_says_what_it_is_without() {
        let body = json!({ "contributes": { "tools": [{ "name": "half" }], "providers": [{ "name": "p", "ready": true }] } });
        let Read { contributes, left_out } = update(body.to_string().as_bytes()).expect("it is read");
        assert_eq!(contributes.providers.len(), 1);
        let said = left_out[0].to_string();
        assert_eq!(said, "the tool `half` is left out: missing field `description`");
    }
}
