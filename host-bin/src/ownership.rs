//! Whether a file that the host believes can only have been written by its user, or by who administers the machine.
//!
//! It must not know what the file says.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// Who but its user may write a file.
const GROUP_WRITES: u32 = 0o020;
const ALL_WRITE: u32 = 0o002;
/// What a group may do in a directory that is open to it.
const GROUP: u32 = 0o070;
const ROOT: u32 = 0;

/// Why `path`, of which `meta` tells, is not believed; nothing if it may be.
pub(crate) fn doubt(path: &Path, meta: &Metadata) -> Option<String> {
    let user = rustix::process::geteuid().as_raw();
    if meta.uid() != user && meta.uid() != ROOT {
        return Some(format!("it belongs to the user {}; look at it, then make it your own", meta.uid()));
    }
    let mode = meta.mode() & 0o7777;
    // Under a umask of 0002 every new file is its group's to write; in a directory that is closed to it, it cannot.
    let group_writes = mode & GROUP_WRITES != 0 && !is_closed_to_its_group(path);
    (mode & ALL_WRITE != 0 || group_writes).then(|| {
        let shown = path.display();
        format!("other users may write it (mode {mode:04o}); look at it, then `chmod go-w {shown}`")
    })
}

/// Whether nobody gets to the file by its group: where it really lies only its user gets in.
fn is_closed_to_its_group(path: &Path) -> bool {
    let dir = std::fs::canonicalize(path).ok().and_then(|path| path.parent().map(Path::to_owned));
    dir.and_then(|dir| std::fs::metadata(dir).ok()).is_some_and(|dir| dir.mode() & GROUP == 0)
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
        for (dir_mode, mode, believed) in [
            (0o755, 0o600, true),
            (0o755, 0o644, true),
            (0o755, 0o664, false),
            (0o755, 0o602, false),
            (0o700, 0o664, true),
            (0o710, 0o664, false),
            (0o700, 0o666, false),
        ] {
            fs::set_permissions(temp.path(), Permissions::from_mode(dir_mode)).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let doubt = doubt(&path, &fs::metadata(&path).unwrap());
            assert_eq!(doubt.is_none(), believed, "{dir_mode:o} {mode:o}: {doubt:?}");
        }
    }
}
