//! Whole stories: the built `dispatch` as a user runs it, against a fake LLM over HTTP.
//!
//! They must not know anything of the host but its command line, its output and its exit code.

#[path = "stories/backup.rs"]
mod backup;
#[path = "stories/composing.rs"]
mod composing;
#[path = "stories/conversations.rs"]
mod conversations;
#[path = "stories/crowded.rs"]
mod crowded;
#[path = "stories/ending_together.rs"]
mod ending_together;
#[path = "stories/endpoints.rs"]
mod endpoints;
#[path = "stories/engines.rs"]
mod engines;
#[path = "stories/explain.rs"]
mod explain;
#[path = "stories/faults.rs"]
mod faults;
#[path = "stories/first_minutes.rs"]
mod first_minutes;
#[path = "stories/full_disk.rs"]
mod full_disk;
#[path = "stories/host.rs"]
mod host;
#[path = "stories/installed.rs"]
mod installed;
#[path = "stories/local_access.rs"]
mod local_access;
#[path = "stories/long_history.rs"]
mod long_history;
#[path = "stories/operating.rs"]
mod operating;
#[path = "stories/orphans.rs"]
mod orphans;
#[path = "stories/policy.rs"]
mod policy;
#[path = "stories/retries.rs"]
mod retries;
#[path = "stories/searching.rs"]
mod searching;
#[path = "stories/secrets.rs"]
mod secrets;
#[path = "stories/served.rs"]
mod served;
#[path = "stories/serving_turns.rs"]
mod serving_turns;
#[path = "stories/setting_up.rs"]
mod setting_up;
#[path = "stories/signals.rs"]
mod signals;
#[path = "stories/stopping.rs"]
mod stopping;
#[path = "stories/surroundings.rs"]
mod surroundings;
#[path = "stories/swap.rs"]
mod swap;
#[path = "stories/terminal.rs"]
mod terminal;
#[path = "stories/tools.rs"]
mod tools;
#[path = "stories/two_hosts.rs"]
mod two_hosts;
