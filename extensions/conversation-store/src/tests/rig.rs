//! A host with the extension over a disk, and the calls that tests make of it.

use super::disk::{Disk, DiskStore};
use crate::ConversationStore;
use dispatch_sdk::contracts::conversations as contract;
use dispatch_sdk::contracts::event::{Delta, Event, EventBody, TEXT_DELTA, TURN_ENDED};
use dispatch_sdk::{Fault, Item};
use dispatch_testkit::{FakeHost, MemoryStorage, Opened, OpenedStream};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// Longest wait of a test for anything.
const WAIT: Duration = Duration::from_secs(10);

pub(super) const CONV: &str = "c-1";

/// One process.
pub(super) struct Rig {
    pub(super) host: FakeHost,
    pub(super) store: Opened,
    pub(super) disk: Arc<Disk>,
    _storage: Opened,
}

impl Rig {
    pub(super) async fn new() -> Self {
        Self::over(&Disk::new(), FakeHost::new()).await
    }

    pub(super) async fn with_manual_clock() -> Self {
        Self::over(&Disk::new(), FakeHost::with_manual_clock()).await
    }

    /// Over the testkit's store, which keeps every bound of the contract; its disk is empty.
    pub(super) async fn over_memory() -> Self {
        let host = FakeHost::new();
        let storage = host.open::<MemoryStorage>("storage", json!({})).await.unwrap();
        Self::of(host, storage, Disk::new()).await
    }

    /// A further process over the same disk.
    pub(super) async fn over(disk: &Arc<Disk>, host: FakeHost) -> Self {
        let storage = host.open::<DiskStore>("storage", json!({ "disk": disk.id })).await.unwrap();
        Self::of(host, storage, Arc::clone(disk)).await
    }

    async fn of(host: FakeHost, storage: Opened, disk: Arc<Disk>) -> Self {
        let store = host.open::<ConversationStore>("conversation-store", json!({})).await.unwrap();
        Self { host, store, disk, _storage: storage }
    }

    pub(super) fn n_commits(&self) -> usize {
        self.host.calls_of("storage.v1/commit").len()
    }

    pub(super) async fn begin(&self, turn_id: &str) -> Result<contract::BeginReply, Fault> {
        let params = contract::BeginParams {
            conversation_id: CONV.to_owned(),
            create: true,
            turn_id: turn_id.to_owned(),
            host_id: "host-1".to_owned(),
            cwd: "/w".to_owned(),
            provider: "demo".to_owned(),
            model: "m".to_owned(),
            title: "Say hi\nplease".to_owned(),
            events: vec![body("turn_started", json!({})), body("input", json!({ "parts": [] }))],
            messages: vec![message("user", turn_id)],
            ..Default::default()
        };
        self.store.call(contract::Begin, &params).await
    }

    /// Begins a turn of `host-2` in a conversation of its own.
    pub(super) async fn begin_elsewhere(&self, id: &str) {
        let params = contract::BeginParams {
            conversation_id: id.to_owned(),
            create: true,
            turn_id: "t".to_owned(),
            host_id: "host-2".to_owned(),
            ..Default::default()
        };
        self.store.call(contract::Begin, &params).await.unwrap();
    }

    pub(super) async fn append(
        &self,
        turn_id: &str,
        events: Vec<EventBody>,
    ) -> Result<contract::AppendReply, Fault> {
        self.append_with(turn_id, events, Vec::new()).await
    }

    pub(super) async fn append_with(
        &self,
        turn_id: &str,
        events: Vec<EventBody>,
        messages: Vec<Box<RawValue>>,
    ) -> Result<contract::AppendReply, Fault> {
        let end_turn = events.last().is_some_and(|event| event.kind == TURN_ENDED);
        let (conversation_id, turn_id) = (CONV.to_owned(), turn_id.to_owned());
        let params = contract::AppendParams {
            conversation_id,
            turn_id,
            events,
            messages,
            end_turn,
            ..Default::default()
        };
        self.store.call(contract::Append, &params).await
    }

    pub(super) async fn end(&self, turn_id: &str) -> contract::AppendReply {
        self.append(turn_id, vec![body(TURN_ENDED, json!({}))]).await.unwrap()
    }

    pub(super) async fn live(&self, turn_id: &str, events: Vec<EventBody>) -> Result<(), Fault> {
        let params =
            contract::LiveParams { conversation_id: CONV.to_owned(), turn_id: turn_id.to_owned(), events };
        self.store.call(contract::Live, &params).await.map(|_| ())
    }

    pub(super) async fn seal(&self, turn_id: &str) -> bool {
        let params = contract::SealParams {
            conversation_id: CONV.to_owned(),
            turn_id: turn_id.to_owned(),
            ..Default::default()
        };
        self.store.call(contract::Seal, &params).await.unwrap().sealed
    }

