//! `stat`, `read` and `list` on a real file system, unhappy paths first.

use super::bare;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dispatch_sdk::Fault;
use dispatch_sdk::contracts::exec::{
    FileKind, List, ListEntry, ListParams, ListReply, READ_BYTES_MAX, Read, ReadParams, ReadReply, Stat,
    StatParams, StatReply,
};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use std::path::Path;

struct Place {
    dir: tempfile::TempDir,
    exec: dispatch_testkit::Opened,
}

impl Place {
    async fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("a temporary directory"), exec: bare().await }
    }

    fn cwd(&self) -> String {
        self.path().to_string_lossy().into_owned()
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.path().join(name), bytes).expect("the directory is ours");
    }

    async fn read(&self, path: &str, offset: u64, bytes_max: u64) -> Result<ReadReply, Fault> {
        let params = ReadParams { path: path.to_owned(), cwd: self.cwd(), offset, bytes_max };
        self.exec.call(Read, &params).await
    }

    async fn stat(&self, path: &str) -> Result<StatReply, Fault> {
        self.exec.call(Stat, &StatParams { path: path.to_owned(), cwd: self.cwd() }).await
    }

    async fn list(&self, path: &str, entries_max: usize) -> Result<ListReply, Fault> {
        self.exec.call(List, &ListParams { path: path.to_owned(), cwd: self.cwd(), entries_max }).await
    }
}

fn reply(data: &[u8], file_bytes: u64, eof: bool) -> ReadReply {
    ReadReply { data: STANDARD.encode(data), file_bytes, eof }
}

#[tokio::test]
async fn a_pipe_or_a_device_is_refused_and_never_opened() {
    let place = Place::new().await;
    let mode = Mode::RUSR | Mode::WUSR;
    mknodat(CWD, place.path().join("pipe"), FileType::Fifo, mode, 0).expect("the directory is ours");
    let pipe = place.path().join("pipe");
    for path in [pipe.to_str().expect("a temporary directory has a plain name"), "/dev/zero"] {
        let message = format!("cannot read `{path}`: it is a device, socket or pipe, not a file");
        assert_eq!(place.read(path, 0, 0).await, Err(Fault::new("invalid", message)));
        assert_eq!(place.stat(path).await.expect("it exists").kind, FileKind::Other);
    }
    let message = "cannot read `/etc`: it is a directory, not a file";
    assert_eq!(place.read("/etc", 0, 0).await, Err(Fault::new("invalid", message)));
}

#[tokio::test]
async fn what_is_not_there_is_not_found_and_a_wrong_place_is_invalid() {
    let place = Place::new().await;
    let missing = |tried| {
        let message =
            format!("cannot {tried} `{}/nope`: there is nothing under that name; check it", place.cwd());
        Fault::new("not_found", message)
    };
    assert_eq!(place.read("nope", 0, 0).await, Err(missing("read")));
    assert_eq!(place.stat("nope").await, Err(missing("look at")));
    assert_eq!(place.list("nope", 0).await, Err(missing("list")));
    assert_eq!(place.read("", 0, 0).await.expect_err("no path").code, "invalid");
    assert_eq!(place.read("a\0b", 0, 0).await.expect_err("no path").code, "invalid");
    place.write("file", b"");
    assert_eq!(place.list("file", 0).await.expect_err("no directory").code, "invalid");
    assert_eq!(place.read("file/below", 0, 0).await.expect_err("no directory").code, "invalid");
    let params = StatParams { path: "x".to_owned(), cwd: "/no/where".to_owned() };
    let message = "there is no working directory `/no/where`, or none any more: `x` leads nowhere";
    assert_eq!(place.exec.call(Stat, &params).await, Err(Fault::new("not_found", message)));
    assert!(place.exec.call(Stat, &StatParams { path: place.cwd(), ..params }).await.is_ok());
    let params = StatParams { path: "x".to_owned(), cwd: "relative".to_owned() };
    let message = "the working directory has to be an absolute path, not `relative`";
    assert_eq!(place.exec.call(Stat, &params).await, Err(Fault::new("invalid", message)));
}

