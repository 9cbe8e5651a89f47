//! The model: what must be in the log and in the history, and what may be, in order.

use super::client::ADOPTED;

/// Words and messages that are written in one commit, or not at all.
#[derive(Debug, Clone)]
struct Group {
    words: Vec<String>,
    messages: Vec<String>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Written,
    /// Live: written with whatever is written next, or lost.
    Shown,
    /// Its commit failed in a way that does not tell.
    Unsure,
}

#[derive(Debug, Default)]
pub(super) struct Expected {
    groups: Vec<Group>,
    /// Words that were shown or tried and never written.
    pub(super) lost: Vec<String>,
}

impl Expected {
    /// A commit was answered: it is written, and so is all live text before it.
    pub(super) fn written(&mut self, words: &[String], messages: &[String]) {
        for group in self.groups.iter_mut().filter(|group| group.state == State::Shown) {
            group.state = State::Written;
        }
        self.push(words, messages, State::Written);
    }

    /// A commit failed, or its answer never came.
    pub(super) fn unsure(&mut self, words: &[String], messages: &[String]) {
        self.push(words, messages, State::Unsure);
    }

    pub(super) fn live(&mut self, word: &str) {
        self.push(&[word.to_owned()], &[], State::Shown);
    }

    fn push(&mut self, words: &[String], messages: &[String], state: State) {
        self.groups.push(Group { words: words.to_vec(), messages: messages.to_vec(), state });
    }

    /// Compares with the log, and takes from it what of the uncertain was written; the rest never will be.
    pub(super) fn resolve(&mut self, log: &str) {
        let log = log.replace(ADOPTED, "");
        let mut rest = log.as_str();
        let mut resolved = Vec::new();
        for group in std::mem::take(&mut self.groups) {
            match rest.strip_prefix(group.words.concat().as_str()) {
                Some(after) => {
                    rest = after;
                    resolved.push(Group { state: State::Written, ..group });
                }
                None if group.state != State::Written => self.lost.extend(group.words),
                None => panic!("{:?} must come next in {rest:?} of {log:?}", group.words),
            }
        }
        assert_eq!(rest, "", "nobody wrote the end of {log:?}");
        self.groups = resolved;
    }

    /// All messages that must be there; only after [`Expected::resolve`].
    pub(super) fn messages(&self) -> Vec<String> {
        self.groups.iter().flat_map(|group| group.messages.clone()).collect()
    }

    /// Words that must be there; only after [`Expected::resolve`].
    pub(super) fn words(&self) -> impl Iterator<Item = &str> {
        self.groups.iter().flat_map(|group| group.words.iter().map(String::as_str))
    }
}
