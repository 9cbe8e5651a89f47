//! The host's own directories and places of secrets, by every verb and every way there.

use super::{open, shim};
use crate::barred::{Bars, Lookups, Way};
use crate::reach::Roots;
use crate::seen::lies_at;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dispatch_sdk::Fault;
use dispatch_sdk::contracts::exec::{
    self, FileKind, IfExists, List, ListParams, Read, ReadParams, RootsParams, RootsReply, Stat, StatParams,
    Write, WriteParams,
};
use dispatch_sdk::contracts::kernel::Dirs;
use dispatch_testkit::{FakeHost, Opened};
use serde_json::{Value, json};
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// The content of every file of the host; no reply may hold it.
const SECRET: &str = "the host's";
const OWN: [&str; 5] = ["config", "data", "state", "cache", "run"];

/// A host whose five directories are there, each with a `secret`; `work` lies beside them.
struct Place {
    exec: Opened,
    cwd: PathBuf,
}

impl Place {
    async fn new(config: impl FnOnce(&Path) -> Value) -> Self {
        let host = FakeHost::new();
        let home = host.temp_dir().to_owned();
        for name in OWN {
            fs::create_dir_all(home.join(name).join("below")).expect("the directory is ours");
            fs::write(home.join(name).join("secret"), SECRET).expect("the directory is ours");
        }
        let cwd = home.join("work");
        fs::create_dir(&cwd).expect("the directory is ours");
        let exec = host.open::<crate::ExecLocal>("exec-local", config(&home)).await.expect("it opens");
        Self { exec, cwd }
    }

    async fn machine() -> Self {
        Self::new(|_| json!({ "shim": shim() })).await
    }

    fn home(&self) -> &Path {
        self.cwd.parent().expect("it lies in one")
    }

    async fn read(&self, path: &str, cwd: &Path) -> Result<String, Fault> {
        let cwd = cwd.to_string_lossy().into_owned();
        let params = ReadParams { path: path.to_owned(), cwd, offset: 0, bytes_max: 0 };
        let data = self.exec.call(Read, &params).await?.data;
        Ok(String::from_utf8(STANDARD.decode(data).expect("base64")).expect("text"))
    }

    async fn write(&self, path: &str, cwd: &Path) -> Result<(), Fault> {
        let params = WriteParams {
            path: path.to_owned(),
            cwd: cwd.to_string_lossy().into_owned(),
            data: STANDARD.encode("written"),
            if_exists: IfExists::Replace,
            expect_sha256: None,
            make_dirs: true,
        };
        self.exec.call(Write, &params).await.map(|_| ())
    }

    async fn stat(&self, path: &str, cwd: &Path) -> Result<FileKind, Fault> {
        let params = StatParams { path: path.to_owned(), cwd: cwd.to_string_lossy().into_owned() };
        self.exec.call(Stat, &params).await.map(|reply| reply.kind)
    }

    async fn list(&self, path: &str, cwd: &Path) -> Result<Vec<(String, FileKind)>, Fault> {
        let cwd = cwd.to_string_lossy().into_owned();
        let params = ListParams { path: path.to_owned(), cwd, entries_max: 0 };
        let reply = self.exec.call(List, &params).await?;
        Ok(reply.entries.into_iter().map(|entry| (entry.name, entry.kind)).collect())
    }

    /// Nothing came, went or changed in the host's directories.
    fn assert_untouched(&self) {
        for name in OWN {
            let dir = self.home().join(name);
            let mut names: Vec<_> =
                fs::read_dir(&dir).expect("it is there").flatten().map(|entry| entry.file_name()).collect();
            names.sort();
            assert_eq!(names, ["below", "secret"], "{name}");
            assert_eq!(fs::read_dir(dir.join("below")).expect("it is there").count(), 0, "{name}");
            assert_eq!(fs::read_to_string(dir.join("secret")).expect("it is there"), SECRET, "{name}");
        }
    }

