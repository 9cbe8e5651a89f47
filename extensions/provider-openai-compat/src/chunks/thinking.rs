//! Reasoning between `<think>` tags in the text of an answer, however the tags are cut. It must not know frames.

use super::kind::Kind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const OPEN: &str = "<think>";
const CLOSE: &str = "</think>";
/// Most white space that is held back because a tag may follow it, in bytes.
const HELD_BYTES_MAX: usize = 256;

/// What tags of thinking mean in a text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ThinkTags {
    /// A block with which the answer begins is reasoning.
    #[default]
    Leading,
    /// The answer begins inside of a block, whose opening tag the chat template has written.
    Unopened,
    /// Text like any other.
    Off,
}

/// The text so far, divided.
#[derive(Debug)]
pub(super) struct Thinking {
    state: State,
    /// What may be the beginning of a tag.
    held: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Only white space came yet.
    Before { unopened: bool },
    /// In a block; `begun` = some of its text was shown.
    Inside { begun: bool },
    /// Only white space came since a block was closed; there may be another one.
    After,
    /// The answer itself, to its end.
    Answer,
}

impl Thinking {
    pub(super) fn new(tags: ThinkTags) -> Self {
        let state = match tags {
            ThinkTags::Leading => State::Before { unopened: false },
            ThinkTags::Unopened => State::Before { unopened: true },
            ThinkTags::Off => State::Answer,
        };
        Self { state, held: String::new() }
    }

    /// Takes the next piece of text and hands on the pieces of each kind that are certain.
    pub(super) fn push(&mut self, delta: &str, show: &mut impl FnMut(Kind, &str)) {
        if self.state == State::Answer {
            return show(Kind::Text, delta);
        }
        let mut rest = std::mem::take(&mut self.held) + delta;
        // Each turn takes a tag off the rest, or is the last one.
        loop {
            match self.state {
                State::Answer => return show(Kind::Text, &rest),
                State::Inside { begun } => {
                    let (thought, after) = match rest.find(CLOSE) {
                        Some(at) => (&rest[..at], Some(rest[at + CLOSE.len()..].to_owned())),
                        None => (&rest[..rest.len() - begun_tag(&rest)], None),
                    };
                    let shown = if begun { thought } else { thought.trim_start() };
                    if !shown.is_empty() {
                        show(Kind::Reasoning, shown);
                        self.state = State::Inside { begun: true };
                    }
                    let Some(after) = after else {
                        self.held = rest[thought.len()..].to_owned();
                        return;
                    };
                    self.state = State::After;
                    rest = after;
                }
                State::Before { .. } | State::After => {
                    let begun = rest.trim_start();
                    if let Some(inside) = begun.strip_prefix(OPEN) {
                        self.state = State::Inside { begun: false };
                        rest = inside.to_owned();
                    } else if OPEN.starts_with(begun) && rest.len() <= HELD_BYTES_MAX {
                        self.held = rest;
                        return;
                    } else if self.state == (State::Before { unopened: true }) {
                        self.state = State::Inside { begun: false };
                    } else {
                        if self.state == State::After {
                            rest = begun.to_owned();
                        }
                        self.state = State::Answer;
                    }
                }
            }
        }
    }

    /// What was held back, once nothing more comes.
    pub(super) fn end(&mut self) -> Option<(Kind, String)> {
        let held = std::mem::take(&mut self.held);
        let kind = match self.state {
            State::After if held.trim().is_empty() => return None,
            State::Before { unopened: true } | State::Inside { .. } => Kind::Reasoning,
            State::Before { unopened: false } | State::After | State::Answer => Kind::Text,
        };
        Some((kind, held)).filter(|(_, held)| !held.is_empty())
    }
}

/// How many bytes at the end of `text` may begin the closing tag.
fn begun_tag(text: &str) -> usize {
    (1..CLOSE.len()).rev().find(|n| text.ends_with(&CLOSE[..*n])).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{HELD_BYTES_MAX, Kind, ThinkTags, Thinking};

    /// Reasoning and text of an answer that comes in these pieces.
    fn divided(tags: ThinkTags, pieces: &[&str]) -> (String, String) {
        let (mut reasoning, mut answer) = (String::new(), String::new());
        let mut thinking = Thinking::new(tags);
        let mut take = |kind: Kind, text: &str| match kind {
            Kind::Reasoning => reasoning.push_str(text),
            Kind::Text => answer.push_str(text),
        };
        for piece in pieces {
            thinking.push(piece, &mut take);
        }
        if let Some((kind, held)) = thinking.end() {
            take(kind, &held);
        }
        (reasoning, answer)
    }

    #[test]
    fn reasoning_is_told_from_the_answer_wherever_the_tags_are_cut() {
        use ThinkTags::{Leading, Off, Unopened};
        let cases = [
            (Leading, "<think>I should greet.</think>\n\nHello!", "I should greet.", "Hello!"),
            (Leading, "\n<think>\nhé </thin </think>é", "hé </thin ", "é"),
            (Leading, "<think>\n\n</think>\n\nHello!", "", "Hello!"),
            (Leading, "<think>a</think><think>b</think> c</think>", "ab", "c</think>"),
            (Leading, "<think>cut off </thi", "cut off </thi", ""),
            (Leading, " <thi", "", " <thi"),
            (Leading, "<thinker> is a word", "", "<thinker> is a word"),
            (Leading, "  write <think>x</think>", "", "  write <think>x</think>"),
            (Leading, "a</think>b", "", "a</think>b"),
            (Unopened, "I should greet.</think>\n\nHello!", "I should greet.", "Hello!"),
            (Unopened, "<think>a</think>b", "a", "b"),
            (Unopened, "no end", "no end", ""),
            (Off, "<think>a</think>b", "", "<think>a</think>b"),
        ];
        for (tags, whole, reasoning, answer) in cases {
            let expected = (reasoning.to_owned(), answer.to_owned());
            for at in (0..=whole.len()).filter(|at| whole.is_char_boundary(*at)) {
                assert_eq!(divided(tags, &[&whole[..at], &whole[at..]]), expected, "{whole:?} cut at {at}");
            }
            let chars: Vec<String> = whole.chars().map(String::from).collect();
            let chars: Vec<&str> = chars.iter().map(String::as_str).collect();
            assert_eq!(divided(tags, &chars), expected, "{whole:?} in single characters");
        }
    }

    #[test]
    fn white_space_is_held_back_up_to_a_bound() {
        let mut thinking = Thinking::new(ThinkTags::Leading);
        let mut shown = String::new();
        for n in 1..=HELD_BYTES_MAX + 1 {
            thinking.push(" ", &mut |_, text| shown.push_str(text));
            assert_eq!(shown.len(), if n > HELD_BYTES_MAX { n } else { 0 });
        }
    }
}
