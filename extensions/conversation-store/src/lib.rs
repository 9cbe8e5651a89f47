//! Keeps conversations: one log each, and the messages projected from it, over `storage.v1`.
//!
//! It must not know what a turn does, nor which store lies below. The truth is in the store: every write is conditional
//! on the version of the conversation's head, so that several processes may use one store.
#![forbid(unsafe_code)]

mod adopt;
mod append;
mod begin;
mod blobs;
mod block;
mod changes;
mod check;
mod conv;
mod convs;
mod counts;
mod edit;
mod engine_state;
mod entries;
mod faults;
mod grants;
mod head;
mod here;
mod hosts;
mod keys;
mod large_frames;
mod layout;
mod list;
mod mending;
mod messages;
mod old_turns;
mod open_turns;
mod opening;
mod ops;
mod request;
mod row;
mod seal;
mod spill;
mod stops;
mod store;
#[cfg(test)]
mod tests;
mod turn_log;
mod turn_rows;
mod watch;
mod watcher;
mod windows;
mod writer;

use crate::convs::Convs;
use crate::here::Proc;
use crate::hosts::Hosts;
use crate::open_turns::OpenTurnsIndex;
use crate::request::Request;
use dispatch_sdk::contracts::conversations as contract;
use dispatch_sdk::contracts::instance;
use dispatch_sdk::contracts::storage;
use dispatch_sdk::contracts::verb::Empty;
use dispatch_sdk::{Call, Config, Contributions, Extension, Fault, Host, NoSettings, Verbs, fault};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use tracing::warn;

/// The extension.
struct ConversationStore {
    host: Host,
    convs: Arc<Convs>,
    hosts: Arc<Hosts>,
    open_turns: OpenTurnsIndex,
    /// The task that looks at the store for all watchers, from the first one on.
    following: OnceLock<AbortHandle>,
}

dispatch_sdk::export!(ConversationStore, settings);

impl Extension for ConversationStore {
    fn open(host: Host, config: Config) -> Result<Self, Fault> {
        let NoSettings {} = config.parse()?;
        let hosts = Arc::new(Hosts::new(host.clone(), Box::new(Proc::at(Path::new("/proc")))));
        Ok(Self {
            host,
            convs: Arc::default(),
            hosts,
            open_turns: OpenTurnsIndex::default(),
            following: OnceLock::new(),
        })
    }

    fn verbs(verbs: &mut Verbs<Self>) {
        // Those served in place only wait for others: a thread of their own would be two more wake-ups for each.
        verbs.on_inline(contract::Get, Self::get);
        verbs.on(contract::List, Self::list);
        verbs.on(contract::Create, Self::create);
        verbs.on(contract::Rename, Self::rename);
        verbs.on(contract::Archive, Self::archive);
        verbs.on(contract::OpenTurns, Self::open_turns);
        verbs.on(contract::Hosts, Self::hosts);
        verbs.on(contract::HostLife, Self::host_life);
        verbs.on(contract::Bury, Self::bury);
        verbs.on(contract::RequestStop, Self::request_stop);
        verbs.on(contract::StopWishes, Self::stop_wishes);
        verbs.on(contract::Turn, Self::turn);
        verbs.on(contract::EndedTurns, Self::ended_turns);
        verbs.on(contract::Grants, Self::grants);
        verbs.on(contract::Grant, Self::grant);
        verbs.on(contract::Revoke, Self::revoke);
        verbs.on_inline(contract::Adopt, Self::adopt);
        verbs.on_inline(contract::Begin, Self::begin);
        verbs.on_inline(contract::Append, Self::append);
        verbs.on(contract::Live, Self::live);
        verbs.on(contract::Seal, Self::seal);
        verbs.on(contract::KeepBlob, Self::keep_blob);
        verbs.on(contract::Blob, Self::blob);
        verbs.on(contract::Messages, Self::messages);
        verbs.on(contract::History, Self::history);
        verbs.on(contract::EngineState, Self::engine_state);
        verbs.on(contract::Events, Self::events);
        verbs.on(contract::Watch, Self::watch);
        verbs.on(instance::Check, Self::check);
        verbs.on(instance::Metrics, Self::metrics);
    }

    async fn start(self: Arc<Self>) -> Result<Contributions, Fault> {
        // A store that answers nothing is met here, once, and not by each turn.
        self.host.call(storage::Info, &Empty {}).await?;
        Ok(Contributions { ops: ops::all(), ..Contributions::default() })
    }

