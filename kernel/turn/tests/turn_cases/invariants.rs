//! What holds for every turn, whatever its script says.

use crate::world::World;
use dispatch_contracts::event::{
    APPROVAL_REQUESTED, APPROVAL_RESOLVED, NOTICE, REASONING_DELTA, RETRY_SCHEDULED, TEXT_DELTA, TOOL_OUTPUT,
    TURN_ENDED,
};
use dispatch_contracts::message::{Message, Part, Role};

const FRAME_TYPES: [&str; 5] = [TEXT_DELTA, REASONING_DELTA, TOOL_OUTPUT, RETRY_SCHEDULED, NOTICE];

/// Answers the first rule that the turn broke.
pub(crate) fn check(world: &World) -> Result<(), String> {
    world.with(|record| match record.broken.first() {
        Some(broken) => Err(broken.clone()),
        None => Ok(()),
    })?;
    only_frame_types_travel_as_frames(world)?;
    every_commit_knows_the_frames_before_it(world)?;
    the_last_event_is_the_end(world)?;
    every_question_comes_to_something_once(world)?;
    the_history_is_valid(world)?;
    each_request_begins_with_the_one_before(world)
}

fn only_frame_types_travel_as_frames(world: &World) -> Result<(), String> {
    world.with(|record| {
        let committed = record.commits.iter().flat_map(|commit| &commit.events);
        let wrong_event =
            committed.map(|event| &event.kind).find(|kind| FRAME_TYPES.contains(&kind.as_str()));
        let wrong_frame = record.frame_types.iter().find(|kind| !FRAME_TYPES.contains(&kind.as_str()));
        match wrong_event.or(wrong_frame) {
            Some(kind) => Err(format!("`{kind}` travelled the wrong way")),
            None => Ok(()),
        }
    })
}

fn every_commit_knows_the_frames_before_it(world: &World) -> Result<(), String> {
    world.with(|record| {
        let said: Vec<u64> = record.commits.iter().map(|commit| commit.frames_before).collect();
        let shown = &record.frames_at_commit[..said.len()];
        if said == shown { Ok(()) } else { Err(format!("commits say {said:?} frames, shown were {shown:?}")) }
    })
}

fn the_last_event_is_the_end(world: &World) -> Result<(), String> {
    world.with(|record| {
        if record.commit_failed {
            return Ok(());
        }
        let events: Vec<_> = record.commits.iter().flat_map(|commit| &commit.events).collect();
        let n_ends = events.iter().filter(|event| event.kind == TURN_ENDED).count();
        let last = events.last().map(|event| (event.kind.as_str(), event.data.get().to_owned()));
        let ended = serde_json::to_string(&record.ended).expect("the end is JSON");
        if n_ends == 1 && last == Some((TURN_ENDED, ended)) {
            return Ok(());
        }
        Err(format!("{n_ends} ends, the last event is {last:?}"))
    })
}

/// Each `approval_requested` is followed by one `approval_resolved`, unless no commit got through any more.
fn every_question_comes_to_something_once(world: &World) -> Result<(), String> {
    world.with(|record| {
        let mut open: Vec<String> = Vec::new();
        for event in record.commits.iter().flat_map(|commit| &commit.events) {
            let data: serde_json::Value =
                serde_json::from_str(event.data.get()).map_err(|e| e.to_string())?;
            let call = data["tool_call_id"].to_string();
            match event.kind.as_str() {
                APPROVAL_REQUESTED => open.push(call),
                APPROVAL_RESOLVED => match open.iter().position(|asked| *asked == call) {
                    Some(at) => drop(open.remove(at)),
                    None => return Err(format!("call {call} was answered and not asked about")),
                },
                _ => {}
            }
        }
        if open.is_empty() || record.commit_failed { Ok(()) } else { Err(format!("unanswered: {open:?}")) }
    })
}

/// Every call is followed by its result, in order; no message is empty.
fn the_history_is_valid(world: &World) -> Result<(), String> {
    let mut messages = world.script.history();
    world.with(|record| {
        if !record.commit_failed {
            messages.extend(record.commits.iter().flat_map(|commit| commit.messages.clone()));
        }
    });
    let mut waiting: Vec<String> = Vec::new();
    for raw in messages {
        let message: Message = serde_json::from_str(raw.get()).map_err(|source| source.to_string())?;
        if message.parts.is_empty() {
            return Err(format!("an empty message: {raw}"));
        }
        if message.role != Role::Tool && !waiting.is_empty() {
            return Err(format!("calls without result: {waiting:?}"));
        }
        for part in message.parts {
            match part {
                Part::ToolCall { tool_call_id, .. } => waiting.push(tool_call_id),
                Part::ToolResult { tool_call_id, .. } if waiting.first() == Some(&tool_call_id) => {
                    waiting.remove(0);
                }
                Part::ToolResult { .. } => return Err(format!("a result out of order: {raw}")),
                Part::Text { .. } | Part::Image { .. } | Part::Reasoning { .. } | Part::Unknown => {}
            }
        }
    }
    if waiting.is_empty() { Ok(()) } else { Err(format!("calls without result: {waiting:?}")) }
}

fn each_request_begins_with_the_one_before(world: &World) -> Result<(), String> {
    let script = &world.script;
    if !script.filters.is_empty() || !script.boundaries.is_empty() {
        return Ok(());
    }
    world.with(|record| {
        let broken = record.requests.windows(2).position(|pair| !pair[1].starts_with(&pair[0]));
        match broken {
            Some(at) => Err(format!("request {} does not begin with request {at}", at + 1)),
            None => Ok(()),
        }
    })
}