    async fn assert_out_of_reach(&self) {
        for own in OWN {
            let dir = self.home().join(own);
            let link = |says: &Path, name: &str| {
                symlink(says, self.cwd.join(format!("{own}-{name}"))).expect("the directory is ours");
            };
            link(&dir, "dir");
            link(&dir.join("secret"), "file");
            link(&dir.join("new"), "dangling");
            link(&dir.join("below/../../work/../../").join(dir.strip_prefix("/").expect("absolute")), "root");
            link(Path::new(&format!("../work/../{own}")), "relative");
            let dir = dir.to_string_lossy().into_owned();
            for (path, cwd) in [
                (format!("{dir}/secret"), &self.cwd),
                (format!("../{own}/secret"), &self.cwd),
                (format!("{own}-dir/secret"), &self.cwd),
                (format!("{own}-file"), &self.cwd),
                (format!("{own}-relative/secret"), &self.cwd),
                (format!("{own}-dir/below/../secret"), &self.cwd),
                (format!("/proc/self/root{dir}/secret"), &self.cwd),
                (format!("/proc/self/cwd/../../../../../../../../..{dir}/secret"), &self.cwd),
                ("secret".to_owned(), &self.home().join(own)),
                (format!("{own}/secret"), &self.home().to_owned()),
                (format!("{dir}/new"), &self.cwd),
                (format!("{dir}/made/new"), &self.cwd),
                (format!("{dir}/below/a/b/new"), &self.cwd),
                (format!("{own}-dangling"), &self.cwd),
                (format!("{own}-dir/new"), &self.cwd),
            ] {
                // A link to nothing there tells no more than one to something.
                let fault = self.read(&path, cwd).await.expect_err(&path);
                assert_eq!(fault.code, "denied", "{path}: {fault}");
                assert_eq!(self.stat(&path, cwd).await.expect_err(&path).code, "denied", "{path}");
                assert_eq!(self.write(&path, cwd).await.expect_err(&path).code, "denied", "{path}");
                self.assert_untouched();
            }
            for path in [dir.clone(), format!("{dir}/below"), format!("{own}-dir"), format!("../{own}/")] {
                assert_eq!(self.list(&path, &self.cwd).await.expect_err(&path).code, "denied", "{path}");
                assert!(self.write(&path, &self.cwd).await.is_err(), "{path}");
            }
        }
        self.assert_untouched();
    }
}

#[tokio::test]
async fn the_hosts_own_directories_are_reached_by_no_verb_and_no_way() {
    let place = Place::machine().await;
    place.assert_out_of_reach().await;
    let config = place.home().join("config");
    let message = format!(
        "cannot read `{config}/secret`: the host keeps `{config}` for itself; it is no place of work",
        config = config.display()
    );
    let secret = config.join("secret");
    let read = place.read(&secret.to_string_lossy(), &place.cwd).await;
    assert_eq!(read, Err(Fault::new("denied", message)));
}

#[tokio::test]
async fn a_root_above_them_does_not_open_them() {
    let place = Place::new(|home| json!({ "shim": shim(), "roots": [home] })).await;
    place.assert_out_of_reach().await;
}

#[tokio::test]
async fn their_names_are_listed_beside_others_and_lead_nowhere() {
    let place = Place::machine().await;
    let mut listed = OWN.map(|name| (name.to_owned(), FileKind::Other)).to_vec();
    listed.push(("work".to_owned(), FileKind::Directory));
    listed.sort_by(|(one, _), (two, _)| one.cmp(two));
    assert_eq!(place.list("..", &place.cwd).await, Ok(listed));
}

#[tokio::test]
async fn output_that_was_cut_is_read_and_never_written_and_readers_are_told_the_same() {
    let place = Place::machine().await;
    let cache = place.home().join("cache");
    let output = cache.join("other/output");
    fs::create_dir_all(&output).expect("the directory is ours");
    fs::write(output.join("x.log"), "all of it").expect("ours too");
    symlink(place.home().join("state"), cache.join("secret-dir")).expect("ours too");
    fs::create_dir(cache.join("third")).expect("ours too");
    symlink(place.home().join("state"), cache.join("third/output")).expect("ours too");
    let log = output.join("x.log").to_string_lossy().into_owned();
    assert_eq!(place.read(&log, &place.cwd).await.as_deref(), Ok("all of it"));
    assert_eq!(place.write(&log, &place.cwd).await.expect_err("it is the host's").code, "denied");
    let leads_away = cache.join("third/output/secret").to_string_lossy().into_owned();
    assert_eq!(place.read(&leads_away, &place.cwd).await.expect_err("it is the host's").code, "denied");
    let params = RootsParams { cwd: place.cwd.to_string_lossy().into_owned() };
    let told = place.exec.call(exec::Roots, &params).await.expect("it answers");
    let real = |path: PathBuf| path.canonicalize().expect("it is there").to_string_lossy().into_owned();
    assert_eq!(told.except, OWN.map(|name| real(place.home().join(name))));
    assert_eq!((told.roots, told.except_but), (None, vec![real(output)]));
    assert!(told.sensitive.contains(&"/etc/shadow".to_owned()), "{:?}", told.sensitive);
}