    pub(super) async fn messages(&self) -> contract::MessagesReply {
        let params = contract::MessagesParams { conversation_id: CONV.to_owned(), ..Default::default() };
        self.store.call(contract::Messages, &params).await.unwrap()
    }

    pub(super) async fn history(&self) -> Vec<String> {
        self.messages().await.messages.iter().map(|message| message.get().to_owned()).collect()
    }

    pub(super) async fn page(
        &self,
        after: Option<u64>,
        before: Option<u64>,
        limit: usize,
    ) -> contract::EventsReply {
        let params = contract::EventsParams { conversation_id: CONV.to_owned(), after, before, limit };
        self.store.call(contract::Events, &params).await.unwrap()
    }

    pub(super) async fn window(
        &self,
        since: Option<u64>,
        before: Option<u64>,
        limit: usize,
    ) -> Result<contract::HistoryReply, Fault> {
        let params = contract::HistoryParams { conversation_id: CONV.to_owned(), since, before, limit };
        self.store.call(contract::History, &params).await
    }

    pub(super) async fn rename(&self, title: &str) -> Result<contract::Conversation, Fault> {
        let params = contract::RenameParams { conversation_id: CONV.to_owned(), title: title.to_owned() };
        self.store.call(contract::Rename, &params).await
    }

    pub(super) async fn archive(&self, archived: bool) -> Result<contract::Conversation, Fault> {
        let params = contract::ArchiveParams { conversation_id: CONV.to_owned(), archived };
        self.store.call(contract::Archive, &params).await
    }

    /// Takes a turn over from `host-1`, which begins all turns here.
    pub(super) async fn adopt(&self, turn_id: &str, host_id: &str) -> Result<bool, Fault> {
        self.adopt_from(turn_id, "host-1", host_id).await
    }

    pub(super) async fn adopt_from(
        &self,
        turn_id: &str,
        dead_host_id: &str,
        host_id: &str,
    ) -> Result<bool, Fault> {
        let params = contract::AdoptParams {
            conversation_id: CONV.to_owned(),
            turn_id: turn_id.to_owned(),
            dead_host_id: dead_host_id.to_owned(),
            host_id: host_id.to_owned(),
        };
        Ok(self.store.call(contract::Adopt, &params).await?.adopted)
    }

    /// The log on disk as `(seq, what)`.
    pub(super) async fn log(&self) -> Vec<(u64, String)> {
        self.page(None, None, 0).await.events.iter().map(seen).collect()
    }

    pub(super) async fn get(&self) -> contract::Conversation {
        self.store
            .call(contract::Get, &contract::GetParams { conversation_id: CONV.to_owned() })
            .await
            .unwrap()
    }

    pub(super) fn watch(&self, after: u64) -> Watched {
        let params = contract::WatchParams { conversation_id: CONV.to_owned(), after };
        Watched { stream: self.store.stream(contract::Watch, &params) }
    }
}

/// A watcher as a client has it.
pub(super) struct Watched {
    pub(super) stream: OpenedStream<contract::Watch>,
}

impl Watched {
    pub(super) async fn next(&mut self) -> Event {
        match tokio::time::timeout(WAIT, self.stream.next()).await.expect("an event comes") {
            Ok(Item::Frame(event)) => event,
            other => panic!("the watch ended: {other:?}"),
        }
    }

    /// Reads up to the event with this number.
    pub(super) async fn up_to(&mut self, seq: u64) -> Vec<Event> {
        let mut events: Vec<Event> = Vec::new();
        while events.last().is_none_or(|event| event.seq < seq) {
            events.push(self.next().await);
        }
        events
    }
}

/// An event as tests compare it: text deltas as their text, all else as its type; `~` = rebased.
pub(super) fn seen(event: &Event) -> (u64, String) {
    let what = match serde_json::from_str::<Delta>(event.data.get()) {
        Ok(delta) if event.kind == TEXT_DELTA => delta.text,
        _ => event.kind.clone(),
    };
    (event.seq, if event.rebased { format!("~{what}") } else { what })
}

pub(super) fn body(kind: &str, data: Value) -> EventBody {
    EventBody { kind: kind.to_owned(), data: to_raw_value(&data).unwrap() }
}

pub(super) fn text(text: &str) -> EventBody {
    body(TEXT_DELTA, json!({ "step_id": "t#1", "text": text }))
}

pub(super) fn called(id: &str) -> EventBody {
    body("tool_call", json!({ "step_id": "t#1", "tool_call_id": id, "name": "shell", "args": {} }))
}

pub(super) fn message(role: &str, text: &str) -> Box<RawValue> {
    // Written so that parsing and printing it again would change it.
    RawValue::from_string(format!(r#"{{ "role":"{role}","parts":[{{"type":"text", "text":"{text}"}}]}}"#))
        .unwrap()
}

/// Waits until something holds.
pub(super) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let give_up = tokio::time::Instant::now() + WAIT;
    while !holds() {
        assert!(tokio::time::Instant::now() < give_up, "{what} does not come");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
