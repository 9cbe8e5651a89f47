//! What lies outside the roots is neither read nor written, whatever leads there (fault test 15).

use super::{open, run, sh, shim};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dispatch_sdk::Fault;
use dispatch_sdk::contracts::exec::{
    FileKind, IfExists, List, ListParams, Read, ReadParams, Roots, RootsParams, SpawnParams, Stat,
    StatParams, Write, WriteParams,
};
use dispatch_testkit::{FakeHost, Opened};
use rustix::fs::{CWD, RenameFlags};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// What the race of a swap may take longer on a busy machine.
const RACE_MORE: Duration = Duration::from_secs(20);
/// The content of every file outside; no reply may hold it.
const SECRET: &str = "outside";

/// `in` is the root and the working directory; beside it `out` with `secret` and `dir`.
struct Place {
    dir: tempfile::TempDir,
    exec: Opened,
}

impl Place {
    async fn new() -> Self {
        Self::with(|_| json!(["{cwd}"])).await
    }

    async fn with(roots: impl FnOnce(&Path) -> Value) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        for name in ["in/below", "out/dir", "other"] {
            fs::create_dir_all(dir.path().join(name)).expect("the directory is ours");
        }
        fs::write(dir.path().join("in/file"), "inside").expect("the directory is ours");
        fs::write(dir.path().join("out/secret"), SECRET).expect("the directory is ours");
        let exec = open(json!({ "shim": shim(), "roots": roots(dir.path()) })).await;
        Self { dir, exec }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn link(&self, says: impl AsRef<Path>, name: &str) {
        symlink(says, self.path("in").join(name)).expect("the directory is ours");
    }

    fn cwd(&self) -> String {
        self.path("in").to_string_lossy().into_owned()
    }

    async fn read(&self, path: &str) -> Result<String, Fault> {
        let params = ReadParams { path: path.to_owned(), cwd: self.cwd(), offset: 0, bytes_max: 0 };
        let data = self.exec.call(Read, &params).await?.data;
        Ok(String::from_utf8(STANDARD.decode(data).expect("base64")).expect("text"))
    }

    async fn write(&self, path: &str) -> Result<(), Fault> {
        let params = WriteParams {
            path: path.to_owned(),
            cwd: self.cwd(),
            data: STANDARD.encode("written"),
            if_exists: IfExists::Replace,
            expect_sha256: None,
            make_dirs: true,
        };
        self.exec.call(Write, &params).await.map(|_| ())
    }

    async fn stat(&self, path: &str) -> Result<FileKind, Fault> {
        let params = StatParams { path: path.to_owned(), cwd: self.cwd() };
        self.exec.call(Stat, &params).await.map(|reply| reply.kind)
    }

    async fn list(&self, path: &str) -> Result<Vec<(String, FileKind)>, Fault> {
        let params = ListParams { path: path.to_owned(), cwd: self.cwd(), entries_max: 0 };
        let reply = self.exec.call(List, &params).await?;
        Ok(reply.entries.into_iter().map(|entry| (entry.name, entry.kind)).collect())
    }

    fn assert_untouched(&self) {
        let mut names = Vec::new();
        let mut dirs = vec![self.path("out")];
        while let Some(dir) = dirs.pop() {
            for entry in fs::read_dir(dir).expect("ours").flatten() {
                names.push(entry.file_name().to_string_lossy().into_owned());
                dirs.extend(entry.path().is_dir().then(|| entry.path()));
            }
        }
        names.sort();
        assert_eq!(names, ["dir", "secret"]);
        assert_eq!(fs::read_to_string(self.path("out/secret")).expect("it is there"), SECRET);
    }
}

#[tokio::test]
async fn nothing_outside_is_reached_by_any_name() {
    let place = Place::new().await;
    let out = place.path("out").to_string_lossy().into_owned();
    place.link(&out, "to-dir");
    place.link(format!("{out}/secret"), "to-secret");
    place.link("../out", "up");
    place.link("../../out/secret", "below/up-secret");
    place.link("to-secret", "chain");
    place.link("/proc/self/root", "root");
    place.link("/proc/self/cwd", "proc-cwd");
    place.link("/dev/fd", "fd");
    place.link(format!("{}/../out", place.cwd()), "there-and-up");
    place.link(format!("{out}/made"), "dangling");
    let files = [
        format!("{out}/secret"),
        "../out/secret".to_owned(),
        "below/../../out/secret".to_owned(),
        format!("{}/below/../../out/secret", place.cwd()),
        "to-dir/secret".to_owned(),
        "to-secret".to_owned(),
        "up/secret".to_owned(),
        "below/up-secret".to_owned(),
        "chain".to_owned(),
        format!("root{out}/secret"),
        format!("/proc/self/root{out}/secret"),
        format!("/proc/self/root{}/file", place.cwd()),
        "/proc/self/environ".to_owned(),
        "proc-cwd/Cargo.toml".to_owned(),
        "fd/0".to_owned(),
        "/dev/fd/0".to_owned(),
        "/dev/stdin".to_owned(),
        "there-and-up/secret".to_owned(),
        "/etc/passwd".to_owned(),
        "dangling".to_owned(),
        "to-dir/new".to_owned(),
        "up/a/b/new".to_owned(),
        format!("{out}/dir/new"),
    ];
    for path in &files {
        assert_eq!(place.read(path).await.expect_err(path).code, "denied", "{path}");
        assert_eq!(place.stat(path).await.expect_err(path).code, "denied", "{path}");
        assert_eq!(place.write(path).await.expect_err(path).code, "denied", "{path}");
        place.assert_untouched();
    }
    for path in ["..", "/", "to-dir", "up", "root", "/proc/self/root", "/proc/self/fd", &out] {
        assert_eq!(place.list(path).await.expect_err(path).code, "denied", "{path}");
    }
    let message = format!("cannot read `/etc/passwd`: it lies outside the roots: `{}`", place.cwd());
    assert_eq!(place.read("/etc/passwd").await, Err(Fault::new("denied", message)));
}

