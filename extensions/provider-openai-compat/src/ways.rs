//! What an endpoint was found to want of a history, by model, as long as the instance lives. It must not know messages.

use crate::trouble::Trouble;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Most models remembered; then all are forgotten, and found again.
const MODELS_MAX: usize = 64;

/// Words of a refusal that speaks of the ids of calls, and of what is wrong with them.
const ID_WORDS: [&str; 7] =
    ["tool call id", "tool_call_id", "tool_call.id", "tool_use_id", "tool_use.id", "call_id", "tool_calls"];
const FORM_WORDS: [&str; 8] =
    ["length", "a-z", "alphanumeric", "pattern", "too long", "characters", "format", "letters"];

/// Words of a refusal that speaks of images, or of a content that is a list because of them.
const IMAGE_WORDS: [&str; 6] =
    ["image", "vision", "multimodal", "multi-modal", "modalit", "content must be a string"];

/// The name of the field that holds reasoning, as refusals write it.
pub(crate) const REASONING_FIELD: &str = "reasoning_content";

/// How a history is written for one model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Way {
    pub(crate) reasoning: Reasoning,
    /// Ids in the strictest form instead of as they came.
    pub(crate) nine_ids: bool,
    /// Words instead of images: the endpoint refused them. It holds for one request alone, because it may be this image
    /// that was refused, and not every one.
    pub(crate) no_images: bool,
}

/// What reasoning goes back. What was found only ever moves down this list, so no refusal is answered without end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reasoning {
    /// None: nothing is known.
    #[default]
    Unknown,
    /// That of the running turn: the model sent it in the field that it is sent back in.
    OfTurn,
    /// That of all turns: the endpoint refused a history without.
    Always,
    /// None: the endpoint refused a history with it.
    Never,
}

/// What there was in a history that another way would have written otherwise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) has_reasoning: bool,
    pub(crate) left_reasoning_out: bool,
    pub(crate) has_other_ids: bool,
    pub(crate) has_images: bool,
}

impl Way {
    /// The way to write the same history after this refusal, if it may help.
    pub(crate) fn after(self, refusal: &Trouble, written: Written) -> Option<Self> {
        // Servers whose chat template refuses a history answer 500.
        // Where no machine behind a gateway takes images, it answers 404.
        if !matches!(refusal.http_status, Some(400 | 404 | 415 | 422 | 500)) {
            return None;
        }
        let said = refusal.message.to_ascii_lowercase();
        let says = |words: &[&str]| words.iter().any(|word| said.contains(word));
        if says(&IMAGE_WORDS) && written.has_images && !self.no_images {
            return Some(Self { no_images: true, ..self });
        }
        let speaks_of_reasoning = says(&[REASONING_FIELD]);
        if speaks_of_reasoning && written.left_reasoning_out && self.reasoning < Reasoning::Always {
            return Some(Self { reasoning: Reasoning::Always, ..self });
        }
        if speaks_of_reasoning && written.has_reasoning && self.reasoning < Reasoning::Never {
            return Some(Self { reasoning: Reasoning::Never, ..self });
        }
        let ids = says(&ID_WORDS) && says(&FORM_WORDS) && written.has_other_ids && !self.nine_ids;
        ids.then_some(Self { nine_ids: true, ..self })
    }
}

/// What was found of each model.
#[derive(Debug, Default)]
pub(crate) struct Ways {
    models: Mutex<HashMap<String, Way>>,
}

impl Ways {
    /// The same findings, for the same endpoint under another configuration.
    pub(crate) fn carried_over(&self) -> Self {
        let models = self.models.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Self { models: Mutex::new(models) }
    }

    pub(crate) fn of(&self, model: &str) -> Way {
        let models = self.models.lock().unwrap_or_else(PoisonError::into_inner);
        models.get(model).copied().unwrap_or_default()
    }

    pub(crate) fn found(&self, model: &str, way: Way) {
        let mut models = self.models.lock().unwrap_or_else(PoisonError::into_inner);
        if models.len() >= MODELS_MAX && !models.contains_key(model) {
            models.clear();
        }
        let known = models.entry(model.to_owned()).or_default();
        known.reasoning = known.reasoning.max(way.reasoning);
        known.nine_ids |= way.nine_ids;
    }
}

#[cfg(test)]
mod tests {
    use super::{MODELS_MAX, Reasoning, Way, Ways, Written};
    use crate::trouble::Trouble;

    fn after(way: Way, status: u16, said: &str, written: Written) -> Option<Way> {
        way.after(&Trouble::http(status, said, None, ""), written)
    }

    #[test]
    fn a_refusal_of_ids_is_answered_once_and_only_if_ids_can_be_written_otherwise() {
        let said = "Tool call id was call_1 but must be a-z, A-Z, 0-9, with a length of 9.";
        let other_ids = Written { has_other_ids: true, ..Written::default() };
        let strict = Way { nine_ids: true, ..Way::default() };
        for status in [400, 422, 500] {
            assert_eq!(after(Way::default(), status, said, other_ids), Some(strict), "{status}");
        }
        assert_eq!(after(Way::default(), 401, said, other_ids), None);
        assert_eq!(after(Way::default(), 400, said, Written::default()), None);
        assert_eq!(after(strict, 400, said, other_ids), None);
        let template = "Tool call IDs should be alphanumeric strings with length 9!";
        assert_eq!(after(Way::default(), 500, template, other_ids), Some(strict));
        let anthropic = "messages.1.content.0.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'";
        assert_eq!(after(Way::default(), 400, anthropic, other_ids), Some(strict));
        assert_eq!(after(Way::default(), 400, "no such model", other_ids), None);
    }

    #[test]
    fn a_refusal_of_missing_reasoning_sends_all_of_it_and_one_of_any_sends_none() {
        let missing = "reasoning_content is missing in assistant tool call message at index 2";
        let left_out = Written { left_reasoning_out: true, ..Written::default() };
        let sent = Written { has_reasoning: true, ..Written::default() };
        let way = |reasoning| Way { reasoning, ..Way::default() };
        assert_eq!(after(Way::default(), 400, missing, left_out), Some(way(Reasoning::Always)));
        assert_eq!(after(way(Reasoning::OfTurn), 400, missing, left_out), Some(way(Reasoning::Always)));
        assert_eq!(after(way(Reasoning::Always), 400, missing, sent), Some(way(Reasoning::Never)));
        assert_eq!(after(way(Reasoning::Never), 400, missing, left_out), None);
        assert_eq!(after(Way::default(), 400, missing, Written::default()), None);
    }

    #[test]
    fn only_so_many_models_are_remembered_and_what_was_found_is_not_taken_back() {
        let ways = Ways::default();
        let found = Way { reasoning: Reasoning::Always, nine_ids: true, no_images: false };
        ways.found("m", found);
        ways.found("m", Way { reasoning: Reasoning::OfTurn, ..Way::default() });
        assert_eq!(ways.of("m"), found);
        for n in 0..MODELS_MAX {
            ways.found(&format!("m{n}"), found);
        }
        assert_eq!(ways.of("m"), Way::default());
    }
}
