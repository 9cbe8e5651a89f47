//! What a case says: the world of one turn, as TOML.

use dispatch_contracts::filter::FilterSpec;
use dispatch_contracts::message::Message;
use dispatch_contracts::tool::Decision;
use dispatch_contracts::tool::ToolSpec;
use dispatch_contracts::turn::{BoundaryReason, RunParams};
use dispatch_turn::{ToolPolicy, TurnLimits, TurnTools};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};

/// One case.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Script {
    pub(crate) model: String,
    pub(crate) system: String,
    pub(crate) steps_max: u32,
    pub(crate) computer: String,
    /// The provider takes images.
    images: bool,
    /// JSON; empty = one user message `hi`.
    messages: Vec<String>,
    policy: PolicyScript,
    limits: LimitsScript,
    pub(crate) stop: Option<StopScript>,
    /// When somebody asks where the turn is.
    pub(crate) explain_at_ms: Vec<u64>,
    /// What the provider does at each request.
    pub(crate) requests: Vec<Vec<Act>>,
    pub(crate) tools: Vec<ToolScript>,
    pub(crate) filters: Vec<FilterScript>,
    /// What there is instead, each when the turn asks whether anything changed.
    pub(crate) renewals: Vec<RenewalScript>,
    /// Answers to images that shall be kept; without any, each is kept.
    pub(crate) keeps: Vec<HostAct>,
    /// Delay after each failed request, −1 = give up; absent = no such service.
    pub(crate) retry: Option<Vec<i64>>,
    pub(crate) asks: Vec<HostAct>,
    pub(crate) steering: Vec<HostAct>,
    pub(crate) boundaries: Vec<HostAct>,
    /// Where the caller wants to be asked; absent = it does not say. With it each question is written down whole.
    pub(crate) boundaries_wanted: Option<Vec<BoundaryReason>>,
    /// The last commit is written down with its timings.
    pub(crate) show_timings: bool,
    pub(crate) commits: Vec<HostAct>,
    /// The answer to all further ones.
    pub(crate) further_commits: Option<HostAct>,
    /// After so many frames nobody listens.
    pub(crate) deaf_after: Option<u64>,
    /// After so many frames there is no more credit.
    pub(crate) credit_frames: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct PolicyScript {
    read: String,
    write: String,
    exec: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct LimitsScript {
    step_text_bytes: Option<usize>,
    tool_calls_per_step: Option<usize>,
    tool_calls_parallel: Option<usize>,
    tool_result_bytes: Option<usize>,
    tool_detail_bytes: Option<usize>,
    tool_output_bytes: Option<usize>,
    tool_output_frame_bytes: Option<usize>,
    message_bytes: Option<usize>,
    history_bytes: Option<usize>,
    filter_ops_bytes: Option<usize>,
    commit_bytes: Option<usize>,
}

/// When the stop is given.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StopScript {
    /// At this time.
    pub(crate) at_ms: Option<u64>,
    /// As soon as the trace has a line that starts so.
    pub(crate) on: Option<String>,
    /// Whose it is: `person` (the default), `host`, `caller`, `deadline`, `silence`.
    #[serde(default)]
    pub(crate) by: String,
}

/// One thing that a provider or a tool does.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Act {
    pub(crate) wait: Option<u64>,
    pub(crate) hang: bool,
    pub(crate) panic: Option<String>,
    /// Does the same so often; `%` in texts and ids is the number.
    pub(crate) repeat: Option<usize>,
    pub(crate) fault: Option<String>,
    pub(crate) message: String,
    pub(crate) retry_after_ms: Option<u64>,
    pub(crate) status: Option<u16>,
    /// The fault's class, where it is not its code.
    pub(crate) class: Option<String>,
    pub(crate) retryable: Option<bool>,
    // A provider's.
    /// Any frame as JSON.
    pub(crate) frame: Option<String>,
    pub(crate) text: Option<String>,
    pub(crate) reasoning: Option<String>,
    pub(crate) opaque: Option<String>,
    pub(crate) call: Option<String>,
    pub(crate) name: String,
    pub(crate) args: String,
    pub(crate) end: Option<String>,
    pub(crate) usage: Vec<u64>,
    pub(crate) model: String,
    // A tool's.
    pub(crate) out: Option<String>,
    pub(crate) err: Option<String>,
    pub(crate) reply: Option<String>,
    pub(crate) is_error: bool,
    pub(crate) detail: Option<String>,
    /// JSON.
    pub(crate) parts: Option<String>,
}

/// Other tools and filters, or nothing new.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RenewalScript {
    same: bool,
    tools: Vec<ToolScript>,
    filters: Vec<FilterScript>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ToolScript {
    pub(crate) name: String,
    #[serde(default = "read")]
    effect: String,
    #[serde(default)]
    exclusive: bool,
    #[serde(default)]
    timeout_ms: u64,
    #[serde(default = "any")]
    locality: String,
    /// JSON.
    #[serde(default)]
    schema: String,
    /// One list for each run; the last one serves all further runs.
    #[serde(default)]
    pub(crate) runs: Vec<Vec<Act>>,
    /// Done after `cancel` instead of the rest.
    #[serde(default)]
    pub(crate) on_cancel: Vec<Act>,
}

fn any() -> String {
    "any".to_owned()
}

