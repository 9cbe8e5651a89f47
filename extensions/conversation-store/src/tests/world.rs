//! The whole extension over a store that fails on demand, the clients of it, and the model beside it.

use super::client::{Client, Screen, words};
use super::expected::Expected;
use super::rig::{CONV, Watched, body, message};
use super::script::{Append, Failure, Op};
use crate::ConversationStore;
use dispatch_sdk::contracts::conversations as contract;
use dispatch_sdk::contracts::event::{Event, EventBody, TEXT_DELTA, TURN_ENDED};
use dispatch_sdk::contracts::storage::NO_SPACE;
use dispatch_sdk::{Item, fault};
use dispatch_testkit::{FakeHost, MemoryControl, MemoryStorage, Opened};
use proptest::sample::Index;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};
use std::time::Duration;

/// Longest wait for an event that may not come.
const SHORT_WAIT: Duration = Duration::from_millis(2);
/// Most such waits for an event that a client has been promised.
const WAITS_MAX: usize = 5000;

/// A turn as the process that runs it knows it.
pub(super) struct Turn {
    pub(super) id: String,
    /// Text of a step whose message is not written carries its number.
    pub(super) step: u32,
    pub(super) calls: Vec<String>,
}

pub(super) struct World {
    pub(super) host: FakeHost,
    pub(super) control: MemoryControl,
    pub(super) store: Opened,
    pub(super) host_idx: u32,
    pub(super) turn: Option<Turn>,
    pub(super) n_words: u32,
    pub(super) model: Expected,
    pub(super) clients: Vec<Client>,
    /// Screens of all clients at all times.
    pub(super) moments: Vec<Screen>,
    pub(super) title: String,
}

impl World {
    pub(super) async fn new() -> Self {
        let host = FakeHost::with_manual_clock();
        let storage = host.open::<MemoryStorage>("storage", json!({})).await.unwrap();
        let store = host.open::<ConversationStore>("conversation-store", json!({})).await.unwrap();
        let control = MemoryStorage::control(&storage);
        Self {
            host,
            control,
            store,
            host_idx: 0,
            turn: None,
            n_words: 0,
            model: Expected::default(),
            clients: vec![Client { screen: Screen::default(), watched: None }],
            moments: vec![Screen::default()],
            title: String::new(),
        }
    }

    pub(super) async fn run(&mut self, op: &Op) {
        match op {
            Op::Begin => self.begin().await,
            Op::Live(n) => self.live(*n).await,
            Op::Append(what) => self.append(*what).await,
            Op::End => self.end().await,
            Op::Join(at) => {
                let screen = at.get(&self.moments).clone();
                self.clients.push(Client { screen, watched: None });
                self.read(self.clients.len() - 1).await;
            }
            Op::Read(idx) => self.read(idx.index(self.clients.len())).await,
            Op::Leave(idx) => {
                let idx = idx.index(self.clients.len());
                self.clients[idx].watched = None;
            }
            Op::Page(at, limit) => self.page(at, *limit).await,
            Op::Tick => self.host.advance_ms(300),
            Op::Fail(Failure::NoSpace) => self.control.fail_next_commit(NO_SPACE).await.unwrap(),
            Op::Fail(Failure::Lost) => self.control.fail_next_commit(fault::IO).await.unwrap(),
            Op::Fail(Failure::Written) => self.control.lose_next_reply(fault::IO).await.unwrap(),
            Op::Rename => self.rename().await,
            Op::Kill(kill) => self.kill(*kill).await,
        }
    }

    fn word(&mut self) -> String {
        self.n_words += 1;
        format!("{};", self.n_words)
    }

    pub(super) fn host_id(&self) -> String {
        format!("host-{}", self.host_idx)
    }

    async fn begin(&mut self) {
        if self.turn.is_some() {
            return;
        }
        let id = format!("t{}", self.word().trim_end_matches(';'));
        let params = contract::BeginParams {
            conversation_id: CONV.to_owned(),
            create: true,
            turn_id: id.clone(),
            host_id: self.host_id(),
            cwd: "/w".to_owned(),
            provider: "demo".to_owned(),
            model: String::new(),
            title: "first".to_owned(),
            events: vec![body("turn_started", json!({})), body("input", json!({}))],
            messages: vec![message("user", &id)],
            ..Default::default()
        };
        match self.store.call(contract::Begin, &params).await {
            Ok(_) => {
                let words = [format!("turn_started {id};"), format!("input {id};")];
                self.model.written(&words, &[said("user", &id)]);
                if self.title.is_empty() {
                    self.title = "first".to_owned();
                }
                self.turn = Some(Turn { id, step: 1, calls: Vec::new() });
            }
            // Nothing was written: anything unsure is looked up before the answer.
            Err(fault) => assert!(fault.is(NO_SPACE) || fault.is(fault::IO), "{fault}"),
        }
    }

