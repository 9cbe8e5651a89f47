//! Runs a script's actions: into a stream of chunks, or into one plain JSON body. It must not know rules.

use std::fmt::Write;

use serde_json::{Map, Value, json};

use super::asked::Asked;
use super::chunk::{Envelope, tool_call_deltas};
use super::connection::{Connection, Ended};
use super::log::Clock;
use super::respond::{self, Head, JSON, SSE};
use super::script::{Action, Counted, Deltas, ToolCall, Usage, UsagePlace};
use super::sink::{Framing, Sink};
use super::template::{fill, fill_value};

/// Answers a request by these actions; `Err` means that the connection is to be closed.
pub(super) async fn give(
    connection: &mut Connection,
    actions: &[Action],
    asked: &Asked<'_>,
    clock: Clock,
    keep_alive: bool,
) -> Result<(), Ended> {
    if let [before @ .., Action::HttpError(error)] = actions {
        return respond::http_error(connection, error, before, clock, keep_alive).await;
    }
    let content_type = if asked.streams() { SSE } else { JSON };
    let head = Head::new(200, content_type, keep_alive)
        .header("cache-control", "no-cache")
        .header("x-request-id", &format!("fake-{}", asked.request_idx));
    let mut answer = Answer {
        sink: Sink::new(connection, head.chunked(), Framing::Chunked),
        tail: Tail::new(actions, asked),
        asked,
        clock,
        form: Form::new(asked, clock),
        n_deltas: 0,
        n_calls: 0,
    };
    for action in actions {
        match action {
            // Nothing stands after it, and such an answer has neither finish reason nor `[DONE]`.
            Action::StreamError(error) => return answer.stream_error(error).await,
            other => answer.run(other).await?,
        }
    }
    answer.end().await
}

/// What comes after the last action.
struct Tail {
    finish: bool,
    done: bool,
    usage: Usage,
}

impl Tail {
    fn new(actions: &[Action], asked: &Asked) -> Self {
        // Unasked, a plain answer tells its usage and a stream does not.
        let unasked = asked.streams() && !asked.includes_usage();
        let mut tail = Self {
            finish: true,
            done: true,
            usage: Usage {
                place: if unasked { UsagePlace::None } else { UsagePlace::FinalChunk },
                ..Usage::default()
            },
        };
        for action in actions {
            match action {
                Action::Usage(usage) => tail.usage = usage.clone(),
                Action::NoFinish => tail.finish = false,
                Action::NoDone => tail.done = false,
                _ => {}
            }
        }
        tail
    }
}

/// The two ways to tell an answer.
enum Form {
    Stream { envelope: Envelope, has_role: bool },
    Plain { body: Value, message: Map<String, Value> },
}

impl Form {
    fn new(asked: &Asked, clock: Clock) -> Self {
        let id = format!("chatcmpl-fake-{}", asked.request_idx);
        let created_s = clock.now_ns() / 1_000_000_000;
        let model = asked.model();
        if asked.streams() {
            return Self::Stream {
                envelope: Envelope::new(&id, model, created_s, asked.includes_usage()),
                has_role: false,
            };
        }
        let body = json!({
            "id": id, "object": "chat.completion", "created": created_s, "model": model,
            "choices": [{"index": 0, "finish_reason": null}],
        });
        let mut message = Map::new();
        message.insert("role".into(), json!("assistant"));
        message.insert("content".into(), Value::Null);
        Self::Plain { body, message }
    }
}

struct Answer<'c, 'a> {
    sink: Sink<'c>,
    tail: Tail,
    asked: &'a Asked<'a>,
    clock: Clock,
    form: Form,
    n_deltas: u64,
    n_calls: usize,
}

