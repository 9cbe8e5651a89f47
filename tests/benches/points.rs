//! What a filter point costs in a turn: the loop alone, its ports answering at once.
//!
//! It must not know the router.

use crate::timing::hot;
use crate::{note, say};
use dispatch_contracts::Fault;
use dispatch_contracts::event::EventBody;
use dispatch_contracts::fault::UNKNOWN_VERB;
use dispatch_contracts::filter::{ApplyParams, ApplyReply, FilterSpec, OnFault, Point, Reads};
use dispatch_contracts::provider::{Finish, StreamFrame, StreamParams, StreamReply};
use dispatch_contracts::retry::{DecideParams, DecideReply};
use dispatch_contracts::tool::Decision;
use dispatch_contracts::tool::{Effect, RunParams, RunReply, ToolFrame, ToolSpec};
use dispatch_contracts::turn::{
    AskParams, AskReply, BoundaryParams, BoundaryReply, CommitParams, KeepParams, KeepReply,
    RunParams as TurnParams, SteeringReply,
};
use dispatch_turn::{
    CallStream, Item, NobodyListens, Progress, ProviderStream, StopSignal, ToolPolicy, ToolStream,
    TurnLimits, TurnPorts, TurnTools, run_turn,
};
use futures_util::future::BoxFuture;
use house::bench::{Figure, Goal};
use serde_json::json;
use serde_json::value::RawValue;
use std::collections::VecDeque;
use std::future::ready;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Tool calls of the turn; each passes two points.
const CALLS: usize = 64;
const TURNS: usize = 300;

pub(crate) async fn measure() {
    note("filter points");
    // Interleaved, so that a slow moment of the machine meets all alike.
    let (mut without, mut elsewhere, mut asked) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..5 {
        without.push(turn_us(&[]).await);
        elsewhere.push(turn_us(&[spec("elsewhere", Point::TurnInput)]).await);
        asked.push(turn_us(&[spec("asked", Point::ToolCall)]).await);
    }
    let middle = |mut list: Vec<f64>| {
        list.sort_by(f64::total_cmp);
        list[list.len() / 2]
    };
    let (without, elsewhere, asked) = (middle(without), middle(elsewhere), middle(asked));
    let each = |with: f64, points: usize| ((with - without) / points as f64).max(0.0) * 1_000.0;
    let question = each(asked, CALLS);
    say(&Figure::new("filter point without filters", each(elsewhere, 2 * CALLS), "ns")
        .beside("a filter that says `unchanged` at once", question)
        .goal(Goal::AtMost(50.0))
        .note(format!("a turn of {CALLS} tool calls takes {without:.0} µs in the loop alone")));
}

fn spec(name: &str, point: Point) -> FilterSpec {
    FilterSpec { name: name.to_owned(), point, priority: 0, reads: Reads::Meta, on_fault: OnFault::Open }
}

async fn turn_us(filters: &[FilterSpec]) -> f64 {
    let tool = ToolSpec::new("t", "A tool.", Effect::Read, json!({ "type": "object" }));
    let policy = ToolPolicy { read: Decision::Allow, write: Decision::Allow, exec: Decision::Allow };
    let tools = TurnTools::new(vec![tool], filters.to_vec(), policy, TurnLimits::default());
    let samples = hot(TURNS, || async {
        let input = json!({ "role": "user", "parts": [{ "type": "text", "text": "go" }] }).to_string();
        let params = TurnParams {
            conversation_id: "c".to_owned(),
            turn_id: "t".to_owned(),
            provider: "p".to_owned(),
            model: "m".to_owned(),
            system: String::new(),
            cwd: "/".to_owned(),
            computer: String::new(),
            messages: vec![RawValue::from_string(input).expect("JSON")],
            steps_max: 0,
            boundaries: Vec::new(),
            engine: String::new(),
            engine_state: None,
        };
        let ports = Ports { requests: AtomicUsize::new(0) };
        run_turn(params, tools.clone(), &ports, StopSignal::new(), &Progress::new()).await
    });
    samples.await.p50()
}

/// The first request answers tool calls, the second a word; everything is ready at once.
struct Ports {
    requests: AtomicUsize,
}

struct Ready<F, R> {
    frames: VecDeque<F>,
    end: Option<Result<R, Fault>>,
}

impl<F: Send, R: Send> CallStream<F, R> for Ready<F, R> {
    fn next(&mut self) -> BoxFuture<'_, Item<F, R>> {
        let item = match self.frames.pop_front() {
            Some(frame) => Item::Frame(frame),
            None => Item::End(self.end.take().expect("it is not read past its end")),
        };
        Box::pin(ready(item))
    }

    fn cancel(&mut self) {}
}

impl TurnPorts for Ports {
    fn stream_provider(&self, _provider: &str, _params: StreamParams) -> ProviderStream<'_> {
        let first = self.requests.fetch_add(1, Ordering::Relaxed) == 0;
        let (frames, finish) = if first {
            let call = |n| StreamFrame::ToolCall {
                tool_call_id: format!("call-{n}"),
                name: "t".to_owned(),
                args_text: "{}".to_owned(),
                opaque: serde_json::Value::Null,
            };
            ((0..CALLS).map(call).collect(), Finish::ToolCalls)
        } else {
            (VecDeque::from([StreamFrame::TextDelta { text: "done".to_owned() }]), Finish::Stop)
        };
        Box::new(Ready { frames, end: Some(Ok(StreamReply { finish, usage: None, model: String::new() })) })
    }

    fn run_tool(&self, _name: &str, _params: RunParams, _timeout_ms: u64) -> ToolStream<'_> {
        let frames: VecDeque<ToolFrame> = VecDeque::new();
        Box::new(Ready { frames, end: Some(Ok(RunReply::text("ok"))) })
    }

    fn commit<'p>(&'p self, _params: &'p CommitParams) -> BoxFuture<'p, Result<(), Fault>> {
        Box::pin(ready(Ok(())))
    }

    fn ask(&self, _params: AskParams) -> BoxFuture<'_, Result<AskReply, Fault>> {
        Box::pin(ready(Err(Fault::new("unavailable", "nothing is asked: everything is allowed"))))
    }

    fn keep(&self, _params: KeepParams) -> BoxFuture<'_, Result<KeepReply, Fault>> {
        Box::pin(ready(Err(Fault::new(UNKNOWN_VERB, "nothing is kept"))))
    }

    fn renewed_tools(&self) -> Option<TurnTools> {
        None
    }

    fn steering(&self) -> BoxFuture<'_, Result<SteeringReply, Fault>> {
        Box::pin(ready(Ok(SteeringReply::default())))
    }

    fn boundary(&self, _params: BoundaryParams) -> BoxFuture<'_, Result<BoundaryReply, Fault>> {
        Box::pin(ready(Ok(BoundaryReply::default())))
    }

    fn apply_filter(&self, _name: &str, _params: ApplyParams) -> BoxFuture<'_, Result<ApplyReply, Fault>> {
        Box::pin(ready(Ok(ApplyReply::default())))
    }

    fn retry(&self, _params: DecideParams) -> BoxFuture<'_, Option<DecideReply>> {
        Box::pin(ready(None))
    }

    fn emit(&self, _frame: EventBody) -> BoxFuture<'_, Result<(), NobodyListens>> {
        Box::pin(ready(Ok(())))
    }

    fn now_ms(&self) -> u64 {
        0
    }

    fn sleep(&self, _wait_ms: u64) -> BoxFuture<'_, ()> {
        Box::pin(std::future::pending())
    }
}