    async fn live(&mut self, n: usize) {
        self.begin().await;
        let new: Vec<String> = (0..n).map(|_| self.word()).collect();
        let Some(turn) = &self.turn else { return };
        let step_id = format!("{}#{}", turn.id, turn.step);
        let delta = |word: &String| body(TEXT_DELTA, json!({ "step_id": step_id, "text": word }));
        let params = contract::LiveParams {
            conversation_id: CONV.to_owned(),
            turn_id: turn.id.clone(),
            events: new.iter().map(delta).collect(),
        };
        self.store.call(contract::Live, &params).await.unwrap();
        new.iter().for_each(|word| self.model.live(word));
    }

    /// The events and messages of an append, and the same as words.
    pub(super) fn appended(&mut self, what: Append) -> Option<(EventBody, Box<RawValue>, String, String)> {
        let word = self.word();
        let id = word.trim_end_matches(';').to_owned();
        let turn = self.turn.as_mut()?;
        let step_id = format!("{}#{}", turn.id, turn.step);
        let raw = |value: Value| to_raw_value(&value).unwrap();
        Some(match what {
            Append::Notice => (
                body("notice", json!({ "code": "n", "message": format!("n{word}") })),
                message("assistant", &id),
                format!("n{word}"),
                said("assistant", &id),
            ),
            Append::Call => {
                let part = json!({ "type": "tool_call", "tool_call_id": id, "name": "shell", "args": {} });
                let event = json!({ "step_id": step_id, "tool_call_id": id, "name": "shell", "args": {} });
                (
                    body("tool_call", event),
                    raw(json!({ "role": "assistant", "parts": [part] })),
                    format!("call {id};"),
                    format!("call {id}"),
                )
            }
            Append::Result => {
                let id = turn.calls.pop()?;
                let part = json!({
                    "type": "tool_result", "tool_call_id": id, "name": "shell", "content": "", "status": "ok",
                });
                let event = json!({
                    "step_id": step_id, "tool_call_id": id, "name": "shell", "status": "ok", "content": "",
                    "duration_ms": 1,
                });
                (
                    body("tool_result", event),
                    raw(json!({ "role": "tool", "parts": [part] })),
                    format!("result {id};"),
                    format!("result {id} ok"),
                )
            }
        })
    }

    pub(super) fn append_params(&self, event: EventBody, message: Box<RawValue>) -> contract::AppendParams {
        contract::AppendParams {
            conversation_id: CONV.to_owned(),
            turn_id: self.turn.as_ref().unwrap().id.clone(),
            end_turn: event.kind == TURN_ENDED,
            events: vec![event],
            messages: vec![message],
            ..Default::default()
        }
    }

    async fn append(&mut self, what: Append) {
        self.begin().await;
        let Some((event, message, word, said)) = self.appended(what) else { return };
        let params = self.append_params(event, message);
        match self.store.call(contract::Append, &params).await {
            Ok(_) => {
                if let (Append::Call, Some(turn)) = (what, &mut self.turn) {
                    turn.calls.push(said.trim_start_matches("call ").to_owned());
                    turn.step += 1;
                }
                self.model.written(&[word], &[said]);
            }
            Err(_) => self.model.unsure(&[word], &[said]),
        }
    }

    async fn end(&mut self) {
        let Some(turn) = &self.turn else { return };
        let (word, id) = (format!("end {};", turn.id), turn.id.clone());
        let params = self.append_params(body(TURN_ENDED, json!({})), message("assistant", &id));
        // What was told to fail is over sooner or later; the same end is sent until it is known to be written.
        loop {
            match self.store.call(contract::Append, &params).await {
                Ok(_) => break,
                Err(fault) if fault.is(fault::CONFLICT) => break,
                Err(_) => {}
            }
        }
        self.model.written(&[word], &[said("assistant", &id)]);
        self.turn = None;
    }

    async fn rename(&mut self) {
        let title = format!("title {}", self.word());
        let params = contract::RenameParams { conversation_id: CONV.to_owned(), title: title.clone() };
        if self.store.call(contract::Rename, &params).await.is_ok() {
            self.title = title;
        } else if let Some(found) = self.get().await {
            self.title = found.title;
        }
    }

    async fn get(&self) -> Option<contract::Conversation> {
        self.store.call(contract::Get, &contract::GetParams { conversation_id: CONV.to_owned() }).await.ok()
    }

    /// A client reads until nothing comes for a while.
    async fn read(&mut self, idx: usize) {
        while let Some(event) = self.next(idx).await {
            let client = &mut self.clients[idx];
            client.screen.take(&event);
            self.moments.push(client.screen.clone());
        }
    }

    async fn next(&mut self, idx: usize) -> Option<Event> {
        let client = &mut self.clients[idx];
        let params = contract::WatchParams { conversation_id: CONV.to_owned(), after: client.screen.cursor };
        let store = &self.store;
        let watched =
            client.watched.get_or_insert_with(|| Watched { stream: store.stream(contract::Watch, &params) });
        match tokio::time::timeout(SHORT_WAIT, watched.stream.next()).await {
            Ok(Ok(Item::Frame(event))) => Some(event),
            Ok(Err(fault)) if fault.is(fault::NOT_FOUND) => {
                client.watched = None;
                None
            }
            Ok(ended) => panic!("the watch of a client at {} ended: {ended:?}", client.screen.cursor),
            Err(_) => None,
        }
    }

