//! Answers by model name alone, for hosts that are tried without a script. The grammar is in [`super`].

use serde_json::{Map, Value};

use super::asked::Asked;
use super::script::{Action, Counted, Deltas};

/// The names `GET /v1/models` lists when the script lists none.
pub(super) const LISTED: [&str; 5] = [LOCAL, "fake-text-20", "fake-reasoning-5", "fake-echo", "fake-tool"];

/// The name that documents use for a model at an endpoint of this machine.
const LOCAL: &str = "local";

/// What the model of this name answers; `None`: there is no such model.
pub(super) fn answer(asked: &Asked) -> Option<Vec<Action>> {
    if asked.model() == LOCAL {
        return Some(vec![Action::text(
            "this is no model, it only speaks the wire; you said: {{last_user}}",
        )]);
    }
    let name = asked.model().strip_prefix("fake-")?;
    if name == "tool" {
        return Some(tool(asked, None));
    }
    if let Some(tool_name) = name.strip_prefix("tool-") {
        return Some(tool(asked, Some(tool_name)));
    }
    let words: Vec<&str> = name.split('-').collect();
    match words.as_slice() {
        ["text", n, rest @ ..] => {
            let options = Options::parse(rest)?;
            let deltas = options.deltas(n.parse().ok()?)?;
            Some(options.around(vec![Action::Text(deltas)]))
        }
        ["reasoning", n, rest @ ..] => {
            let options = Options::parse(rest)?;
            let deltas = options.deltas(n.parse().ok()?)?;
            let actions = vec![Action::ReasoningContent(deltas), Action::text("done")];
            Some(options.around(actions))
        }
        ["echo", rest @ ..] => {
            let options = Options::parse(rest)?;
            Some(options.around(vec![Action::text("{{last_user}}")]))
        }
        ["status", status] => {
            let status = status.parse().ok().filter(|s| (400..600).contains(s))?;
            Some(vec![Action::http_error(status)])
        }
        ["stall"] => Some(vec![Action::Headers, Action::Stall]),
        _ => None,
    }
}

/// What may stand behind the kind: `-delay-<ms>`, `-cut-<bytes>`, `-stamp`.
#[derive(Default)]
struct Options {
    delay_ms: u64,
    cut_after_bytes: Option<u64>,
    stamp: bool,
}

impl Options {
    fn parse(mut words: &[&str]) -> Option<Self> {
        let mut options = Self::default();
        while !words.is_empty() {
            words = match words {
                ["delay", ms, rest @ ..] => {
                    options.delay_ms = ms.parse().ok()?;
                    rest
                }
                ["cut", bytes, rest @ ..] => {
                    options.cut_after_bytes = Some(bytes.parse().ok()?);
                    rest
                }
                ["stamp", rest @ ..] => {
                    options.stamp = true;
                    rest
                }
                _ => return None,
            };
        }
        Some(options)
    }

    fn deltas(&self, n: usize) -> Option<Deltas> {
        (n <= super::script::DELTAS_MAX).then_some(Deltas::Counted(Counted {
            n,
            delay_ms: self.delay_ms,
            stamp: self.stamp,
        }))
    }

    fn around(&self, mut actions: Vec<Action>) -> Vec<Action> {
        actions.extend(self.cut_after_bytes.map(Action::CutAfterBytes));
        actions
    }
}

/// Calls a tool with the user's JSON object, then answers with the result it was sent.
fn tool(asked: &Asked, name: Option<&str>) -> Vec<Action> {
    if asked.n_tool_results_in_turn() > 0 {
        return vec![Action::text("{{last_tool_result}}")];
    }
    let Some(name) = name.or_else(|| asked.tool_names().first().copied()) else {
        return vec![Action::text("no tool was offered")];
    };
    let user = asked.last("user").unwrap_or_default();
    let arguments: Map<String, Value> = serde_json::from_str(&user).unwrap_or_default();
    vec![Action::tool_call(name, Value::Object(arguments))]
}
