//! The documents, as they stand: every command in them runs, every word for a command or a file means one.
//!
//! They must not know what the commands do; a document that shows something else than what happens fails here.

#[path = "documents/call_filter.rs"]
mod call_filter;
#[path = "documents/filter.rs"]
mod filter;
#[path = "documents/op.rs"]
mod op;
#[path = "documents/provider.rs"]
mod provider;
#[path = "documents/read.rs"]
mod read;
#[path = "documents/run.rs"]
mod run;
#[path = "documents/words.rs"]
mod words;