impl Answer<'_, '_> {
    async fn run(&mut self, action: &Action) -> Result<(), Ended> {
        match action {
            Action::Text(deltas) => self.deltas("content", deltas).await,
            Action::ReasoningContent(deltas) => self.deltas("reasoning_content", deltas).await,
            Action::Reasoning(deltas) => self.deltas("reasoning", deltas).await,
            Action::ToolCall(call) => self.tool_call(call).await,
            Action::Finish(reason) => {
                self.tail.finish = false;
                self.finish(reason).await
            }
            Action::Headers => self.sink.flush().await,
            Action::WaitMs(wait_ms) => self.sink.wait(*wait_ms).await,
            Action::Stall => Err(self.sink.stall().await),
            Action::Close => Err(self.sink.cut().await),
            Action::Reset => {
                let ended = self.sink.cut().await;
                self.sink.connection.reset_on_close();
                Err(ended)
            }
            Action::CutAfterBytes(bytes) => {
                self.sink.cut_after(*bytes);
                Ok(())
            }
            Action::Pace(pace) => self.sink.set_pace(*pace).await,
            Action::Garbage(lines) => {
                for line in lines {
                    self.sink.event(format!("{line}\n").as_bytes()).await?;
                }
                Ok(())
            }
            Action::Bytes(bytes) => self.sink.event(bytes).await,
            Action::LongLine(bytes) => self.long_line(*bytes).await,
            Action::Event(event) => self.event(event).await,
            Action::Chunk(delta) => self.chunk(delta).await,
            Action::RepeatLast(n) => {
                for _ in 0..*n {
                    self.sink.repeat_last().await?;
                }
                Ok(())
            }
            Action::Usage(_) | Action::NoFinish | Action::NoDone => Ok(()),
            Action::HttpError(_) | Action::StreamError(_) => {
                unreachable!("a checked script has it last, where it was taken already")
            }
        }
    }

    async fn deltas(&mut self, field: &str, deltas: &Deltas) -> Result<(), Ended> {
        match deltas {
            Deltas::One(text) => self.delta(field, &fill(text, self.asked)).await,
            Deltas::Many(texts) => {
                for text in texts {
                    self.delta(field, &fill(text, self.asked)).await?;
                }
                Ok(())
            }
            Deltas::Counted(counted) => self.counted(field, counted).await,
        }
    }

    async fn counted(&mut self, field: &str, counted: &Counted) -> Result<(), Ended> {
        let mut text = String::new();
        for idx in 0..counted.n {
            if counted.delay_ms > 0 && idx > 0 {
                self.sink.wait(counted.delay_ms).await?;
            }
            text.clear();
            match counted.stamp {
                true => write!(text, "{} ", self.clock.now_ns()),
                false => write!(text, "w{idx} "),
            }
            .expect("a string takes all text");
            self.delta(field, &text).await?;
        }
        Ok(())
    }

    async fn delta(&mut self, field: &str, text: &str) -> Result<(), Ended> {
        self.role().await?;
        self.n_deltas += 1;
        match &mut self.form {
            Form::Stream { envelope, .. } => {
                envelope.text(self.sink.begin_event(), field, text);
                self.sink.end_event().await
            }
            Form::Plain { message, .. } => {
                match message.get_mut(field) {
                    Some(Value::String(so_far)) => so_far.push_str(text),
                    _ => {
                        message.insert(field.to_owned(), json!(text));
                    }
                }
                Ok(())
            }
        }
    }

    /// The chunk that opens a stream, once.
    async fn role(&mut self) -> Result<(), Ended> {
        if let Form::Stream { envelope, has_role } = &mut self.form
            && !*has_role
        {
            *has_role = true;
            let delta = json!({"role": "assistant", "content": ""});
            envelope.delta(self.sink.begin_event(), &delta);
            self.sink.end_event().await?;
        }
        Ok(())
    }

    async fn tool_call(&mut self, call: &ToolCall) -> Result<(), Ended> {
        self.role().await?;
        let made = format!("call_{}_{}", self.asked.request_idx, self.n_calls);
        let id = call.id.clone().unwrap_or(made);
        let arguments = match &call.arguments_raw {
            Some(raw) => fill(raw, self.asked),
            None => fill_value(&call.arguments, self.asked).to_string(),
        };
        let call_idx = self.n_calls;
        self.n_calls += 1;
        match &mut self.form {
            Form::Stream { envelope, .. } => {
                for delta in tool_call_deltas(call, &id, call_idx, &arguments) {
                    self.n_deltas += 1;
                    envelope.delta(self.sink.begin_event(), &delta);
                    self.sink.end_event().await?;
                }
            }
            Form::Plain { message, .. } => {
                self.n_deltas += 1;
                let function = json!({"name": call.name, "arguments": arguments});
                let entry = json!({"id": id, "type": "function", "function": function});
                let calls = message.entry("tool_calls").or_insert_with(|| json!([]));
                calls.as_array_mut().expect("we made a list").push(entry);
            }
        }
        Ok(())
    }

