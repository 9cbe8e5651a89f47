//! `write` on a real file system, unhappy paths first.

use super::bare;
use crate::barred::{Bars, Way};
use crate::reach::Roots;
use crate::unnamed::PASSING_NAME;
use crate::write::Target;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dispatch_sdk::Fault;
use dispatch_sdk::contracts::exec::{
    IfExists, Read, ReadParams, WRITE_BYTES_MAX, Write, WriteParams, WriteReply,
};
use dispatch_sdk::contracts::kernel::Dirs;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::json;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

const SHA256_OF_OLD: &str = "cba06b5736faf67e54b07b561eae94395e774c517a7d910a54369e1263ccfbd4";

struct Place {
    dir: tempfile::TempDir,
    exec: dispatch_testkit::Opened,
}

impl Place {
    async fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("a temporary directory"), exec: bare().await }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn shown(&self, name: &str) -> String {
        self.path(name).to_string_lossy().into_owned()
    }

    fn params(&self, path: &str, content: &[u8]) -> WriteParams {
        WriteParams {
            path: path.to_owned(),
            cwd: self.dir.path().to_string_lossy().into_owned(),
            data: STANDARD.encode(content),
            if_exists: IfExists::Replace,
            expect_sha256: None,
            make_dirs: false,
        }
    }

    async fn write(&self, params: &WriteParams) -> Result<WriteReply, Fault> {
        self.exec.call(Write, params).await
    }

    async fn refused(&self, params: &WriteParams) -> Fault {
        self.write(params).await.expect_err("it is refused")
    }

    /// Names here; a temporary file that was left would be one.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.dir.path()).expect("the directory is ours").flatten();
        let mut names: Vec<_> =
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

fn put(path: &Path, content: &str, mode: u32) {
    fs::write(path, content).expect("the directory is ours");
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("the file is ours");
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).expect("it is there")
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("it is there").permissions().mode() & 0o7777
}

fn found(path: &Path) -> Target<'static> {
    let roots = Roots::parse(None, "exec-local").expect("there are none");
    let bars = Bars::new("exec-local", &Dirs::default(), None, &[]).expect("there are few");
    let reach = roots.seen_from("/", bars.now(Way::Write), None);
    Target::find(path, "f", &reach).expect("its directory is there")
}

async fn sha256_of(place: &Place, name: &str) -> String {
    let params = WriteParams { if_exists: IfExists::Fail, ..place.params(name, b"") };
    place.refused(&params).await.detail["sha256"].as_str().expect("a hash").to_owned()
}

