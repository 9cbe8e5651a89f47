//! The scripted world of one turn: answers as the case says, and writes down everything that the turn does.

use crate::script::{Act, HostAct, Script};
use crate::streams::Scripted;
use dispatch_contracts::Fault;
use dispatch_contracts::event::{APPROVAL_REQUESTED, APPROVAL_RESOLVED, EventBody, TOOL_CALL, TurnEnded};
use dispatch_contracts::filter::{ApplyParams, ApplyReply};
use dispatch_contracts::provider::StreamParams;
use dispatch_contracts::retry::{DecideParams, DecideReply};
use dispatch_contracts::tool::RunParams;
use dispatch_contracts::turn::{
    AskParams, AskReply, BoundaryParams, BoundaryReply, CommitParams, KeepParams, KeepReply, SteeringReply,
};
use dispatch_turn::{
    NobodyListens, Progress, ProviderStream, StopReason, StopSignal, ToolStream, TurnPorts, TurnTools,
};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::sync::Mutex;
use std::time::Duration;
use tokio::time::Instant;

/// What the turn did, for the checks that hold for every turn.
#[derive(Debug, Default)]
pub(crate) struct Record {
    trace: String,
    pub(crate) n_frames: u64,
    pub(crate) frame_types: Vec<String>,
    pub(crate) commits: Vec<CommitParams>,
    /// Frames shown when each commit began.
    pub(crate) frames_at_commit: Vec<u64>,
    pub(crate) commit_under_way: bool,
    /// Commits that were offered, each once.
    n_offered: u64,
    pub(crate) commit_failed: bool,
    pub(crate) durable_calls: HashSet<String>,
    /// `<event> <call>` of every question in a commit, and of every answer that allows.
    durable_questions: HashSet<String>,
    pub(crate) requests: Vec<Vec<String>>,
    tools_offered: Vec<String>,
    pub(crate) broken: Vec<String>,
    pub(crate) ended: Option<TurnEnded>,
    n_times: HashMap<String, usize>,
}

/// The ports of one case.
pub(crate) struct World {
    pub(crate) script: Script,
    stop: StopSignal,
    began: Instant,
    record: Mutex<Record>,
}

impl World {
    pub(crate) fn new(script: Script, stop: StopSignal) -> Self {
        Self { script, stop, began: Instant::now(), record: Mutex::new(Record::default()) }
    }

    /// Writes a line down, and stops the turn if the case says so.
    pub(crate) fn note(&self, line: &str) {
        let at_ms = self.ms();
        self.with(|record| writeln!(record.trace, "[{at_ms}] {line}")).expect("a string can be written");
        let on = self.script.stop.as_ref().and_then(|stop| stop.on.as_deref());
        if on.is_some_and(|on| line.starts_with(on)) {
            self.stop();
        }
    }

    pub(crate) fn stop(&self) {
        let by = self.script.stop.as_ref().map_or("", |stop| stop.by.as_str());
        if !self.stop.is_given() {
            self.with(|record| writeln!(record.trace, "-- stop")).expect("a string can be written");
        }
        self.stop.give(match by {
            "" | "person" => StopReason::Person,
            "host" => StopReason::HostEnds,
            "caller" => StopReason::CallerGone,
            "deadline" => StopReason::Deadline,
            "silence" => StopReason::Silence,
            other => panic!("nobody stops a turn by `{other}`"),
        });
    }

    pub(crate) fn ended(&self, ended: &TurnEnded) {
        self.note(&format!("ended {}", json(ended)));
        self.with(|record| record.ended = Some(ended.clone()));
    }

    /// Writes down what the turn says of itself now.
    pub(crate) fn explained(&self, progress: &Progress) {
        let step =
            progress.step_idx().map_or("before the first step".to_owned(), |idx| format!("in step {idx}"));
        self.note(&format!("waits {step} {}", json(&progress.waits(TurnPorts::now_ms(self)))));
    }

    pub(crate) fn trace(&self) -> String {
        self.with(|record| record.trace.clone())
    }

    pub(crate) fn with<T>(&self, f: impl FnOnce(&mut Record) -> T) -> T {
        f(&mut self.record.lock().expect("nobody panics with the record"))
    }

    fn ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).expect("cases are short")
    }

    /// How often `what` was asked for before.
    fn nth(&self, what: &str) -> usize {
        self.with(|record| {
            let n_times = record.n_times.entry(what.to_owned()).or_default();
            *n_times += 1;
            *n_times - 1
        })
    }

    async fn answer<T: DeserializeOwned>(&self, act: Option<HostAct>, default: &str) -> Result<T, Fault> {
        let act = act.unwrap_or_default();
        if act.hang {
            std::future::pending::<()>().await;
        }
        if act.wait > 0 {
            tokio::time::sleep(Duration::from_millis(act.wait)).await;
        }
        match act.fault {
            Some(code) => {
                let detail = act.detail.as_deref().map_or(Value::Null, |detail| {
                    serde_json::from_str(detail).expect("scripted detail is JSON")
                });
                Err(Fault::new(&code, format!("scripted {code}")).with_detail(detail))
            }
            None => {
                let reply = act.reply.as_deref().unwrap_or(default);
                Ok(serde_json::from_str(reply).unwrap_or_else(|source| panic!("`{reply}`: {source}")))
            }
        }
    }
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("contract types are JSON")
}