    /// Writes what is only in memory; the turns stay open, for whoever runs them to end or to seal.
    async fn stop(self: Arc<Self>) -> Result<(), Fault> {
        for conv in self.convs.all() {
            let Some(writer) = conv.any_writer() else { continue };
            let (reply, answer) = oneshot::channel();
            if writer.send(Request::Flush { reply }).await.is_ok()
                && let Ok(Err(fault)) = answer.await
            {
                warn!(conversation_id = conv.id(), %fault, "live text could not be written before the stop");
            }
        }
        self.following.get().inspect(|task| task.abort());
        self.hosts.leave(&self.convs).await;
        Ok(())
    }
}

impl ConversationStore {
    async fn get(
        self: Arc<Self>,
        call: Call,
        params: contract::GetParams,
    ) -> Result<contract::Conversation, Fault> {
        let id = &params.conversation_id;
        contract::check_id(id)?;
        Ok(store::head_of(&call.host(), id).await?.head.conversation(id))
    }

    async fn list(
        self: Arc<Self>,
        call: Call,
        params: contract::ListParams,
    ) -> Result<contract::ListReply, Fault> {
        list::list(&call.host(), &params).await
    }

    async fn create(
        self: Arc<Self>,
        call: Call,
        params: contract::CreateParams,
    ) -> Result<contract::CreateReply, Fault> {
        edit::create(&call.host(), &self.convs.counts, params).await
    }

    async fn rename(
        self: Arc<Self>,
        call: Call,
        params: contract::RenameParams,
    ) -> Result<contract::Conversation, Fault> {
        edit::rename(&call.host(), &self.convs.counts, &params).await
    }

    async fn archive(
        self: Arc<Self>,
        call: Call,
        params: contract::ArchiveParams,
    ) -> Result<contract::Conversation, Fault> {
        edit::archive(&call.host(), &self.convs.counts, &params).await
    }

    async fn open_turns(
        self: Arc<Self>,
        call: Call,
        params: contract::OpenTurnsParams,
    ) -> Result<contract::OpenTurnsReply, Fault> {
        self.open_turns.page(&call.host(), &params).await
    }

    async fn hosts(self: Arc<Self>, call: Call, _: Empty) -> Result<contract::HostsReply, Fault> {
        self.open_turns.hosts(&call.host(), &self.hosts).await
    }

    async fn host_life(
        self: Arc<Self>,
        call: Call,
        params: contract::HostLifeParams,
    ) -> Result<contract::HostLifeReply, Fault> {
        Ok(contract::HostLifeReply { life: self.hosts.life(&call.host(), &params.host_id).await? })
    }

    async fn bury(
        self: Arc<Self>,
        call: Call,
        params: contract::BuryParams,
    ) -> Result<contract::HostLifeReply, Fault> {
        self.hosts.bury(&call.host(), &params.host_id).await
    }

    async fn request_stop(
        self: Arc<Self>,
        call: Call,
        params: contract::RequestStopParams,
    ) -> Result<contract::RequestStopReply, Fault> {
        contract::check_id(&params.conversation_id)?;
        faults::check_turn_id(&params.turn_id)?;
        stops::request(&call.host(), &self.convs.counts, &params).await
    }

    async fn stop_wishes(
        self: Arc<Self>,
        call: Call,
        params: contract::StopWishesParams,
    ) -> Result<contract::StopWishesReply, Fault> {
        contract::check_id(&params.host_id)?;
        stops::of_host(&call.host(), &params).await
    }

    async fn turn(
        self: Arc<Self>,
        call: Call,
        params: contract::TurnParams,
    ) -> Result<contract::TurnRow, Fault> {
        contract::check_id(&params.conversation_id)?;
        faults::check_turn_id(&params.turn_id)?;
        turn_rows::read(&call.host(), &params).await
    }

    async fn ended_turns(
        self: Arc<Self>,
        call: Call,
        params: contract::EndedTurnsParams,
    ) -> Result<contract::EndedTurnsReply, Fault> {
        turn_rows::ended(&call.host(), &params).await
    }

    async fn grants(
        self: Arc<Self>,
        call: Call,
        params: contract::GrantsParams,
    ) -> Result<contract::GrantsReply, Fault> {
        contract::check_id(&params.conversation_id)?;
        grants::list(&call.host(), &params.conversation_id).await
    }

    async fn grant(self: Arc<Self>, call: Call, params: contract::GrantParams) -> Result<Empty, Fault> {
        contract::check_id(&params.conversation_id)?;
        grants::grant(&call.host(), &params).await?;
        Ok(Empty {})
    }

    async fn revoke(
        self: Arc<Self>,
        call: Call,
        params: contract::RevokeParams,
    ) -> Result<contract::RevokeReply, Fault> {
        contract::check_id(&params.conversation_id)?;
        grants::revoke(&call.host(), &params).await
    }

    async fn keep_blob(
        self: Arc<Self>,
        call: Call,
        params: contract::KeepBlobParams,
    ) -> Result<contract::KeepBlobReply, Fault> {
        blobs::keep(&call.host(), &params).await
    }

