//! The death of a host in the middle of anything, and what the next one does at its start.

use super::rig::CONV;
use super::script::{Append, Kill};
use super::world::{Turn, World, said};
use crate::ConversationStore;
use dispatch_sdk::Fault;
use dispatch_sdk::contracts::conversations as contract;
use serde_json::json;

impl World {
    pub(super) async fn kill(&mut self, kill: Kill) {
        self.control.forget_faults().await.unwrap();
        if kill.in_flight
            && let Some((event, message, word, said)) = self.appended(Append::Notice)
        {
            let params = self.append_params(event, message);
            self.control.hold().await.unwrap();
            let append = self.store.stream(contract::Append, &params);
            self.control.wait_held(1).await.unwrap();
            self.model.unsure(&[word], &[said]);
            self.kill_and_open().await;
            drop(append);
            self.control.release().await.unwrap();
        } else {
            self.kill_and_open().await;
        }
        let dead = self.host_id();
        self.host_idx += 1;
        let log: String = self.rows().await.into_iter().map(|(_, _, words)| words).collect();
        self.model.resolve(&log);
        if let Some(turn) = self.turn.take() {
            self.recover(turn, kill.adopt, &dead).await;
        }
    }

    async fn kill_and_open(&mut self) {
        self.clients.iter_mut().for_each(|client| client.watched = None);
        self.store.clone().kill().await;
        self.store = self.host.open::<ConversationStore>("conversation-store", json!({})).await.unwrap();
    }

    /// What a host does at its start with the turn of one that is dead.
    async fn recover(&mut self, turn: Turn, adopt: bool, dead: &str) {
        let open = self
            .store
            .call(contract::OpenTurns, &contract::OpenTurnsParams::default())
            .await
            .unwrap()
            .conversations;
        let found: Vec<_> = open.iter().filter_map(|found| found.open_turn.as_ref()).collect();
        let found: Vec<_> = found.iter().map(|open| (open.turn_id.as_str(), open.host_id.as_str())).collect();
        assert_eq!(found, [(turn.id.as_str(), dead)]);
        if adopt && self.adopt(&turn, dead).await.unwrap() {
            self.turn = Some(Turn { calls: Vec::new(), ..turn });
            return;
        }
        let (results, partial) = self.interrupted(&turn);
        let params = contract::SealParams {
            conversation_id: CONV.to_owned(),
            turn_id: turn.id.clone(),
            dead_host_id: Some(dead.to_owned()),
        };
        assert!(self.store.call(contract::Seal, &params).await.unwrap().sealed);
        let once = self.rows().await;
        assert!(!self.store.call(contract::Seal, &params).await.unwrap().sealed, "twice is once");
        assert_eq!(self.rows().await, once);
        let mut words: Vec<String> = results.iter().map(|id| format!("result {id};")).collect();
        words.push(format!("end {};", turn.id));
        let mut messages: Vec<String> =
            results.iter().map(|id| format!("result {id} outcome_unknown")).collect();
        messages.extend((!partial.is_empty()).then(|| said("assistant", &partial)));
        self.model.written(&words, &messages);
    }

    /// It is taken over exactly when nothing but its input is in the log.
    async fn adopt(&self, turn: &Turn, dead: &str) -> Result<bool, Fault> {
        let params = contract::AdoptParams {
            conversation_id: CONV.to_owned(),
            turn_id: turn.id.clone(),
            dead_host_id: dead.to_owned(),
            host_id: self.host_id(),
        };
        let adopted = self.store.call(contract::Adopt, &params).await?.adopted;
        assert_eq!(adopted, self.of_turn(turn).is_empty());
        Ok(adopted)
    }

    /// What is written of the turn after its input.
    fn of_turn(&self, turn: &Turn) -> Vec<&str> {
        let input = format!("input {};", turn.id);
        self.model.words().skip_while(|word| *word != input).skip(1).collect()
    }

    /// Calls without a result, and the text of the step that was cut off.
    fn interrupted(&self, turn: &Turn) -> (Vec<String>, String) {
        let (mut calls, mut partial) = (Vec::new(), String::new());
        // Notices are words like text; only text is made a message.
        for word in self.of_turn(turn) {
            let said = word.trim_end_matches(';');
            match said.split_once(' ') {
                Some(("call", id)) => {
                    calls.push(id.to_owned());
                    partial.clear();
                }
                Some(("result", id)) => calls.retain(|call| call != id),
                Some(_) => panic!("{word}"),
                None if said.starts_with('n') => {}
                None => partial.push_str(word),
            }
        }
        (calls, partial)
    }
}