    async fn long_line(&mut self, bytes: u64) -> Result<(), Ended> {
        const BLOCK: [u8; 16 * 1024] = [b'x'; 16 * 1024];
        self.sink.event(b"data: ").await?;
        let mut left = bytes;
        while left > 0 {
            let block_bytes = left.min(BLOCK.len() as u64);
            self.sink.event(&BLOCK[..block_bytes as usize]).await?;
            left -= block_bytes;
        }
        self.sink.event(b"\n\n").await
    }

    /// In a plain answer there are no events.
    async fn event(&mut self, event: &Value) -> Result<(), Ended> {
        let text = match event {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        match self.form {
            Form::Stream { .. } => self.sink.event(format!("data: {text}\n\n").as_bytes()).await,
            Form::Plain { .. } => Ok(()),
        }
    }

    async fn chunk(&mut self, delta: &Value) -> Result<(), Ended> {
        if let Form::Stream { envelope, .. } = &self.form {
            self.n_deltas += 1;
            envelope.delta(self.sink.begin_event(), delta);
            self.sink.end_event().await?;
        }
        Ok(())
    }

    async fn finish(&mut self, reason: &str) -> Result<(), Ended> {
        self.role().await?;
        let usage = self.usage();
        match &mut self.form {
            Form::Stream { envelope, .. } => {
                let in_choice = self.tail.usage.place == UsagePlace::Choice;
                let usage = in_choice.then_some(&usage);
                envelope.finish(self.sink.begin_event(), reason, usage);
                self.sink.end_event().await
            }
            Form::Plain { body, .. } => {
                body["choices"][0]["finish_reason"] = json!(reason);
                Ok(())
            }
        }
    }

    fn usage(&self) -> Value {
        let said = &self.tail.usage;
        let prompt = said.prompt_tokens.unwrap_or_else(|| self.asked.prompt_tokens());
        let completion = said.completion_tokens.unwrap_or(self.n_deltas);
        let mut usage = json!({
            "prompt_tokens": prompt, "completion_tokens": completion,
            "total_tokens": prompt + completion,
        });
        if let Some(cached) = said.cached_tokens {
            usage["prompt_tokens_details"] = json!({"cached_tokens": cached});
        }
        if let Some(reasoning) = said.reasoning_tokens {
            usage["completion_tokens_details"] = json!({"reasoning_tokens": reasoning});
        }
        usage
    }

    async fn stream_error(mut self, error: &Value) -> Result<(), Ended> {
        let error = json!({ "error": error });
        let text = match self.form {
            Form::Stream { .. } => format!("data: {error}\n\n"),
            Form::Plain { .. } => error.to_string(),
        };
        self.sink.event(text.as_bytes()).await?;
        self.sink.finish().await
    }

    async fn end(mut self) -> Result<(), Ended> {
        if self.tail.finish {
            let reason = if self.n_calls > 0 { "tool_calls" } else { "stop" };
            self.finish(reason).await?;
        }
        let usage = self.usage();
        match &mut self.form {
            Form::Stream { envelope, .. } => {
                if self.tail.usage.place == UsagePlace::FinalChunk {
                    envelope.usage(self.sink.begin_event(), &usage);
                    self.sink.end_event().await?;
                }
                if self.tail.done {
                    self.sink.event(b"data: [DONE]\n\n").await?;
                }
            }
            Form::Plain { body, message } => {
                body["choices"][0]["message"] = Value::Object(std::mem::take(message));
                if self.tail.usage.place != UsagePlace::None {
                    body["usage"] = usage;
                }
                self.sink.event(body.to_string().as_bytes()).await?;
            }
        }
        self.sink.finish().await
    }
}
