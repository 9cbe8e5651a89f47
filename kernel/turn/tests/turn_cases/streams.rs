//! Scripted streams of providers and tools: each act is done when it is asked for, and waits are on the paused clock.

use crate::script::Act;
use crate::world::World;
use dispatch_contracts::Fault;
use dispatch_contracts::provider::{StreamFrame, StreamReply, Usage};
use dispatch_contracts::tool::{OutputStream, RunReply, ToolFrame};
use dispatch_turn::{CallStream, Item};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::{Map, Value, json};
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// A stream that follows a script.
pub(crate) struct Scripted<'w> {
    world: &'w World,
    label: String,
    acts: VecDeque<Act>,
    on_cancel: Vec<Act>,
    waits_until: Option<Instant>,
    over: bool,
}

impl<'w> Scripted<'w> {
    pub(crate) fn new(world: &'w World, label: String, acts: &[Act], on_cancel: &[Act]) -> Self {
        let on_cancel = on_cancel.to_vec();
        Self { world, label, acts: unrolled(acts), on_cancel, waits_until: None, over: false }
    }

    /// The next act that is no wait.
    async fn act(&mut self) -> Act {
        loop {
            if let Some(until) = self.waits_until {
                sleep_until(until).await;
                self.waits_until = None;
            }
            let Some(act) = self.acts.pop_front() else {
                panic!("the script of `{}` has no end", self.label);
            };
            if let Some(wait_ms) = act.wait {
                self.waits_until = Some(Instant::now() + Duration::from_millis(wait_ms));
            } else if act.hang {
                self.acts.push_front(act);
                std::future::pending::<()>().await;
            } else if let Some(text) = act.panic {
                panic!("{text}");
            } else {
                return act;
            }
        }
    }

    fn end<F, R>(&mut self, end: Result<R, Fault>) -> Item<F, R> {
        self.over = true;
        Item::End(end)
    }

    fn cancelled(&mut self) {
        self.world.note(&format!("{} cancelled", self.label));
        self.waits_until = None;
        self.acts = unrolled(&self.on_cancel);
        if self.acts.is_empty() {
            self.acts.push_back(Act { fault: Some("cancelled".to_owned()), ..Act::default() });
        }
    }
}

impl Drop for Scripted<'_> {
    fn drop(&mut self) {
        if !self.over && !std::thread::panicking() {
            self.world.note(&format!("{} dropped", self.label));
        }
    }
}

impl CallStream<StreamFrame, StreamReply> for Scripted<'_> {
    fn next(&mut self) -> BoxFuture<'_, Item<StreamFrame, StreamReply>> {
        async {
            let act = self.act().await;
            if let Some(text) = act.text {
                return Item::Frame(StreamFrame::TextDelta { text });
            }
            if let Some(frame) = &act.frame {
                return Item::Frame(serde_json::from_str(frame).expect("a scripted frame is one"));
            }
            if let Some(text) = act.reasoning {
                return Item::Frame(StreamFrame::ReasoningDelta { text });
            }
            if let (Some(opaque), None) = (&act.opaque, &act.call) {
                let opaque = serde_json::from_str(opaque).expect("scripted opaque is JSON");
                return Item::Frame(StreamFrame::ReasoningOpaque { opaque });
            }
            if let Some(tool_call_id) = act.call {
                return Item::Frame(StreamFrame::ToolCall {
                    tool_call_id,
                    name: act.name,
                    args_text: act.args,
                    opaque: act.opaque.as_deref().map_or(Value::Null, |opaque| {
                        serde_json::from_str(opaque).expect("scripted opaque is JSON")
                    }),
                });
            }
            let end = match &act.fault {
                Some(code) => Err(fault(code, &act)),
                None => Ok(stream_reply(&act)),
            };
            self.end(end)
        }
        .boxed()
    }

    fn cancel(&mut self) {
        self.cancelled();
    }
}

impl CallStream<ToolFrame, RunReply> for Scripted<'_> {
    fn next(&mut self) -> BoxFuture<'_, Item<ToolFrame, RunReply>> {
        async {
            let act = self.act().await;
            if let Some(text) = act.out {
                return Item::Frame(ToolFrame { stream: OutputStream::Stdout, text });
            }
            if let Some(text) = act.err {
                return Item::Frame(ToolFrame { stream: OutputStream::Stderr, text });
            }
            let end = match (&act.fault, &act.reply) {
                (Some(code), _) => Err(fault(code, &act)),
                (None, Some(content)) => Ok(RunReply {
                    content: content.clone(),
                    parts: serde_json::from_str(act.parts.as_deref().unwrap_or("[]"))
                        .expect("scripted parts are JSON"),
                    is_error: act.is_error,
                    detail: act.detail.as_deref().map_or(Value::Null, |detail| {
                        serde_json::from_str(detail).expect("scripted detail is JSON")
                    }),
                }),
                (None, None) => panic!("`{}` does nothing known", self.label),
            };
            self.end(end)
        }
        .boxed()
    }

    fn cancel(&mut self) {
        self.cancelled();
    }
}

/// `acts` with every repetition written out.
fn unrolled(acts: &[Act]) -> VecDeque<Act> {
    let mut all = VecDeque::new();
    for act in acts {
        let Some(n_times) = act.repeat else {
            all.push_back(act.clone());
            continue;
        };
        for n in 0..n_times {
            let numbered =
                |text: &Option<String>| text.as_ref().map(|text| text.replace('%', &n.to_string()));
            all.push_back(Act {
                text: numbered(&act.text),
                call: numbered(&act.call),
                args: act.args.replace('%', &n.to_string()),
                ..act.clone()
            });
        }
    }
    all
}

fn fault(code: &str, act: &Act) -> Fault {
    let message = if act.message.is_empty() { format!("scripted {code}") } else { act.message.clone() };
    let with_detail = act.retry_after_ms.is_some() || act.status.is_some() || act.class.is_some();
    if !with_detail {
        return Fault::new(code, message);
    }
    let mut detail = Map::new();
    detail.insert("class".to_owned(), json!(act.class.as_deref().unwrap_or(code)));
    detail.insert("retryable".to_owned(), json!(act.retryable));
    detail.insert("retry_after_ms".to_owned(), json!(act.retry_after_ms));
    detail.insert("http_status".to_owned(), json!(act.status));
    Fault::new(code, message).with_detail(Value::Object(detail))
}

fn stream_reply(act: &Act) -> StreamReply {
    let finish = act.end.as_ref().unwrap_or_else(|| panic!("an act does nothing: {act:?}"));
    let usage = act.usage.first().map(|input_tokens| Usage {
        input_tokens: *input_tokens,
        output_tokens: act.usage.get(1).copied().unwrap_or(0),
        cache_read_tokens: act.usage.get(2).copied(),
        cache_write_tokens: act.usage.get(3).copied(),
    });
    StreamReply {
        finish: serde_json::from_value(json!(finish)).expect("a scripted finish is one"),
        usage,
        model: act.model.clone(),
    }
}
