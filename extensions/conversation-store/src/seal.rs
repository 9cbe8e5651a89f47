//! Ending the open turn of a dead host: a fold over its rows, then one commit.

use crate::counts::Counts;
use crate::entries::read_row;
use crate::faults;
use crate::head::HeadTurn;
use crate::keys;
use crate::mending::{UNKNOWN_OUTCOME, unknown_result};
use crate::row::Row;
use crate::store::{self, Batch, Known, Pages};
use crate::turn_rows;
use crate::writer::CONFLICT_RETRIES_MAX;
use dispatch_sdk::contracts::conversations::{SealParams, TurnRow};
use dispatch_sdk::contracts::event::{
    Delta, EventBody, REASONING_DELTA, STEP_COMPLETED, TEXT_DELTA, TOOL_CALL, TOOL_OUTPUT, TOOL_RESULT,
    TURN_ENDED, ToolResulted, TurnEnded, TurnStatus, USAGE,
};
use dispatch_sdk::contracts::message::{Message, Part, Role, ToolStatus};
use dispatch_sdk::contracts::provider::Usage;
use dispatch_sdk::{Fault, Host, fault};
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

/// Rows read at a time.
const PAGE_ROWS: usize = 256;
/// Most bytes of a cut-off text that go into the history; the log keeps all of it.
const PARTIAL_BYTES_MAX: usize = 128 * 1024;
/// `reason` of the end.
const HOST_DIED: &str = "host_died";
/// The same of a turn that somebody wanted to end.
const STOPPED: &str = "stopped";

/// Seals the turn; `false` = it is not open, or another host has it by now.
pub(crate) async fn seal(host: &Host, counts: &Counts, params: &SealParams) -> Result<bool, Fault> {
    let SealParams { conversation_id: id, turn_id, dead_host_id } = params;
    let wanted = |open: &&HeadTurn| {
        open.turn_id == *turn_id && dead_host_id.as_ref().is_none_or(|dead| open.host_id == *dead)
    };
    for _ in 0..CONFLICT_RETRIES_MAX {
        let known = store::head_of(host, id).await?;
        let Some(turn) = known.head.open_turn.as_ref().filter(wanted) else {
            return Ok(false);
        };
        let ledger = read_turn(host, id, turn.cursor).await?;
        let ended_at = ledger.last.as_ref().map_or(turn.started_at, |row| row.at);
        let duration_ms = ended_at.saturating_sub(turn.started_at);
        let row = turn_rows::of_open(host, id, &known.head, turn).await?;
        let end = ledger.end(turn.stop.is_some(), duration_ms);
        match try_seal(host, counts, id, &known, row, end).await {
            Ok(()) => return Ok(true),
            Err(fault) if fault.is(fault::CONFLICT) => {}
            Err(fault) => return Err(fault),
        }
    }
    Err(faults::busy(id, CONFLICT_RETRIES_MAX))
}

async fn read_turn(host: &Host, id: &str, cursor: u64) -> Result<Ledger, Fault> {
    let mut ledger = Ledger::default();
    let mut pages = Pages::new(keys::row(id, cursor + 1), keys::rows_end(id), PAGE_ROWS, false);
    while let Some(entries) = pages.next(host).await? {
        for entry in &entries {
            if let Some(row) = read_row(host, entry).await? {
                ledger.see(row);
            }
        }
    }
    Ok(ledger)
}

async fn try_seal(
    host: &Host,
    counts: &Counts,
    id: &str,
    known: &Known,
    mut turn: TurnRow,
    end: End,
) -> Result<(), Fault> {
    let at = host.now_ms();
    let mut head = known.head.clone();
    let idx = head.messages;
    let first = head.seq_reserved.max(head.seq_last) + 1;
    head.active_at = at;
    head.add_messages(&end.messages);
    head.seq_last = first + end.events.len() as u64 - 1;
    head.seq_reserved = head.seq_last;
    head.open_turn = None;
    let mut batch = Batch::new(id, Some(known), &head);
    // Text that nobody wrote down may have been shown under any number up to the last reserved one, and a client takes
    // back what a row covers. A block that may have been shown with more of it covers them itself; else the next row.
    let mut seq_first = known.head.seq_last + 1;
    if let Some(mut row) = end.open_block
        && row.seq < first - 1
    {
        batch.delete_row(row.seq);
        row.seq = first - 1;
        batch.put_row(&row);
        seq_first = first;
    }
    for (seq, event) in (first..).zip(&end.events) {
        batch.put_row(&Row { seq_first, ..Row::of(event, &turn.turn_id, seq, at) });
        seq_first = seq + 1;
    }
    batch.put_messages(idx, &end.messages);
    turn.steps = end.steps;
    turn_rows::end(&mut batch, id, turn, &head, end.events.last(), None, at);
    batch.commit(host, counts).await?;
    Ok(())
}

/// What the rows of one turn say about how far it came.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// Calls without a result, in their order.
    calls: Vec<Called>,
    /// Text of a step whose message is not in the history.
    partial: Option<Delta>,
    usage: Usage,
    context_tokens: u64,
    steps: u32,
    last: Option<Row>,
}

