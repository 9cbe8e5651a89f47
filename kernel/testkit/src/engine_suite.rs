//! What every engine must do, whoever runs it: the kernel's own loop, an engine behind the kernel, or one alone on a
//! [`FakeHost`](crate::FakeHost). It must not know any engine.
//!
//! ```ignore
//! let toy = FakeHost::new().open::<MyEngine>("my-engine", json!({})).await.unwrap();
//! engine_suite::run(&Alone::new(toy, "mine"), Inputs { quick: "hello", long: "wait" }).await;
//! ```

mod alone;
mod desk;
mod kept;

pub use alone::Alone;
pub use desk::Desk;

use desk::Script;
use dispatch_contracts::Fault;
use dispatch_contracts::engine::ENGINE_STATE_BYTES_MAX;
use dispatch_contracts::event::{STEERING, TurnEnded, TurnStatus};
use dispatch_contracts::turn::RunParams;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// A turn under way.
pub type Running<'a> = Pin<Box<dyn Future<Output = Result<TurnEnded, Fault>> + Send + 'a>>;

/// A way to run turns on the engine under test.
pub trait Runs: Sync {
    /// Runs one turn to its end: `desk` is told each frame and answers whatever the engine asks; once
    /// [`Desk::stop_wished`] is ready the turn is stopped.
    fn run<'a>(&'a self, params: RunParams, desk: &'a Arc<Desk>) -> Running<'a>;
}

/// What the engine under test is told.
#[derive(Debug, Clone, Copy)]
pub struct Inputs {
    /// Answered with some text, without a tool.
    pub quick: &'static str,
    /// Goes on until it is stopped, after it has shown or committed something.
    pub long: &'static str,
}

/// Runs every check; panics at the first that fails.
pub async fn run(engine: &impl Runs, inputs: Inputs) {
    a_turn_is_shown_written_and_over(engine, inputs).await;
    what_was_said_meanwhile_is_heard_and_written(engine, inputs).await;
    a_stop_ends_it_once(engine, inputs).await;
    after_a_commit_that_failed_nothing_is_written(engine, inputs).await;
    what_it_left_is_given_back(engine, inputs).await;
}

async fn a_turn_is_shown_written_and_over(engine: &impl Runs, inputs: Inputs) {
    let desk = Desk::new(Script::default());
    let ended = engine.run(params(inputs.quick, None), &desk).await.expect("a turn ends with an answer");
    assert_eq!(ended.status, TurnStatus::Completed, "{ended:?}");
    kept::check(&desk, Some(&ended));
    assert!(desk.frames().iter().any(|kind| kind == "text_delta"), "text is shown as it comes");
    let said = |message: &Value| message["role"] == "assistant";
    assert!(desk.messages().iter().any(said), "what it said is in the history: {:?}", desk.messages());
}

async fn what_was_said_meanwhile_is_heard_and_written(engine: &impl Runs, inputs: Inputs) {
    let item = json!({ "role": "user", "parts": [{ "type": "text", "text": "in French" }] });
    let steering = vec![json!({ "messages": [item], "ids": ["item_1"] })];
    let desk = Desk::new(Script { steering: steering.into(), ..Script::default() });
    let ended = engine.run(params(inputs.quick, None), &desk).await.expect("a turn ends with an answer");
    kept::check(&desk, Some(&ended));
    let taken: Vec<Value> = desk.events().into_iter().filter(|event| event["type"] == STEERING).collect();
    assert_eq!(taken.len(), 1, "what was said is taken once, by its event");
    assert_eq!(taken[0]["data"]["ids"], json!(["item_1"]), "the event names what was taken");
    assert!(desk.messages().contains(&item), "it is in the history");
}

async fn a_stop_ends_it_once(engine: &impl Runs, inputs: Inputs) {
    let desk = Desk::new(Script { stop_at_first_sign: true, ..Script::default() });
    let ended =
        engine.run(params(inputs.long, None), &desk).await.expect("a stopped turn ends with an answer");
    assert!(desk.was_stopped(), "the turn showed or committed something before it ended");
    assert_eq!(ended.status, TurnStatus::Cancelled, "{ended:?}");
    kept::check(&desk, Some(&ended));
}

async fn after_a_commit_that_failed_nothing_is_written(engine: &impl Runs, inputs: Inputs) {
    let corrupt = Fault::new("corrupt", "the suite breaks the store");
    let desk = Desk::new(Script { faults: vec![corrupt].into(), ..Script::default() });
    if let Ok(ended) = engine.run(params(inputs.quick, None), &desk).await {
        assert_eq!(ended.status, TurnStatus::Failed, "{ended:?}");
    }
    kept::check(&desk, None);
    assert_eq!(desk.commits().len(), 1, "nothing comes after what could not be written");
}

async fn what_it_left_is_given_back(engine: &impl Runs, inputs: Inputs) {
    let mut left = None;
    for _ in 0..2 {
        let desk = Desk::new(Script::default());
        let ended = engine.run(params(inputs.quick, left.as_ref()), &desk).await.expect("an answer");
        assert_eq!(ended.status, TurnStatus::Completed, "{ended:?}");
        kept::check(&desk, Some(&ended));
        let mut states = desk.commits().into_iter().map(|commit| commit["engine_state"].clone());
        left = states.rfind(|state| !state.is_null()).or(left);
        let bytes = left.as_ref().map_or(0, |left| left.to_string().len());
        assert!(bytes <= ENGINE_STATE_BYTES_MAX, "a state of {bytes} bytes");
    }
}

fn params(input: &str, left: Option<&Value>) -> RunParams {
    let message = json!({ "role": "user", "parts": [{ "type": "text", "text": input }] });
    RunParams {
        conversation_id: "c".to_owned(),
        turn_id: desk::TURN.to_owned(),
        provider: String::new(),
        model: String::new(),
        system: String::new(),
        cwd: "/".to_owned(),
        messages: vec![raw(&message)],
        boundaries: Vec::new(),
        computer: String::new(),
        steps_max: 0,
        engine: String::new(),
        engine_state: left.map(raw),
    }
}

fn raw(value: &Value) -> Box<RawValue> {
    to_raw_value(value).expect("JSON")
}