/// A home with secrets, and what is reached of it when the build opens these places.
struct Home {
    dir: tempfile::TempDir,
    bars: Bars,
}

impl Home {
    fn new(open: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        for path in
            [".ssh/id", ".ssh/config", ".docker/config.json", ".docker/other", "dotfiles/aws/key", "f"]
        {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().expect("it has one")).expect("the directory is ours");
            fs::write(path, "x").expect("ours too");
        }
        symlink("dotfiles/aws", dir.path().join(".aws")).expect("ours too");
        symlink(".ssh/id", dir.path().join("to-key")).expect("ours too");
        let open: Vec<String> = open.iter().map(|place| (*place).to_owned()).collect();
        let bars = Bars::new("exec-local", &Dirs::default(), Some(dir.path()), &open).expect("all are kept");
        Self { dir, bars }
    }

    fn look(&self, path: &str, way: Way) -> Result<(), Fault> {
        let roots = Roots::parse(None, "exec-local").expect("there are none");
        let path = self.dir.path().join(path);
        let seen = roots.seen_from("/", self.bars.now(way), None).look(&path);
        seen.map(|_| ()).map_err(|e| crate::files::failed("read", &path, &e))
    }

    fn is_refused(&self, path: &str) -> bool {
        let refusals = [Way::Read, Way::Write].map(|way| self.look(path, way));
        let is_refusal =
            |fault: &Fault| fault.code == "denied" && fault.detail == json!({ "sensitive": true });
        let refused = refusals.map(|looked| looked.as_ref().is_err_and(is_refusal));
        assert_eq!(refused[0], refused[1], "{path}");
        refused[0]
    }
}

#[test]
fn places_of_secrets_are_out_of_reach_whatever_leads_there() {
    let home = Home::new(&[]);
    for path in
        [".ssh", ".ssh/id", ".ssh/none", "to-key", ".aws/key", "dotfiles/aws/key", ".docker/config.json"]
    {
        assert!(home.is_refused(path), "{path}");
    }
    for path in ["f", ".docker", ".docker/other", "dotfiles"] {
        assert_eq!(home.look(path, Way::Write), Ok(()), "{path}");
    }
    let ssh = home.dir.path().join(".ssh").display().to_string();
    let message = format!(
        "cannot read `{ssh}/id`: `{ssh}` is kept out of reach, since secrets lie there; the build can open it by \
         `exec-local.sensitive_allow`"
    );
    let fault = Fault::new("denied", message).with_detail(json!({ "sensitive": true }));
    assert_eq!(home.look(".ssh/id", Way::Read), Err(fault));
}

#[test]
fn a_place_of_secrets_that_is_not_there_is_made_by_nobody_through_whatever_link() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let at = |path: &str| dir.path().join(path);
    fs::create_dir_all(at("data/u")).expect("the directory is ours");
    symlink("data/u", at("home")).expect("ours too");
    symlink("../../elsewhere/aws", at("data/u/.aws")).expect("ours too");
    let bars = Bars::new("exec-local", &Dirs::default(), Some(&at("home")), &[]).expect("all are kept");
    let roots = Roots::parse(None, "exec-local").expect("there are none");
    for path in ["home/.ssh", "data/u/.ssh", "home/.ssh/a/b", "home/.aws", "elsewhere/aws", "elsewhere/aws/b"]
    {
        let reach = roots.seen_from("/", bars.now(Way::Write), None);
        for refused in [reach.make_dirs(&at(path)), reach.look(&at(path).join("new"))] {
            let refused = crate::files::failed("write", &at(path), &refused.expect_err(path));
            assert_eq!(refused.detail, json!({ "sensitive": true }), "{path}: {refused}");
        }
    }
    assert!(
        fs::read_dir(at("data/u")).expect("it is there").flatten().all(|found| found.file_name() == ".aws")
    );
    assert!(!at("elsewhere/aws").exists());
}

