//! What one step of the demo is. It must not know how it is decided on.

/// What the demo does in one step.
#[derive(Debug, PartialEq)]
pub(crate) struct Step {
    pub(crate) text: String,
    pub(crate) call: Option<ToolCall>,
}

/// A call of an offered tool.
#[derive(Debug, PartialEq)]
pub(crate) struct ToolCall {
    pub(crate) name: String,
    /// The arguments as JSON.
    pub(crate) args_text: String,
}