#[derive(Debug, Deserialize)]
struct Called {
    step_id: String,
    tool_call_id: String,
    name: String,
}

#[derive(Deserialize)]
struct Resulted {
    tool_call_id: String,
}

#[derive(Deserialize)]
struct Step {
    step_id: String,
    #[serde(default)]
    usage: Option<Usage>,
}

/// What ends the turn.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) events: Vec<EventBody>,
    pub(crate) messages: Vec<Box<RawValue>>,
    /// Steps that were completed.
    pub(crate) steps: u32,
    /// The last row, if more of it may have been shown.
    pub(crate) open_block: Option<Row>,
}

impl Ledger {
    pub(crate) fn see(&mut self, row: Row) {
        match row.kind.as_str() {
            TEXT_DELTA => self.see_text(&row.data),
            TOOL_CALL => {
                if let Some(called) = read::<Called>(&row.data) {
                    self.committed(&called.step_id);
                    self.calls.push(called);
                }
            }
            TOOL_RESULT => {
                if let Some(resulted) = read::<Resulted>(&row.data)
                    && let Some(idx) = self.calls.iter().position(|c| c.tool_call_id == resulted.tool_call_id)
                {
                    self.calls.remove(idx);
                }
            }
            USAGE | STEP_COMPLETED => {
                if let Some(step) = read::<Step>(&row.data) {
                    self.committed(&step.step_id);
                    if row.kind == USAGE {
                        self.see_usage(step.usage.unwrap_or_default());
                    } else {
                        self.steps += 1;
                    }
                }
            }
            _ => {}
        }
        self.last = Some(row);
    }

    fn see_text(&mut self, data: &RawValue) {
        let Some(delta) = read::<Delta>(data) else { return };
        match &mut self.partial {
            Some(partial) if partial.step_id == delta.step_id => partial.text.push_str(&delta.text),
            Some(_) | None => self.partial = Some(delta),
        }
    }

    /// A durable event of the step came: the step's message was written with it.
    fn committed(&mut self, step_id: &str) {
        self.partial.take_if(|partial| partial.step_id == step_id);
    }

    fn see_usage(&mut self, usage: Usage) {
        let add = |a: Option<u64>, b: Option<u64>| a.map_or(b, |a| Some(a + b.unwrap_or(0)));
        self.usage.input_tokens += usage.input_tokens;
        self.usage.output_tokens += usage.output_tokens;
        self.usage.cache_read_tokens = add(self.usage.cache_read_tokens, usage.cache_read_tokens);
        self.usage.cache_write_tokens = add(self.usage.cache_write_tokens, usage.cache_write_tokens);
        self.context_tokens = usage.input_tokens + usage.output_tokens;
    }

    /// The events and messages that end the turn: as interrupted, or as cancelled if that is what somebody wanted.
    pub(crate) fn end(self, stop_wished: bool, duration_ms: u64) -> End {
        let mut events = Vec::new();
        let mut messages = Vec::new();
        for called in &self.calls {
            messages.push(unknown_result(&called.tool_call_id, &called.name));
            let resulted = ToolResulted {
                step_id: called.step_id.clone(),
                tool_call_id: called.tool_call_id.clone(),
                name: called.name.clone(),
                status: ToolStatus::OutcomeUnknown,
                content: UNKNOWN_OUTCOME.to_owned(),
                duration_ms: 0,
                detail: serde_json::Value::Null,
                denied_by: None,
                answered_by: String::new(),
                parts: Vec::new(),
            };
            events.push(EventBody { kind: TOOL_RESULT.to_owned(), data: raw(&resulted) });
        }
        if let Some(mut partial) = self.partial
            && !partial.text.trim().is_empty()
        {
            partial.text.truncate(partial.text.floor_char_boundary(PARTIAL_BYTES_MAX));
            let parts = vec![Part::Text { text: partial.text }];
            messages.push(raw(&Message { role: Role::Assistant, parts }));
        }
        let (status, reason) = match stop_wished {
            true => (TurnStatus::Cancelled, STOPPED),
            false => (TurnStatus::Interrupted, HOST_DIED),
        };
        let ended = TurnEnded {
            status,
            reason: reason.to_owned(),
            usage: self.usage,
            context_tokens: self.context_tokens,
            duration_ms,
        };
        events.push(EventBody { kind: TURN_ENDED.to_owned(), data: raw(&ended) });
        let joins = |row: &Row| matches!(row.kind.as_str(), TEXT_DELTA | REASONING_DELTA | TOOL_OUTPUT);
        End { events, messages, steps: self.steps, open_block: self.last.filter(joins) }
    }
}

fn read<'a, T: Deserialize<'a>>(data: &'a RawValue) -> Option<T> {
    serde_json::from_str(data.get()).ok()
}

fn raw<T: Serialize>(value: &T) -> Box<RawValue> {
    to_raw_value(value).expect("a struct of strings and numbers always encodes")
}
