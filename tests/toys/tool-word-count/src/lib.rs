//! Gives the model the tool `word_count`. It must not know anything else.
#![forbid(unsafe_code)]

use dispatch_sdk::contracts::tool::{Effect, Run, RunParams, RunReply, ToolSpec};
use dispatch_sdk::{Call, Config, Contributions, Extension, Fault, Host, Verbs};
use std::sync::Arc;

dispatch_sdk::export!(WordCount);
struct WordCount;

impl Extension for WordCount {
    fn open(_host: Host, _config: Config) -> Result<Self, Fault> {
        Ok(Self)
    }
    fn verbs(verbs: &mut Verbs<Self>) {
        verbs.on(Run, |_, _: Call, params: RunParams| async move {
            let words = params.args["text"].as_str().unwrap_or_default().split_whitespace().count();
            Ok(RunReply::text(words.to_string()))
        });
    }
    async fn start(self: Arc<Self>) -> Result<Contributions, Fault> {
        let text = serde_json::json!({ "type": "object", "required": ["text"], "properties": { "text": { "type": "string" } } });
        let tool = ToolSpec::new("word_count", "Counts the words of a text.", Effect::Read, text);
        Ok(Contributions { tools: vec![tool], ..Contributions::default() })
    }
}

#[cfg(test)]
mod tests;