#[test]
fn what_instances_keep_elsewhere_is_reached_by_nobody_and_what_the_host_runs_is_changed_by_nobody() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let at = |path: &str| dir.path().join(path);
    fs::create_dir_all(at("bin")).expect("the directory is ours");
    for file in ["store.db", "store.db-wal", "token", "other", "bin/dispatch", "bin/libext_a.so", "bin/notes"]
    {
        fs::write(at(file), "x").expect("ours too");
    }
    fs::hard_link(at("store.db"), at("innocent")).expect("ours too");
    let text = |path: &str| at(path).display().to_string();
    let dirs = Dirs {
        kept: vec![text("store.db"), text("token")],
        code: vec![text("bin/dispatch"), text("bin/libext_a.so")],
        ..Dirs::default()
    };
    let bars = Bars::new("exec-local", &dirs, None, &[]).expect("all are kept");
    let roots = Roots::parse(None, "exec-local").expect("there are none");
    let looks = |path: &str, way| roots.seen_from("/", bars.now(way), None).look(&at(path)).map(|_| ());
    for path in ["store.db", "store.db-wal", "store.db-shm", "token", "innocent"] {
        assert!(looks(path, Way::Read).is_err() && looks(path, Way::Write).is_err(), "{path}");
    }
    for path in ["bin/dispatch", "bin/libext_a.so", "bin/libext_new.so"] {
        assert!(
            looks(path, Way::Write).is_err_and(|e| e.kind() == io::ErrorKind::PermissionDenied),
            "{path}"
        );
    }
    for path in ["bin/dispatch", "bin/libext_a.so", "bin/notes", "other"] {
        looks(path, Way::Read).unwrap_or_else(|e| panic!("{path}: {e}"));
    }
    for path in ["bin/notes", "other"] {
        looks(path, Way::Write).unwrap_or_else(|e| panic!("{path}: {e}"));
    }
}

#[test]
fn the_build_opens_a_place_of_secrets_or_a_part_of_one() {
    let home = Home::new(&["~/.ssh/config", "~/.aws"]);
    for path in [".ssh/config", ".aws/key", "dotfiles/aws"] {
        assert_eq!(home.look(path, Way::Read), Ok(()), "{path}");
    }
    assert!(home.is_refused(".ssh/id") && home.is_refused(".ssh"));
    let mut told = RootsReply::default();
    home.bars.now(Way::Read).tell(&mut told);
    let real = |path: &str| home.dir.path().join(path).canonicalize().expect("there").display().to_string();
    assert_eq!(told.except_but, [real(".ssh/config"), real("dotfiles/aws")]);
}

#[tokio::test]
async fn opening_what_is_not_kept_is_refused_and_says_what_is() {
    let host = FakeHost::new();
    let config = json!({ "shim": [], "sensitive_allow": ["/etc/passwd"] });
    let refused = host.open::<crate::ExecLocal>("exec-local", config).await.err().expect("it is refused");
    let begin = "`exec-local`: `sensitive_allow` names `/etc/passwd`, which is not kept out of reach; these are: ~/.ssh, ";
    assert!(refused.code == "invalid" && refused.message.starts_with(begin), "{refused}");
    open(json!({ "shim": [], "sensitive_allow": ["/etc/shadow"] })).await;
}

#[test]
fn a_place_is_looked_up_where_it_really_lies_whatever_it_is() {
    let dir = tempfile::tempdir().expect("a directory");
    let at = |path: &str| dir.path().canonicalize().expect("it is there").join(path);
    fs::create_dir_all(at("real/below")).expect("ours");
    fs::write(at("real/file"), "").expect("ours");
    symlink("real", at("link")).expect("a link");
    symlink("real/below/none", at("to-nothing")).expect("a link");
    symlink("to-nothing", at("to-to-nothing")).expect("a link");
    symlink("loop", at("loop")).expect("a link");
    let mut lookups = Lookups::default();
    for (path, place, is_there) in [
        ("real", "real", true),
        ("real/file", "real/file", true),
        ("link", "real", true),
        ("link/below", "real/below", true),
        ("link/file", "real/file", true),
        ("link/../real/file", "real/file", true),
        ("none", "none", false),
        ("link/none", "real/none", false),
        ("link/none/none", "real/none/none", false),
        ("to-nothing", "real/below/none", false),
        ("to-nothing/none", "real/below/none/none", false),
        ("to-to-nothing", "real/below/none", false),
        ("link/file/none", "real/file/none", false),
        ("loop", "loop", false),
    ] {
        let (found, id) = lookups.look(&at(path));
        assert_eq!((found, id.is_some()), (at(place), is_there), "{path}");
        if path != "loop" {
            assert_eq!(lies_at(&at(path)), at(place), "{path}");
        }
    }
    // What comes is seen by the next call.
    fs::create_dir(at("none")).expect("ours");
    assert!(Lookups::default().look(&at("none")).1.is_some());
}