#[tokio::test]
async fn a_file_is_read_in_pieces_and_the_last_one_is_known() {
    let place = Place::new().await;
    place.write("file", b"0123456789");
    assert_eq!(place.read("file", 0, 0).await, Ok(reply(b"0123456789", 10, true)));
    assert_eq!(place.read("file", 0, 4).await, Ok(reply(b"0123", 10, false)));
    assert_eq!(place.read("file", 4, 6).await, Ok(reply(b"456789", 10, true)));
    assert_eq!(place.read("file", 10, 4).await, Ok(reply(b"", 10, true)));
    assert_eq!(place.read("file", u64::MAX - 8, 4).await.expect_err("no such offset").code, "io");
}

#[tokio::test]
async fn what_shows_the_hosts_own_process_is_refused_by_whatever_path() {
    let place = Place::new().await;
    std::os::unix::fs::symlink("/proc/self/environ", place.path().join("link"))
        .expect("the directory is ours");
    for path in [
        "/proc/self/environ",
        "/proc/self/mem",
        "/dev/../proc/self/maps",
        "/proc/self/root/proc/1/environ",
        "link",
    ] {
        assert_eq!(place.read(path, 0, 0).await.expect_err(path).code, "denied", "{path}");
    }
}

#[tokio::test]
async fn no_read_answers_more_than_the_contract_allows() {
    let place = Place::new().await;
    let size = READ_BYTES_MAX + 1;
    place.write("large", &vec![b'x'; usize::try_from(size).expect("two megabytes")]);
    let read = place.read("large", 0, u64::MAX).await.expect("it is a file");
    assert_eq!(read.data.len() as u64, READ_BYTES_MAX.div_ceil(3) * 4);
    assert_eq!((read.file_bytes, read.eof), (size, false));
    assert_eq!(place.read("large", READ_BYTES_MAX, 0).await, Ok(reply(b"x", size, true)));
}

#[tokio::test]
async fn a_path_is_seen_from_the_working_directory_and_links_are_followed() {
    let place = Place::new().await;
    place.write("file", b"abc");
    std::fs::create_dir(place.path().join("below")).expect("the directory is ours");
    std::os::unix::fs::symlink("../file", place.path().join("below/link")).expect("the directory is ours");
    let found = place.stat("below/link").await.expect("it exists");
    assert_eq!((found.kind, found.bytes), (FileKind::File, 3));
    assert_eq!(found.path, format!("{}/below/link", place.cwd()));
    assert!(found.modified_at > 1_500_000_000_000, "{} is in ms", found.modified_at);
    assert_eq!(place.read("below/../file", 0, 0).await, Ok(reply(b"abc", 3, true)));
    assert_eq!(place.stat("below").await.expect("it exists").kind, FileKind::Directory);
}

#[tokio::test]
async fn names_are_sorted_bytewise_and_the_first_ones_are_kept() {
    let place = Place::new().await;
    for name in ["b", "a", "é", "Z"] {
        place.write(name, b"");
    }
    std::fs::create_dir(place.path().join("c")).expect("the directory is ours");
    std::os::unix::fs::symlink("nowhere", place.path().join("d")).expect("the directory is ours");
    let entry = |name: &str, kind| ListEntry { name: name.to_owned(), kind };
    let all = [
        entry("Z", FileKind::File),
        entry("a", FileKind::File),
        entry("b", FileKind::File),
        entry("c", FileKind::Directory),
        entry("d", FileKind::Other),
        entry("é", FileKind::File),
    ];
    assert_eq!(place.list(".", 0).await, Ok(ListReply { entries: all.to_vec(), truncated: false }));
    assert_eq!(place.list(".", 2).await, Ok(ListReply { entries: all[..2].to_vec(), truncated: true }));
}