#[tokio::test]
async fn inside_a_root_links_are_followed_and_what_leads_out_is_listed_as_nothing() {
    let place = Place::new().await;
    place.link("../file", "below/relative");
    place.link(place.path("in/below"), "absolute");
    place.link("/etc/passwd", "below/out");
    place.link("absolute/new", "to-new");
    for path in ["file", "below/../file", "below/relative", "absolute/relative", "absolute/../file"] {
        assert_eq!(place.read(path).await.as_deref(), Ok("inside"), "{path}");
    }
    let listed = [("out".to_owned(), FileKind::Other), ("relative".to_owned(), FileKind::File)];
    assert_eq!(place.list("absolute").await, Ok(listed.to_vec()));
    place.write("absolute/made/a/file").await.expect("it lies inside");
    place.write("to-new").await.expect("it lies inside");
    place.write("below/relative").await.expect("it lies inside");
    for path in ["below/made/a/file", "below/new", "file"] {
        assert_eq!(fs::read_to_string(place.path("in").join(path)).expect("written"), "written", "{path}");
    }
}

#[tokio::test]
async fn a_link_leads_from_one_root_to_another_by_either_spelling() {
    // The second root is named by a link to it.
    let place = Place::with(|dir| {
        symlink(dir.join("other"), dir.join("spelled")).expect("the directory is ours");
        json!([dir.join("in"), dir.join("spelled")])
    })
    .await;
    fs::write(place.path("other/file"), "other").expect("the directory is ours");
    place.link(place.path("other/file"), "real");
    place.link(place.path("spelled/file"), "spelled");
    for path in ["real", "spelled"] {
        assert_eq!(place.read(path).await.as_deref(), Ok("other"), "{path}");
    }
    let params = RootsParams { cwd: place.cwd() };
    let real = |name| place.path(name).canonicalize().expect("it is there").to_string_lossy().into_owned();
    let roots = place.exec.call(Roots, &params).await.expect("it answers").roots;
    let mut roots = roots.expect("there are some");
    roots.sort();
    assert_eq!(roots, [real("in"), real("other")]);
}

#[tokio::test]
async fn links_between_roots_are_followed_eight_times_and_no_further() {
    let place = Place::new().await;
    place.link(place.path("in/file"), "link-0");
    for n in 1..10 {
        place.link(place.path(&format!("in/link-{}", n - 1)), &format!("link-{n}"));
    }
    place.link(place.path("in/loop"), "loop");
    assert_eq!(place.read("link-7").await.as_deref(), Ok("inside"));
    for path in ["link-8", "loop"] {
        let message = format!(
            "cannot read `{}/{path}`: it leads over more than 8 links between the roots: `{}`",
            place.cwd(),
            place.cwd()
        );
        assert_eq!(place.read(path).await, Err(Fault::new("denied", message)), "{path}");
    }
}

#[tokio::test]
async fn a_root_inside_another_that_has_become_a_link_leads_nowhere() {
    let place = Place::with(|dir| json!([dir.join("in"), dir.join("in/below")])).await;
    fs::rename(place.path("in/below"), place.path("in/moved")).expect("the directory is ours");
    place.link(place.path("out"), "below");
    let secret = place.path("out/secret").to_string_lossy().into_owned();
    for path in ["below/secret", "below/new", &secret] {
        assert_eq!(place.read(path).await.expect_err(path).code, "denied", "{path}");
        assert_eq!(place.write(path).await.expect_err(path).code, "denied", "{path}");
    }
    place.assert_untouched();
    let params = RootsParams { cwd: place.cwd() };
    let roots = place.exec.call(Roots, &params).await.expect("it answers").roots.expect("there are some");
    let out = place.path("out").canonicalize().expect("it is there");
    assert!(roots.iter().all(|root| !Path::new(root).starts_with(&out)), "{roots:?}");
}

