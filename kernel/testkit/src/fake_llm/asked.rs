//! What a request asks, read from its JSON leniently: rules, templates and answers look here. It judges nothing.

use serde_json::Value;

/// One completion request.
pub(super) struct Asked<'a> {
    pub(super) body: &'a Value,
    /// The position among all completions that were understood, from 0.
    pub(super) request_idx: usize,
}

impl Asked<'_> {
    pub(super) fn model(&self) -> &str {
        self.body["model"].as_str().unwrap_or_default()
    }

    pub(super) fn streams(&self) -> bool {
        self.body["stream"] == true
    }

    pub(super) fn includes_usage(&self) -> bool {
        self.body["stream_options"]["include_usage"] == true
    }

    pub(super) fn messages(&self) -> &[Value] {
        self.body["messages"].as_array().map_or(&[], |list| list.as_slice())
    }

    /// The offered tools' names, in order.
    pub(super) fn tool_names(&self) -> Vec<&str> {
        let tools = self.body["tools"].as_array();
        tools.into_iter().flatten().filter_map(|tool| tool["function"]["name"].as_str()).collect()
    }

    /// The text of the last message of a role.
    pub(super) fn last(&self, role: &str) -> Option<String> {
        let message = self.messages().iter().rev().find(|m| m["role"] == role)?;
        Some(text_of(&message["content"]))
    }

    /// The text of the first message of a role.
    pub(super) fn first(&self, role: &str) -> Option<String> {
        let message = self.messages().iter().find(|m| m["role"] == role)?;
        Some(text_of(&message["content"]))
    }

    /// The text of every tool result, in order.
    pub(super) fn tool_results(&self) -> Vec<String> {
        let results = self.messages().iter().filter(|m| m["role"] == "tool");
        results.map(|m| text_of(&m["content"])).collect()
    }

    /// How many tool results stand after the last user message.
    pub(super) fn n_tool_results_in_turn(&self) -> usize {
        let turn = self.messages().iter().rev();
        turn.take_while(|m| m["role"] != "user").filter(|m| m["role"] == "tool").count()
    }

    /// A rough count of the input: four bytes of text a token.
    pub(super) fn prompt_tokens(&self) -> u64 {
        let texts = self.messages().iter().map(|m| text_of(&m["content"]));
        let text_bytes: usize = texts.map(|text| text.len()).sum();
        (text_bytes as u64).div_ceil(4)
    }
}

/// The text of a `content`: a string, or its text parts joined.
fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => String::new(),
    }
}
