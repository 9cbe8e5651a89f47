//! Which directories a person trusts: asked here, known to whoever boots the kernel.

use std::path::Path;

/// Knows which directories a person trusts. It may read files; the kernel asks on a thread for that.
pub trait Trust: Send + Sync + 'static {
    /// Whether what lies in `dir` may act. In doubt it may not.
    fn trusts(&self, dir: &Path) -> bool;

    /// Whether `file`, with a content of this SHA-256 (lower-case hex), may act: it is as it was when a person said so.
    fn trusts_file(&self, file: &Path, sha256: &str) -> bool;
}

/// Trusts nothing.
pub struct TrustNothing;

impl Trust for TrustNothing {
    fn trusts(&self, _dir: &Path) -> bool {
        false
    }

    fn trusts_file(&self, _file: &Path, _sha256: &str) -> bool {
        false
    }
}
