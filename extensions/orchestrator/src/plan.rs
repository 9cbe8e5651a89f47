//! What a turn runs with. It must not know who chose it.

/// What a turn runs with.
#[derive(Debug, Clone)]
pub(crate) struct RunPlan {
    /// Empty = the kernel's own loop.
    pub(crate) engine: String,
    pub(crate) provider: String,
    pub(crate) model: String,
    pub(crate) cwd: String,
    /// Unix ms; dates the system prompt.
    pub(crate) conversation_made_at: u64,
}