    /// What is in the log comes, at the latest when the watch has looked at the store again.
    async fn promised(&mut self, idx: usize) -> Event {
        for _ in 0..WAITS_MAX {
            if let Some(event) = self.next(idx).await {
                return event;
            }
            self.host.advance_ms(100);
        }
        panic!("nothing comes for a client at {}", self.clients[idx].screen.cursor);
    }

    /// A page after any cursor continues the screen that had it.
    async fn page(&self, at: &Index, limit: usize) {
        let mut screen = at.get(&self.moments).clone();
        let params = contract::EventsParams {
            conversation_id: CONV.to_owned(),
            after: Some(screen.cursor),
            before: None,
            limit,
        };
        match self.store.call(contract::Events, &params).await {
            Ok(page) => {
                assert!(page.events.len() == limit || !page.has_newer);
                page.events.iter().for_each(|event| screen.take(event));
            }
            Err(fault) => assert!(fault.is(fault::NOT_FOUND), "{fault}"),
        }
    }

    /// All rows, as `(first, last, words)`.
    pub(super) async fn rows(&self) -> Vec<(u64, u64, String)> {
        let (mut rows, mut after) = (Vec::new(), 0);
        loop {
            let params = contract::EventsParams {
                conversation_id: CONV.to_owned(),
                after: Some(after),
                before: None,
                limit: 7,
            };
            let page = match self.store.call(contract::Events, &params).await {
                Ok(page) => page,
                Err(fault) if fault.is(fault::NOT_FOUND) => return rows,
                Err(fault) => panic!("{fault}"),
            };
            assert_eq!(page.skipped, 0);
            let row = |event: &Event| (event.seq_first.unwrap_or(event.seq), event.seq, words(event));
            rows.extend(page.events.iter().map(row));
            match page.events.last() {
                Some(last) if page.has_newer => after = last.seq,
                Some(_) | None => return rows,
            }
        }
    }

    /// Ends what is open, and compares everything that anybody can see.
    pub(super) async fn check(mut self) {
        self.end().await;
        self.control.forget_faults().await.unwrap();
        self.begin().await;
        self.end().await;
        let rows = self.rows().await;
        let log: String = rows.iter().map(|(_, _, words)| words.as_str()).collect();
        self.model.resolve(&log);
        assert!(rows.windows(2).all(|two| two[0].1 < two[1].0), "rows overlap: {rows:?}");
        let last = rows.last().map_or(0, |(_, last, _)| *last);
        for idx in 0..self.clients.len() {
            while self.clients[idx].screen.cursor < last {
                let event = self.promised(idx).await;
                self.clients[idx].screen.take(&event);
            }
            let screen = &self.clients[idx].screen;
            for (first, last, words) in &rows {
                assert_eq!(screen.under(*first, *last), *words, "{first} to {last} of {screen:?}; {rows:?}");
            }
            let beside = screen.beside(&rows);
            let lost = |word: &str| self.model.lost.iter().any(|lost| lost.trim_end_matches(';') == word);
            assert!(beside.split_terminator(';').all(lost), "{beside} is in no row and was not lost");
        }
        for word in log.split_terminator(';') {
            let n = log.split_terminator(';').filter(|other| *other == word).count();
            assert!(n == 1 || word == "adopted", "{word} is {n} times in the log");
        }
        self.check_messages().await;
        let found = self.get().await.unwrap();
        assert_eq!((found.open_turn, found.title, found.seq_last), (None, self.title, last));
        let open = self.store.call(contract::OpenTurns, &contract::OpenTurnsParams::default()).await.unwrap();
        assert_eq!(open.conversations, []);
        let listed = self.store.call(contract::List, &contract::ListParams::default()).await.unwrap();
        assert_eq!(listed.conversations.len(), 1);
    }

    async fn check_messages(&self) {
        let params = contract::HistoryParams { conversation_id: CONV.to_owned(), ..Default::default() };
        let history = self.store.call(contract::History, &params).await.unwrap();
        let found: Vec<String> = history.messages.iter().map(|placed| spoken(&placed.message)).collect();
        assert_eq!(found, self.model.messages());
        assert!(history.messages.iter().map(|placed| placed.position).eq(0..found.len() as u64));
    }
}

pub(super) fn said(role: &str, text: &str) -> String {
    format!("{role}: {text}")
}

/// A message as the model writes it.
fn spoken(message: &RawValue) -> String {
    let message: Value = serde_json::from_str(message.get()).unwrap();
    let part = &message["parts"][0];
    let of = |key: &str| part[key].as_str().unwrap();
    match of("type") {
        "text" => said(message["role"].as_str().unwrap(), of("text")),
        "tool_call" => format!("call {}", of("tool_call_id")),
        _ => format!("result {} {}", of("tool_call_id"), of("status")),
    }
}