#[tokio::test]
async fn directories_pipes_devices_and_link_loops_are_refused_and_stay() {
    let place = Place::new().await;
    fs::create_dir(place.path("dir")).expect("the directory is ours");
    mknodat(CWD, place.path("pipe"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("ours too");
    symlink("loop", place.path("loop")).expect("ours too");
    symlink("dir", place.path("to-dir")).expect("ours too");
    let before = place.names();
    for path in ["dir", "to-dir", "dir/", "new/", "..", "/", "pipe", "/dev/zero", "loop", "", "a\0b"] {
        assert_eq!(place.refused(&place.params(path, b"x")).await.code, "invalid", "{path}");
    }
    let message = format!("cannot write `{}`: it leads over more than 8 links", place.shown("loop"));
    assert_eq!(place.refused(&place.params("loop", b"x")).await, Fault::new("invalid", message));
    assert_eq!(place.names(), before);
}

#[tokio::test]
async fn files_of_the_kernel_are_neither_replaced_nor_read_without_end() {
    let place = Place::new().await;
    for path in ["/proc/self/mem", "/proc/self/environ", "/proc/self/fd/0"] {
        let refused = place.refused(&place.params(path, b"x")).await;
        assert!(["invalid", "io", "denied", "not_found"].contains(&refused.code.as_str()), "{refused}");
    }
    let read =
        |path: &str| ReadParams { path: path.to_owned(), cwd: "/".to_owned(), offset: 0, bytes_max: 0 };
    symlink("loop", place.path("loop")).expect("the directory is ours");
    assert_eq!(place.exec.call(Read, &read(&place.shown("loop"))).await.expect_err("a loop").code, "io");
}

#[tokio::test]
async fn what_is_no_base64_or_too_large_is_refused() {
    let place = Place::new().await;
    let params = WriteParams { data: "?".to_owned(), ..place.params("f", b"") };
    assert_eq!(place.refused(&params).await.code, "invalid");
    for over in [1, 3, 100] {
        let params = place.params("f", &vec![b'x'; WRITE_BYTES_MAX + over]);
        let message =
            format!("cannot write `{}`: the content is over {WRITE_BYTES_MAX} bytes", place.shown("f"));
        assert_eq!(place.refused(&params).await, Fault::new("too_large", message));
    }
    assert_eq!(place.names(), [""; 0]);
}

#[tokio::test]
async fn a_missing_directory_is_not_found_unless_it_may_be_made() {
    let place = Place::new().await;
    let params = place.params("a/b/f", b"x");
    assert_eq!(place.refused(&params).await.code, "not_found");
    let reply = place.write(&WriteParams { make_dirs: true, ..params }).await.expect("it is written");
    assert!(reply.created);
    assert_eq!(text(&place.path("a/b/f")), "x");
}

#[tokio::test]
async fn a_file_that_is_there_is_a_conflict_with_its_hash() {
    let place = Place::new().await;
    put(&place.path("f"), "test", 0o644);
    let params = WriteParams { if_exists: IfExists::Fail, ..place.params("f", b"new") };
    let message = format!("cannot write `{}`: there is a file of 4 bytes already", place.shown("f"));
    let sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    let conflict = Fault::new("conflict", message).with_detail(json!({ "sha256": sha256 }));
    assert_eq!(place.refused(&params).await, conflict);
    assert_eq!((text(&place.path("f")), place.names()), ("test".to_owned(), vec!["f".to_owned()]));
}

#[tokio::test]
async fn another_content_than_expected_is_a_conflict_and_nothing_is_changed() {
    let place = Place::new().await;
    put(&place.path("f"), "changed", 0o644);
    let expecting = |path: &str, sha256: &str| WriteParams {
        expect_sha256: Some(sha256.to_owned()),
        make_dirs: true,
        ..place.params(path, b"new")
    };
    let conflict = place.refused(&expecting("f", SHA256_OF_OLD)).await;
    assert_eq!(conflict.detail, json!({ "sha256": sha256_of(&place, "f").await }));
    let conflict = place.refused(&expecting("missing/f", SHA256_OF_OLD)).await;
    assert_eq!((conflict.code.as_str(), conflict.detail), ("conflict", json!({ "sha256": null })));
    assert_eq!((text(&place.path("f")), place.names()), ("changed".to_owned(), vec!["f".to_owned()]));
    let sha256 = sha256_of(&place, "f").await.to_uppercase();
    place.write(&expecting("f", &sha256)).await.expect("it is what was expected");
    assert_eq!(text(&place.path("f")), "new");
}

#[test]
fn a_change_while_the_new_content_is_written_is_a_conflict() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("f");
    let target = |if_exists| Target { if_exists, ..found(&path) };
    let came = target(IfExists::Fail).replace("1", |_| fs::write(&path, "theirs"));
    assert_eq!(came.expect_err("it came meanwhile").code, "conflict");
    let sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    fs::write(&path, "test").expect("the directory is ours");
    let expecting = Target { expect_sha256: Some(sha256), ..target(IfExists::Replace) };
    let changed = expecting.replace("2", |_| fs::write(&path, "theirs"));
    assert_eq!(changed.expect_err("it changed meanwhile").code, "conflict");
    assert_eq!((text(&path), fs::read_dir(dir.path()).expect("ours").count()), ("theirs".to_owned(), 1));
}

#[test]
fn a_private_file_that_came_meanwhile_is_replaced_and_stays_private() {
    use std::os::unix::fs::MetadataExt as _;
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("f");
    let target = Target { if_exists: IfExists::Replace, ..found(&path) };
    let came = |_: &mut fs::File| {
        put(&path, "theirs", 0o600);
        Ok(())
    };
    assert_eq!(target.replace("1", came), Ok(false), "at the last look there was one");
    assert_eq!(fs::metadata(&path).expect("it is there").mode() & 0o777, 0o600);
    assert_eq!(text(&path), "");
}

#[test]
fn what_is_not_whole_yet_has_no_name_and_what_a_kill_leaves_is_cleared_by_the_next_write() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("f");
    let names = || -> Vec<_> {
        fs::read_dir(dir.path()).expect("ours").flatten().map(|entry| entry.file_name()).collect()
    };
    let written = found(&path).replace("1", |file| {
        file.write_all(b"new")?;
        assert_eq!(names(), [""; 0], "a kill now would leave it");
        Ok(())
    });
    assert_eq!((written, names()), (Ok(true), vec!["f".into()]));
    put(&dir.path().join(PASSING_NAME), "left by a kill", 0o600);
    let target = Target { if_exists: IfExists::Replace, ..found(&path) };
    let written = target.replace("2", |file| file.write_all(b"newer"));
    assert_eq!((written, names()), (Ok(false), vec!["f".into()]));
    assert_eq!((text(&path), mode(&path)), ("newer".to_owned(), 0o644 & mode(&path)));
}

