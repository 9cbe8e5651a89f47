//! Every bound of a turn, with its reason.
//!
//! What one message, result or detail may have keeps below a frame of a call stream (4 MiB) and a call's body (16 MiB).

pub use dispatch_contracts::turn::HISTORY_BYTES_MAX;

/// A pending delta is shown when the last one is this old, in ms.
pub const TEXT_FLUSH_MS: u64 = 5;
/// A pending delta is shown when it has this many bytes.
pub const TEXT_FLUSH_BYTES: usize = 4096;
/// Most bytes of text and reasoning of one step; more fails the turn.
pub const STEP_TEXT_BYTES_MAX: usize = 3 * 1024 * 1024;
/// Most tool calls of one step; the rest is left out, so that the model asks again for what it still wants.
pub const TOOL_CALLS_PER_STEP_MAX: usize = 128;
/// Most tools that run at once.
pub const TOOL_CALLS_PARALLEL_MAX: usize = 8;
/// Most bytes of one tool result, counted as JSON; of more, head and tail are kept.
pub const TOOL_RESULT_BYTES_MAX: usize = 768 * 1024;
/// Most bytes of the images of one tool result together, as base64; the rest is left out.
pub const RESULT_IMAGES_BYTES_MAX: usize = 10 * 1024 * 1024;
/// How often what a turn may use is renewed while it runs; then it goes on with what it has.
pub const RENEWALS_MAX: usize = 256;
/// Most bytes of a tool result's `detail`, counted as JSON; a larger one is left out.
pub const TOOL_DETAIL_BYTES_MAX: usize = 128 * 1024;
/// Most bytes of live output of one tool call; the rest is not shown.
pub const TOOL_OUTPUT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Most bytes of text in one `tool_output`; a longer piece goes in several. Far below the bound of a call stream's frame.
pub const TOOL_OUTPUT_FRAME_BYTES_MAX: usize = 64 * 1024;
/// Most bytes of one committed message; more fails the turn.
pub const MESSAGE_BYTES_MAX: usize = 3840 * 1024;
/// Most bytes that one filter may change at once, counted as JSON; more is a fault of the filter.
pub const FILTER_OPS_BYTES_MAX: usize = 900 * 1024;
/// The same at `tool.result`, where filters see what the tool answered before it is cut; a reply has no more bytes.
pub const TOOL_RESULT_OPS_BYTES_MAX: usize = 16 * 1024 * 1024;
/// A commit larger than this goes in several, in order.
pub const COMMIT_BYTES_MAX: usize = 3 * 1024 * 1024;
/// For how long a commit is offered that nobody takes, in ms from the first offer; then the turn ends without it.
pub const COMMIT_TRIES_MS: u64 = 120_000;
/// The same for a turn that was stopped.
pub const COMMIT_TRIES_STOPPED_MS: u64 = 10_000;
/// Before the second offer of a commit; doubled for each further one.
pub const COMMIT_WAIT_MS: u64 = 100;
/// Longest wait between two offers of a commit.
pub const COMMIT_WAIT_MAX_MS: u64 = 10_000;
/// How long a stopped tool may take to answer with what there is: the router's own grace and a little more.
pub const TOOL_GRACE_MS: u64 = 600;
/// How long a frame may still wait for credit, or a result for its filters, after the turn was stopped.
pub const EMIT_GRACE_MS: u64 = 500;
/// Most requests of one step, whatever the retry policy says.
pub const RETRY_ATTEMPTS_MAX: u32 = 100;
/// Characters kept of arguments that nobody can read.
pub const MALFORMED_CHARS_MAX: usize = 200;
/// Characters of somebody else's words in an `error` or a `notice`.
pub(crate) const FAULT_CHARS_MAX: usize = 2000;
/// Bytes of a tool call's id; a longer one is replaced.
pub(crate) const CALL_ID_BYTES_MAX: usize = 256;
/// Characters of a tool's name, as the model wrote it.
pub(crate) const NAME_CHARS_MAX: usize = 128;
/// Violations of a schema that the model is told about one call.
pub(crate) const SCHEMA_ERRORS_MAX: usize = 5;
/// Characters of one such violation.
pub(crate) const SCHEMA_ERROR_CHARS_MAX: usize = 300;

