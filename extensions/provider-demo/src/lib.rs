//! Answers offline and says that it is not a model: enough to try a host without a key. Never chosen by itself.
//!
//! The same request gets the same answer. It must not know what a tool does beyond what is offered to it.
#![forbid(unsafe_code)]

mod answer;
mod history;
mod step;
mod tools;
mod wish;

use dispatch_sdk::contracts::Empty;
use dispatch_sdk::contracts::provider::{
    FaultClass, Finish, ModelInfo, Models, ModelsReply, ProviderFault, ProviderSpec, Stream, StreamFrame,
    StreamParams, StreamReply,
};
use dispatch_sdk::{Call, Config, Contributions, Extension, Fault, Host, NoSettings, Verbs};
use history::History;
use std::sync::Arc;
use step::ToolCall;

dispatch_sdk::export!(Demo, settings);

const NAME: &str = "demo";
/// How many words a delta has.
const DELTA_WORDS: usize = 3;

struct Demo;

impl Extension for Demo {
    fn open(_host: Host, config: Config) -> Result<Self, Fault> {
        let NoSettings {} = config.parse()?;
        Ok(Self)
    }

    fn verbs(verbs: &mut Verbs<Self>) {
        verbs.on(Stream, Self::stream);
        verbs.on(Models, Self::models);
    }

    async fn start(self: Arc<Self>) -> Result<Contributions, Fault> {
        let spec = ProviderSpec {
            name: NAME.to_owned(),
            ready: true,
            reason: String::new(),
            default_model: NAME.to_owned(),
            selectable: false,
            images: false,
        };
        Ok(Contributions { providers: vec![spec], ..Contributions::default() })
    }
}

impl Demo {
    async fn stream(self: Arc<Self>, call: Call, params: StreamParams) -> Result<StreamReply, Fault> {
        let history = History::read(&params.messages).map_err(unreadable)?;
        let step = answer::step(&history, &params.tools);
        for text in deltas(&step.text) {
            call.emit(&StreamFrame::TextDelta { text: text.to_owned() }).await?;
        }
        let finish = if step.call.is_some() { Finish::ToolCalls } else { Finish::Stop };
        if let Some(ToolCall { name, args_text }) = step.call {
            // The history grows with every step, so its length makes the id unique.
            let tool_call_id = format!("demo_call_{}", params.messages.len());
            call.emit(&StreamFrame::ToolCall { tool_call_id, name, args_text, opaque: Default::default() })
                .await?;
        }
        Ok(StreamReply { finish, usage: None, model: NAME.to_owned() })
    }

    async fn models(self: Arc<Self>, _call: Call, _params: Empty) -> Result<ModelsReply, Fault> {
        Ok(ModelsReply { models: vec![ModelInfo { id: NAME.to_owned(), context_tokens_max: None }] })
    }
}

fn unreadable(why: String) -> Fault {
    let class = FaultClass::BadRequest;
    let detail = ProviderFault { class, retryable: None, retry_after_ms: None, http_status: None };
    let detail = serde_json::to_value(detail).expect("a struct of plain fields always encodes");
    Fault::new(class.code(), why).with_detail(detail)
}

/// Cuts a text behind every few words; together they are the text.
fn deltas(text: &str) -> Vec<&str> {
    let words: Vec<&str> = text.split_inclusive(char::is_whitespace).collect();
    let mut rest = text;
    let mut deltas = Vec::new();
    for group in words.chunks(DELTA_WORDS) {
        let (delta, after) = rest.split_at(group.iter().map(|word| word.len()).sum());
        deltas.push(delta);
        rest = after;
    }
    deltas
}

#[cfg(test)]
mod tests;