    async fn blob(
        self: Arc<Self>,
        call: Call,
        params: contract::BlobParams,
    ) -> Result<contract::BlobReply, Fault> {
        blobs::read(&call.host(), &params).await
    }

    async fn begin(
        self: Arc<Self>,
        call: Call,
        params: contract::BeginParams,
    ) -> Result<contract::BeginReply, Fault> {
        contract::check_id(&params.conversation_id)?;
        faults::check_turn_id(&params.turn_id)?;
        contract::check_id(&params.host_id)?;
        faults::check_items(params.events.len() + params.messages.len())?;
        let budget_ms = opening::budget_ms(&call);
        let (convs, hosts) = (Arc::clone(&self.convs), Arc::clone(&self.hosts));
        opening::on_its_own(&self.host, begin::begin(self.host.clone(), convs, hosts, params, budget_ms))
            .await
    }

    async fn adopt(
        self: Arc<Self>,
        call: Call,
        params: contract::AdoptParams,
    ) -> Result<contract::AdoptReply, Fault> {
        contract::check_id(&params.conversation_id)?;
        faults::check_turn_id(&params.turn_id)?;
        contract::check_id(&params.host_id)?;
        if params.host_id == params.dead_host_id {
            let message = format!("host `{}` cannot adopt a turn of its own", params.host_id);
            return Err(Fault::new(fault::INVALID, message));
        }
        let budget_ms = opening::budget_ms(&call);
        let (convs, hosts) = (Arc::clone(&self.convs), Arc::clone(&self.hosts));
        opening::on_its_own(&self.host, adopt::adopt(self.host.clone(), convs, hosts, params, budget_ms))
            .await
    }

    async fn append(
        self: Arc<Self>,
        call: Call,
        params: contract::AppendParams,
    ) -> Result<contract::AppendReply, Fault> {
        append::append(&call.host(), &self.convs, params).await
    }

    async fn live(self: Arc<Self>, _call: Call, params: contract::LiveParams) -> Result<Empty, Fault> {
        let Some(conv) = self.convs.get(&params.conversation_id) else {
            return Err(faults::not_open(&params.conversation_id, &params.turn_id));
        };
        conv.live(&params.turn_id, params.events, self.host.now_ms())?;
        Ok(Empty {})
    }

    async fn seal(
        self: Arc<Self>,
        call: Call,
        params: contract::SealParams,
    ) -> Result<contract::SealReply, Fault> {
        let id = &params.conversation_id;
        contract::check_id(id)?;
        let sealed = seal::seal(&call.host(), &self.convs.counts, &params).await?;
        if sealed && let Some(conv) = self.convs.get(id) {
            conv.lose(&params.turn_id);
            self.convs.release(&conv);
        }
        Ok(contract::SealReply { sealed })
    }

    async fn messages(
        self: Arc<Self>,
        call: Call,
        params: contract::MessagesParams,
    ) -> Result<contract::MessagesReply, Fault> {
        contract::check_id(&params.conversation_id)?;
        store::head_of(&call.host(), &params.conversation_id).await?;
        messages::page(&call.host(), &params).await
    }

    async fn history(
        self: Arc<Self>,
        call: Call,
        params: contract::HistoryParams,
    ) -> Result<contract::HistoryReply, Fault> {
        contract::check_id(&params.conversation_id)?;
        windows::history(&call.host(), &params).await
    }

    async fn engine_state(
        self: Arc<Self>,
        call: Call,
        params: contract::EngineStateParams,
    ) -> Result<contract::EngineStateReply, Fault> {
        contract::check_id(&params.conversation_id)?;
        engine_state::get(&call.host(), &params).await
    }

    async fn events(
        self: Arc<Self>,
        call: Call,
        params: contract::EventsParams,
    ) -> Result<contract::EventsReply, Fault> {
        contract::check_id(&params.conversation_id)?;
        windows::events(&call.host(), &params).await
    }

    async fn watch(self: Arc<Self>, call: Call, params: contract::WatchParams) -> Result<Empty, Fault> {
        let (host, convs) = (self.host.clone(), Arc::clone(&self.convs));
        self.following.get_or_init(|| tokio::spawn(changes::follow(host, convs)).abort_handle());
        watch::watch(&self.convs, &call, params).await?;
        Ok(Empty {})
    }

    async fn check(self: Arc<Self>, call: Call, _: Empty) -> Result<instance::CheckReply, Fault> {
        Ok(check::check(&call.host()).await)
    }

    async fn metrics(self: Arc<Self>, _call: Call, _: Empty) -> Result<instance::MetricsReply, Fault> {
        Ok(self.convs.counts.metrics())
    }
}
