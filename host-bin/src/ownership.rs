//! Whether a file that the host believes can only have been written by its user, or by who administers the machine.
//!
//! It must not know what the file says.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// Who may write a file that is believed.
const OTHERS_WRITE: u32 = 0o022;
const ROOT: u32 = 0;

/// Why `path`, of which `meta` tells, is not believed; nothing if it may be.
pub(crate) fn doubt(path: &Path, meta: &Metadata) -> Option<String> {
    let user = rustix::process::geteuid().as_raw();
    if meta.uid() != user && meta.uid() != ROOT {
        return Some(format!("it belongs to the user {}; look at it, then make it your own", meta.uid()));
    }
    let mode = meta.mode() & 0o7777;
    (mode & OTHERS_WRITE != 0).then(|| {
        let shown = path.display();
        format!("other users may write it (mode {mode:04o}); look at it, then `chmod go-w {shown}`")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_file_that_others_may_write_is_doubted_and_one_that_they_may_read_is_not() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("config.toml");
        fs::write(&path, "").unwrap();
        for (mode, believed) in [(0o600, true), (0o644, true), (0o664, false), (0o602, false)] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let doubt = doubt(&path, &fs::metadata(&path).unwrap());
            assert_eq!(doubt.is_none(), believed, "{mode:o}: {doubt:?}");
        }
    }
}