/// The bounds that one turn runs under; never above the constants of this file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TurnLimits {
    /// See [`STEP_TEXT_BYTES_MAX`].
    pub step_text_bytes_max: usize,
    /// See [`TOOL_CALLS_PER_STEP_MAX`].
    pub tool_calls_per_step_max: usize,
    /// See [`TOOL_CALLS_PARALLEL_MAX`]; 1 = one after another.
    pub tool_calls_parallel_max: usize,
    /// See [`TOOL_RESULT_BYTES_MAX`].
    pub tool_result_bytes_max: usize,
    /// See [`TOOL_DETAIL_BYTES_MAX`].
    pub tool_detail_bytes_max: usize,
    /// See [`TOOL_OUTPUT_BYTES_MAX`].
    pub tool_output_bytes_max: usize,
    /// See [`TOOL_OUTPUT_FRAME_BYTES_MAX`].
    pub tool_output_frame_bytes_max: usize,
    /// See [`MESSAGE_BYTES_MAX`].
    pub message_bytes_max: usize,
    /// See [`HISTORY_BYTES_MAX`].
    pub history_bytes_max: usize,
    /// See [`FILTER_OPS_BYTES_MAX`].
    pub filter_ops_bytes_max: usize,
    /// See [`COMMIT_BYTES_MAX`].
    pub commit_bytes_max: usize,
}

impl Default for TurnLimits {
    fn default() -> Self {
        Self {
            step_text_bytes_max: STEP_TEXT_BYTES_MAX,
            tool_calls_per_step_max: TOOL_CALLS_PER_STEP_MAX,
            tool_calls_parallel_max: TOOL_CALLS_PARALLEL_MAX,
            tool_result_bytes_max: TOOL_RESULT_BYTES_MAX,
            tool_detail_bytes_max: TOOL_DETAIL_BYTES_MAX,
            tool_output_bytes_max: TOOL_OUTPUT_BYTES_MAX,
            tool_output_frame_bytes_max: TOOL_OUTPUT_FRAME_BYTES_MAX,
            message_bytes_max: MESSAGE_BYTES_MAX,
            history_bytes_max: HISTORY_BYTES_MAX,
            filter_ops_bytes_max: FILTER_OPS_BYTES_MAX,
            commit_bytes_max: COMMIT_BYTES_MAX,
        }
    }
}

impl TurnLimits {
    /// The same bounds, none above its constant and none so small that nothing could go on.
    pub(crate) fn clamped(self) -> Self {
        let max = Self::default();
        Self {
            step_text_bytes_max: self.step_text_bytes_max.min(max.step_text_bytes_max),
            tool_calls_per_step_max: self.tool_calls_per_step_max.clamp(1, max.tool_calls_per_step_max),
            tool_calls_parallel_max: self.tool_calls_parallel_max.clamp(1, max.tool_calls_parallel_max),
            tool_result_bytes_max: self.tool_result_bytes_max.min(max.tool_result_bytes_max),
            tool_detail_bytes_max: self.tool_detail_bytes_max.min(max.tool_detail_bytes_max),
            tool_output_bytes_max: self.tool_output_bytes_max.min(max.tool_output_bytes_max),
            // Four bytes hold any character.
            tool_output_frame_bytes_max: self
                .tool_output_frame_bytes_max
                .clamp(4, max.tool_output_frame_bytes_max),
            message_bytes_max: self.message_bytes_max.min(max.message_bytes_max),
            history_bytes_max: self.history_bytes_max.min(max.history_bytes_max),
            filter_ops_bytes_max: self.filter_ops_bytes_max.min(max.filter_ops_bytes_max),
            commit_bytes_max: self.commit_bytes_max.min(max.commit_bytes_max),
        }
    }
}