/// What the README says: a hard link is the file, and no path leads out of the root.
#[tokio::test]
async fn a_hard_link_inside_is_read_and_writing_it_leaves_the_other_name_alone() {
    let place = Place::new().await;
    fs::hard_link(place.path("out/secret"), place.path("in/hard")).expect("the directory is ours");
    assert_eq!(place.read("hard").await.as_deref(), Ok(SECRET));
    place.write("hard").await.expect("it lies inside");
    place.assert_untouched();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_swap_of_a_directory_for_a_link_never_leads_out() {
    let place = Place::new().await;
    // Two names that change places again and again: a directory with a file, and a link to one outside.
    fs::write(place.path("in/below/secret"), "inside").expect("the directory is ours");
    place.link(place.path("out"), "swapped");
    let (one, two) = (place.path("in/below"), place.path("in/swapped"));
    let is_over = AtomicBool::new(false);
    let until = Instant::now() + Duration::from_millis(1_500);
    let mut counts = [0_u64; 4];
    std::thread::scope(|scope| {
        let swapper = scope.spawn(|| {
            let mut n_swaps = 0_u64;
            while !is_over.load(Ordering::Relaxed) {
                rustix::fs::renameat_with(CWD, &one, CWD, &two, RenameFlags::EXCHANGE)
                    .expect("both are there");
                n_swaps += 1;
            }
            n_swaps
        });
        tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(async {
                let is_met = |counts: &[u64; 4]| counts.iter().all(|count| *count > 10);
                // A busy machine gets longer until both ends of the race were met.
                while Instant::now() < until || !is_met(&counts) && Instant::now() < until + RACE_MORE {
                    for path in ["below/secret", "below/../below/secret"] {
                        match place.read(path).await {
                            Ok(text) if text == SECRET => panic!("`{path}` was read outside"),
                            Ok(_) => counts[0] += 1,
                            Err(_) => counts[1] += 1,
                        }
                    }
                    for path in ["below/made/new", "below/new"] {
                        counts[if place.write(path).await.is_ok() { 2 } else { 3 }] += 1;
                    }
                }
            });
        });
        is_over.store(true, Ordering::Relaxed);
        assert!(swapper.join().expect("it has not panicked") > 100);
    });
    assert!(counts.iter().all(|count| *count > 10), "both ends of the race were met: {counts:?}");
    place.assert_untouched();
}

#[tokio::test]
async fn a_program_starts_inside_a_root_or_not_at_all() {
    let place = Place::with(|dir| json!([dir.join("in")])).await;
    place.link(place.path("out"), "to-dir");
    place.link(place.path("in/below"), "to-below");
    let at = |cwd: PathBuf| SpawnParams { cwd: cwd.to_string_lossy().into_owned(), ..sh("pwd -P") };
    for (asked, real) in [("in", "in"), ("in/below", "in/below"), ("in/to-below", "in/below")] {
        let (output, reply) = run(&place.exec, &at(place.path(asked))).await;
        assert_eq!(reply.expect("it ran").exit_code, Some(0));
        let real = place.path(real).canonicalize().expect("it is there");
        assert_eq!(output, format!("{}\n", real.display()), "{asked}");
    }
    for cwd in ["out", "in/to-dir", "in/..", "."] {
        let fault = run(&place.exec, &at(place.path(cwd))).await.1.expect_err(cwd);
        assert_eq!(fault.code, "denied", "{cwd}");
        assert!(fault.message.starts_with("cannot run `sh` in `"), "{fault}");
    }
}

#[tokio::test]
async fn output_that_was_cut_is_read_whatever_the_roots_are_and_never_written() {
    let place = Place::new().await;
    let params = SpawnParams { cwd: place.cwd(), output_bytes_max: 10, ..sh("seq 1 1000") };
    let path = run(&place.exec, &params).await.1.expect("it ran").output_file.expect("it was cut");
    assert!(place.read(&path).await.expect("it is read").ends_with("\n1000\n"));
    assert_eq!(place.write(&path).await.expect_err("it is no root").code, "denied");
    let params = RootsParams { cwd: place.cwd() };
    let roots = place.exec.call(Roots, &params).await.expect("it answers").roots.expect("there are some");
    assert_eq!(roots.len(), 2);
    assert!(Path::new(&path).canonicalize().expect("it is there").starts_with(&roots[1]), "{roots:?}");
}

#[tokio::test]
async fn roots_that_cannot_be_meant_are_refused() {
    let refused = async |roots: Value| {
        let config = json!({ "shim": [], "roots": roots });
        let opened = FakeHost::new().open::<crate::ExecLocal>("exec-local", config).await;
        opened.err().expect("it is refused").message
    };
    assert_eq!(
        refused(json!([])).await,
        "`exec-local`: `roots` is empty; leave it out for the whole machine"
    );
    assert_eq!(
        refused(json!(["{cwd}", "src"])).await,
        "`exec-local`: the root `src` is neither an absolute path nor `{cwd}`"
    );
    let all = open(json!({ "shim": [] })).await;
    let params = RootsParams { cwd: "/".to_owned() };
    assert_eq!(all.call(Roots, &params).await.expect("it answers").roots, None);
}