fn nth_or_last<T: Clone>(list: &[T], n: usize) -> Option<T> {
    list.get(n).or_else(|| list.last()).cloned()
}

impl TurnPorts for World {
    fn stream_provider(&self, provider: &str, params: StreamParams) -> ProviderStream<'_> {
        let n = self.nth("request");
        let messages: Vec<String> = params.messages.iter().map(|message| message.get().to_owned()).collect();
        let before = self.with(|record| record.requests.last().cloned().unwrap_or_default());
        let n_same = messages.iter().zip(&before).take_while(|(now, then)| now == then).count();
        let mut line = format!("request {n} to {provider}");
        for (name, value) in [("model", &params.model), ("system", &params.system)] {
            if !value.is_empty() {
                write!(line, " {name}={value}").expect("a string can be written");
            }
        }
        let tools: Vec<_> = params.tools.iter().map(json).collect();
        let offered_before = self.with(|record| std::mem::replace(&mut record.tools_offered, tools.clone()));
        let others = tools != offered_before;
        if n == 0 || others || params.output_tokens_max.is_some() || params.temperature.is_some() {
            let more = (params.output_tokens_max, params.temperature);
            write!(line, " limits={more:?} tools=[{}]", tools.join(",")).expect("a string can be written");
        }
        write!(line, "\n    the first {n_same} of {} as before", before.len())
            .expect("a string can be written");
        for message in &messages[n_same..] {
            write!(line, "\n    {message}").expect("a string can be written");
        }
        self.with(|record| record.requests.push(messages));
        self.note(&line);
        let none = [Act {
            fault: Some("bad_request".to_owned()),
            message: "unscripted".to_owned(),
            ..Act::default()
        }];
        let acts = self.script.requests.get(n).map_or(none.as_slice(), Vec::as_slice);
        Box::new(Scripted::new(self, format!("request {n}"), acts, &[]))
    }

    fn run_tool(&self, name: &str, params: RunParams, timeout_ms: u64) -> ToolStream<'_> {
        let n = self.nth(&format!("tool {name}"));
        let label = format!("tool {name} {}", params.tool_call_id);
        if !self.with(|record| record.durable_calls.contains(&params.tool_call_id)) {
            self.with(|record| record.broken.push(format!("`{label}` started before its call was durable")));
        }
        let has = |kind: &str| format!("{kind} {}", params.tool_call_id);
        if self.with(|record| {
            record.durable_questions.contains(&has(APPROVAL_REQUESTED))
                && !record.durable_questions.contains(&has(APPROVAL_RESOLVED))
        }) {
            self.with(|record| {
                record.broken.push(format!("`{label}` started before its answer was durable"))
            });
        }
        let (args, cwd) = (json(&params.args), &params.cwd);
        self.note(&format!("{label} starts in {cwd} with {args} for {timeout_ms} ms"));
        let tool = self.script.tool(name).expect("only scripted tools run");
        let echo = [Act { reply: Some(format!("did {args}")), ..Act::default() }];
        let acts = nth_or_last(&tool.runs, n).unwrap_or_else(|| echo.to_vec());
        Box::new(Scripted::new(self, label, &acts, &tool.on_cancel))
    }

    fn commit<'p>(&'p self, params: &'p CommitParams) -> BoxFuture<'p, Result<(), Fault>> {
        let n = self.nth("commit");
        let idx = params.commit_idx.expect("this kernel numbers its commits");
        let offered = self.with(|record| std::mem::replace(&mut record.n_offered, idx + 1));
        let first = offered <= idx;
        let again = if idx as usize == n { String::new() } else { format!(" is commit {idx}") };
        let mut line = format!("commit {n}{again} after {} frames", params.frames_before);
        for message in params.messages.iter().filter(|_| first) {
            write!(line, "\n    message {message}").expect("a string can be written");
        }
        for event in params.events.iter().filter(|_| first) {
            write!(line, "\n    {} {}", event.kind, event.data).expect("a string can be written");
        }
        if let Some(timings) = params.timings.filter(|_| self.script.show_timings) {
            write!(line, "\n    timings {}", json(&timings)).expect("a string can be written");
        }
        self.with(|record| {
            if record.commit_under_way {
                record.broken.push(format!("commit {n} began while another was under way"));
            }
            record.commit_under_way = true;
        });
        self.note(&line);
        let act = self.script.commits.get(n).or(self.script.further_commits.as_ref()).cloned();
        let n_frames = self.with(|record| record.n_frames);
        async move {
            let slow = act.as_ref().is_some_and(|act| act.wait > 0);
            let answer: Result<Value, Fault> = self.answer(act, "{}").await;
            match &answer {
                Err(fault) => self.note(&format!("commit {n} failed: {fault}")),
                Ok(_) if slow => self.note(&format!("commit {n} is durable")),
                Ok(_) => {}
            }
            self.with(|record| {
                record.commit_under_way = false;
                record.commit_failed = answer.is_err();
                if record.commit_failed {
                    return;
                }
                record.frames_at_commit.push(n_frames);
                for event in params.events.iter().filter(|event| event.kind == TOOL_CALL) {
                    let call: Value = serde_json::from_str(event.data.get()).expect("events are JSON");
                    record
                        .durable_calls
                        .insert(call["tool_call_id"].as_str().expect("calls have ids").to_owned());
                }
                for event in &params.events {
                    let data: Value = serde_json::from_str(event.data.get()).expect("events are JSON");
                    let of_call =
                        || format!("{} {}", event.kind, data["tool_call_id"].as_str().expect("an id"));
                    match event.kind.as_str() {
                        APPROVAL_REQUESTED => drop(record.durable_questions.insert(of_call())),
                        APPROVAL_RESOLVED if data["decision"] == "allow" => {
                            record.durable_questions.insert(of_call());
                        }
                        _ => {}
                    }
                }
                record.commits.push(params.clone());
            });
            answer.map(drop)
        }
        .boxed()
    }

    fn ask(&self, params: AskParams) -> BoxFuture<'_, Result<AskReply, Fault>> {
        let asked = format!("{APPROVAL_REQUESTED} {}", params.tool_call_id);
        if !self.with(|record| record.durable_questions.contains(&asked)) {
            self.with(|record| record.broken.push(format!("`{asked}` was asked before it was durable")));
        }
        self.note(&format!("ask {}", json(&params)));
        let act = self.script.asks.get(self.nth("ask")).cloned();
        self.answer(act, r#"{"decision":"deny","reason":"unscripted"}"#).boxed()
    }

    fn keep(&self, params: KeepParams) -> BoxFuture<'_, Result<KeepReply, Fault>> {
        self.note(&format!("keep {}", json(&params)));
        let act = self.script.keeps.get(self.nth("keep")).cloned();
        self.answer(act, r#"{"hash":"kept"}"#).boxed()
    }

    fn renewed_tools(&self) -> Option<TurnTools> {
        self.script.renewed_tools(self.nth("renewal"))
    }

    fn steering(&self) -> BoxFuture<'_, Result<SteeringReply, Fault>> {
        self.note("steering");
        let act = self.script.steering.get(self.nth("steering")).cloned();
        self.answer(act, "{}").boxed()
    }

    fn boundary(&self, params: BoundaryParams) -> BoxFuture<'_, Result<BoundaryReply, Fault>> {
        match &self.script.boundaries_wanted {
            Some(_) => self.note(&format!("boundary {}", json(&params))),
            None => self.note(&format!("boundary {{\"usage\":{}}}", json(&params.usage))),
        }
        let act = self.script.boundaries.get(self.nth("boundary")).cloned();
        self.answer(act, "{}").boxed()
    }

    fn apply_filter(&self, name: &str, params: ApplyParams) -> BoxFuture<'_, Result<ApplyReply, Fault>> {
        self.note(&format!("filter {name} {}", json(&params)));
        let n = self.nth(&format!("filter {name}"));
        let filter = self.script.filter(name).expect("only scripted filters");
        let act = nth_or_last(&filter.answers, n);
        self.answer(act, "{}").boxed()
    }

    fn retry(&self, params: DecideParams) -> BoxFuture<'_, Option<DecideReply>> {
        let Some(delays) = &self.script.retry else { return std::future::ready(None).boxed() };
        self.note(&format!("retry? {}", json(&params)));
        let delay = nth_or_last(delays, self.nth("retry")).unwrap_or(-1);
        std::future::ready(Some(DecideReply { delay_ms: u64::try_from(delay).ok() })).boxed()
    }

    fn emit(&self, frame: EventBody) -> BoxFuture<'_, Result<(), NobodyListens>> {
        async move {
            let n_frames = self.with(|record| record.n_frames);
            if self.script.deaf_after.is_some_and(|n_max| n_frames >= n_max) {
                self.note("emit finds nobody");
                return Err(NobodyListens);
            }
            if self.script.credit_frames.is_some_and(|n_max| n_frames >= n_max) {
                self.note("emit finds no credit");
                std::future::pending::<()>().await;
            }
            self.with(|record| {
                record.n_frames += 1;
                record.frame_types.push(frame.kind.clone());
            });
            self.note(&format!("emit {} {}", frame.kind, frame.data));
            Ok(())
        }
        .boxed()
    }

    fn now_ms(&self) -> u64 {
        1_000_000 + self.ms()
    }

    fn sleep(&self, wait_ms: u64) -> BoxFuture<'_, ()> {
        tokio::time::sleep(Duration::from_millis(wait_ms)).boxed()
    }
}
