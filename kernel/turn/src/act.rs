//! Doing what the model asks for: tool calls checked, run beside each other, and their results.

pub(crate) mod asking;
pub(crate) mod calls;
pub(crate) mod lenient;
pub(crate) mod live_output;
pub(crate) mod pool;
pub(crate) mod results;
pub(crate) mod schemas;
pub(crate) mod tool_run;