#[test]
fn a_full_disk_is_said_and_leaves_the_old_file_and_no_other() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("f");
    fs::write(&path, "old").expect("the directory is ours");
    let target = Target { if_exists: IfExists::Replace, ..found(&path) };
    let full = target.replace("1", |file| {
        file.write_all(b"half")?;
        File::options().write(true).open("/dev/full")?.write_all(b"the rest")
    });
    let message = format!(
        "cannot write `{}`: the disk is full, or the quota is used up; make room and try again",
        path.display()
    );
    assert_eq!(full, Err(Fault::new("no_space", message)));
    assert_eq!((text(&path), fs::read_dir(dir.path()).expect("ours").count()), ("old".to_owned(), 1));
}

#[tokio::test]
async fn a_replaced_file_keeps_its_mode_and_a_new_one_is_no_program() {
    let place = Place::new().await;
    put(&place.path("f"), "old", 0o751);
    let sha256 = "11507a0e2f5e69d5dfa40a62a1bd7b6ee57e6bcd85c67c9b8431b36fff21c437";
    let reply = place.write(&place.params("f", b"new")).await;
    let path = place.shown("f");
    assert_eq!(reply, Ok(WriteReply { path, bytes: 3, sha256: sha256.to_owned(), created: false }));
    assert_eq!((text(&place.path("f")), mode(&place.path("f"))), ("new".to_owned(), 0o751));
    assert!(place.write(&place.params("g", b"")).await.expect("it is written").created);
    // The umask of who runs the tests may take more away.
    assert_eq!(mode(&place.path("g")) & !0o644, 0);
    assert_eq!(place.names(), ["f", "g"]);
}

#[tokio::test]
async fn a_link_stays_and_its_target_is_written_even_if_it_was_not_there() {
    let place = Place::new().await;
    fs::create_dir(place.path("below")).expect("the directory is ours");
    symlink("below/second", place.path("first")).expect("ours too");
    symlink("../file", place.path("below/second")).expect("ours too");
    for created in [true, false] {
        let reply = place.write(&place.params("first", b"x")).await.expect("it is written");
        assert_eq!((reply.created, reply.path), (created, place.shown("below/../file")));
    }
    assert!(place.path("first").is_symlink() && place.path("below/second").is_symlink());
    assert_eq!((text(&place.path("file")), place.names().len()), ("x".to_owned(), 3));
}
