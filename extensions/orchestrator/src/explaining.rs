//! `turns.v1/explain`: finds a turn in the log, from the newest row back, and hands its rows on to be told.
//!
//! It must not know what is running: a turn is explained by what was written of it, in its log and its row, whoever ran it.

use crate::explaining::facts::{Fact, Row};
use crate::orchestrator::Orchestrator;
use dispatch_sdk::contracts::conversations::{self, Events, EventsParams, StopWish, TurnParams, check_id};
use dispatch_sdk::contracts::fault::{NOT_FOUND, UNKNOWN_VERB};
use dispatch_sdk::contracts::turns::{EXPLAIN_ITEMS_MAX, EXPLAIN_ROWS_MAX, ExplainParams, ExplainReply};
use dispatch_sdk::{Call, Fault};
use std::sync::Arc;

mod changes;
mod facts;
mod telling;

/// Rows of one page of the log; most pages hold a whole turn.
const PAGE_ROWS: usize = 200;

impl Orchestrator {
    pub(crate) async fn explain(
        self: Arc<Self>,
        call: Call,
        params: ExplainParams,
    ) -> Result<ExplainReply, Fault> {
        check_id(&params.conversation_id)?;
        let found = Search::new(params).run(&call).await?;
        let stop = stop_wish(&call, &found).await?;
        let told = telling::tell(found.conversation_id, found.turn_id, found.rows, found.incomplete);
        Ok(ExplainReply { stop, ..told })
    }
}

/// The wish that the turn ends stands in its row: whoever wishes cannot write the log of a turn that another runs.
async fn stop_wish(call: &Call, found: &Found) -> Result<Option<StopWish>, Fault> {
    let params =
        TurnParams { conversation_id: found.conversation_id.clone(), turn_id: found.turn_id.clone() };
    match call.host().call(conversations::Turn, &params).await {
        Ok(row) => Ok(row.stop),
        Err(fault) if fault.is(NOT_FOUND) || fault.is(UNKNOWN_VERB) => Ok(None),
        Err(fault) => Err(fault),
    }
}

/// What was found of a turn.
struct Found {
    conversation_id: String,
    turn_id: String,
    /// In the order of the log.
    rows: Vec<Row>,
    incomplete: bool,
}

/// A search for one turn.
struct Search {
    conversation_id: String,
    turn_id: Option<String>,
    /// From the newest back.
    rows: Vec<Row>,
    n_items: usize,
    began: bool,
    incomplete: bool,
}

impl Search {
    fn new(params: ExplainParams) -> Self {
        let ExplainParams { conversation_id, turn_id } = params;
        Self { conversation_id, turn_id, rows: Vec::new(), n_items: 0, began: false, incomplete: false }
    }

    async fn run(mut self, call: &Call) -> Result<Found, Fault> {
        let (mut before, mut n_rows) = (None, 0);
        while !self.began && n_rows < EXPLAIN_ROWS_MAX {
            let conversation_id = self.conversation_id.clone();
            // Without an upper end the store pages from the oldest row.
            let before_seq = before.unwrap_or(u64::MAX);
            let page =
                EventsParams { conversation_id, after: None, before: Some(before_seq), limit: PAGE_ROWS };
            let page = call.host().call(Events, &page).await?;
            n_rows += page.events.len();
            let oldest = page.events.first().map(|event| event.seq);
            for event in page.events.iter().rev() {
                let Some(turn_id) = &event.turn_id else { continue };
                if self.turn_id.get_or_insert_with(|| turn_id.clone()) != turn_id {
                    continue;
                }
                match Row::read(event) {
                    Ok(Some(row)) => {
                        self.began = matches!(row.fact, Fact::Started(_));
                        self.keep(row);
                    }
                    Ok(None) => {}
                    Err(_of_a_later_version) => self.incomplete = true,
                }
                if self.began {
                    break;
                }
            }
            self.incomplete |= page.skipped > 0 && !self.rows.is_empty();
            match oldest {
                Some(seq) if page.has_older => before = Some(seq),
                _ => break,
            }
        }
        self.found(n_rows)
    }

    /// The newest rows are kept, and the turn's first.
    fn keep(&mut self, row: Row) {
        let n_items = row.n_items();
        if self.n_items + n_items <= EXPLAIN_ITEMS_MAX || self.began {
            self.n_items += n_items;
            self.rows.push(row);
        } else {
            self.incomplete = true;
        }
    }

    fn found(mut self, n_rows: usize) -> Result<Found, Fault> {
        let id = &self.conversation_id;
        let Some(turn_id) = self.turn_id else {
            return Err(Fault::new(NOT_FOUND, format!("conversation `{id}` has no turn yet")));
        };
        if self.rows.is_empty() {
            let message = format!(
                "no turn `{turn_id:.80}` among the newest {n_rows} rows of the log of conversation `{id}`"
            );
            return Err(Fault::new(NOT_FOUND, message));
        }
        self.rows.reverse();
        let incomplete = self.incomplete || !self.began;
        Ok(Found { conversation_id: self.conversation_id, turn_id, rows: self.rows, incomplete })
    }
}