fn read() -> String {
    "read".to_owned()
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FilterScript {
    pub(crate) name: String,
    point: String,
    #[serde(default)]
    priority: i32,
    #[serde(default = "all")]
    reads: String,
    #[serde(default = "open")]
    on_fault: String,
    /// One for each time; the last one serves all further times.
    #[serde(default)]
    pub(crate) answers: Vec<HostAct>,
}

fn all() -> String {
    "all".to_owned()
}

fn open() -> String {
    "open".to_owned()
}

/// One answer of the caller, of a filter, or of a person.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct HostAct {
    pub(crate) wait: u64,
    pub(crate) hang: bool,
    pub(crate) fault: Option<String>,
    /// `detail` of the fault as JSON.
    pub(crate) detail: Option<String>,
    /// The reply as JSON.
    pub(crate) reply: Option<String>,
}

impl Script {
    /// What a caller that does not say wants is the contract's to decide.
    pub(crate) fn boundaries_wanted(&self) -> Vec<BoundaryReason> {
        self.boundaries_wanted.clone().unwrap_or_else(|| {
            let silent = json!({
                "conversation_id": "c", "turn_id": "t", "provider": "p", "cwd": "/", "messages": [],
            });
            serde_json::from_value::<RunParams>(silent).expect("the fields without a default").boundaries
        })
    }

    pub(crate) fn history(&self) -> Vec<Box<RawValue>> {
        if self.messages.is_empty() {
            return vec![to_raw_value(&Message::user("hi")).expect("a message is JSON")];
        }
        self.messages
            .iter()
            .map(|text| serde_json::from_str(text).expect("a scripted message is JSON"))
            .collect()
    }

    pub(crate) fn turn_tools(&self) -> TurnTools {
        self.tools_of(&self.tools, &self.filters)
    }

    /// What there is at the renewal `n`; nothing new where the case says nothing.
    pub(crate) fn renewed_tools(&self, n: usize) -> Option<TurnTools> {
        let renewal = self.renewals.get(n).filter(|renewal| !renewal.same)?;
        Some(self.tools_of(&renewal.tools, &renewal.filters))
    }

    pub(crate) fn tool(&self, name: &str) -> Option<&ToolScript> {
        let later = self.renewals.iter().flat_map(|renewal| &renewal.tools);
        self.tools.iter().chain(later).find(|tool| tool.name == name)
    }

    pub(crate) fn filter(&self, name: &str) -> Option<&FilterScript> {
        let later = self.renewals.iter().flat_map(|renewal| &renewal.filters);
        self.filters.iter().chain(later).find(|filter| filter.name == name)
    }

    fn tools_of(&self, tools: &[ToolScript], filters: &[FilterScript]) -> TurnTools {
        let tools = tools.iter().map(ToolScript::spec).collect();
        let filters = filters.iter().map(FilterScript::spec).collect();
        let policy = ToolPolicy {
            read: decision(&self.policy.read),
            write: decision(&self.policy.write),
            exec: decision(&self.policy.exec),
        };
        TurnTools::new(tools, filters, policy, self.limits.limits()).with_images(self.images)
    }
}

impl LimitsScript {
    fn limits(&self) -> TurnLimits {
        let max = TurnLimits::default();
        TurnLimits {
            step_text_bytes_max: self.step_text_bytes.unwrap_or(max.step_text_bytes_max),
            tool_calls_per_step_max: self.tool_calls_per_step.unwrap_or(max.tool_calls_per_step_max),
            tool_calls_parallel_max: self.tool_calls_parallel.unwrap_or(max.tool_calls_parallel_max),
            tool_result_bytes_max: self.tool_result_bytes.unwrap_or(max.tool_result_bytes_max),
            tool_detail_bytes_max: self.tool_detail_bytes.unwrap_or(max.tool_detail_bytes_max),
            tool_output_bytes_max: self.tool_output_bytes.unwrap_or(max.tool_output_bytes_max),
            tool_output_frame_bytes_max: self
                .tool_output_frame_bytes
                .unwrap_or(max.tool_output_frame_bytes_max),
            message_bytes_max: self.message_bytes.unwrap_or(max.message_bytes_max),
            history_bytes_max: self.history_bytes.unwrap_or(max.history_bytes_max),
            filter_ops_bytes_max: self.filter_ops_bytes.unwrap_or(max.filter_ops_bytes_max),
            commit_bytes_max: self.commit_bytes.unwrap_or(max.commit_bytes_max),
        }
    }
}

impl ToolScript {
    fn spec(&self) -> ToolSpec {
        let schema = if self.schema.is_empty() { r#"{"type":"object"}"# } else { self.schema.as_str() };
        let spec = json!({
            "name": self.name,
            "description": format!("does {}", self.name),
            "input_schema": serde_json::from_str::<serde_json::Value>(schema).expect("a scripted schema is JSON"),
            "effect": self.effect,
            "exclusive": self.exclusive,
            "timeout_ms": self.timeout_ms,
            "locality": self.locality,
        });
        serde_json::from_value(spec).expect("a scripted tool has the shape of one")
    }
}

impl FilterScript {
    fn spec(&self) -> FilterSpec {
        let spec = json!({
            "name": self.name,
            "point": self.point,
            "priority": self.priority,
            "reads": self.reads,
            "on_fault": self.on_fault,
        });
        serde_json::from_value(spec).expect("a scripted filter has the shape of one")
    }
}

fn decision(word: &str) -> Decision {
    match word {
        "" | "allow" => Decision::Allow,
        "ask" => Decision::Ask,
        "deny" => Decision::Deny,
        other => panic!("no policy says `{other}`"),
    }
}
