//! A disk that is full, under a host that serves and where none runs; and a store whose file is taken away.

use crate::host::{Host, Ran};
use crate::served::Served;
use dispatch_testkit::fake_llm::{Action, Script};
use serde_json::json;
use std::fs::{File, create_dir_all, remove_file};
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What the host's data lie on: room for a small store, its log and the log's index.
const DISK: &str = "size=3m,mode=0700";
/// Longest wait for what the host finds out by itself.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL_EVERY: Duration = Duration::from_millis(20);
const TOKEN: &str = "a-token-of-the-full-disk-story";

/// A mount namespace in which a small disk lies at the host's data directory; it ends with this.
struct SmallDisk<'a> {
    host: &'a Host,
    holder: Child,
    enter: &'static [&'static str],
}

impl<'a> SmallDisk<'a> {
    /// Nothing where neither root nor a user namespace may mount; that is said aloud.
    #[expect(clippy::disallowed_methods, reason = "a mount namespace is had by a process of its own")]
    fn mount(host: &'a Host) -> Option<Self> {
        let data = host.home().join("data");
        create_dir_all(data.join("transport-http")).expect("made");
        // For whoever asks from outside, where the small disk is not seen.
        std::fs::write(data.join("transport-http/token"), TOKEN).expect("written");
        let ways: [(&[&str], &[&str]); 2] = [
            (&["--mount"], &["--mount"]),
            (&["--user", "--map-root-user", "--mount"], &["--user", "--preserve-credentials", "--mount"]),
        ];
        for (namespaces, enter) in ways {
            let script = format!("mount -t tmpfs -o {DISK} none \"$0\" && echo mounted && exec cat");
            let mut holder = Command::new("unshare")
                .args(namespaces)
                .args(["sh", "-c", &script])
                .arg(&data)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .expect("`unshare` is there");
            let mut said = [0; 8];
            let mounted = holder.stdout.as_mut().expect("piped").read_exact(&mut said).is_ok();
            if mounted {
                return Some(Self { host, holder, enter });
            }
            holder.wait().expect("waited");
        }
        // Past the harness, which holds back what a passing test prints.
        writeln!(std::io::stderr(), "full disk: NO RIGHT TO MOUNT; the story was not told").expect("written");
        None
    }

    /// The same command, in there.
    #[expect(clippy::disallowed_methods, reason = "the process under test")]
    fn inside(&self, command: &Command) -> Command {
        let mut inside = Command::new("nsenter");
        inside.args(["-t", &self.holder.id().to_string()]).args(self.enter);
        inside.arg(format!("--wd={}", self.host.cwd().display())).arg("--");
        inside.arg(command.get_program()).args(command.get_args()).env_clear().stdin(Stdio::null());
        for (name, value) in command.get_envs() {
            inside.env(name, value.expect("set"));
        }
        inside
    }

    fn ran(&self, words: &[&str]) -> Ran {
        Ran::of(self.inside(&self.host.bare(words)).output().expect("started"))
    }

    fn run(&self, words: &[&str]) -> Ran {
        Ran::of(self.inside(&self.host.command(words)).output().expect("started"))
    }

    fn path(&self, name: &str) -> PathBuf {
        let data = self.host.home().join("data");
        let data = data.strip_prefix("/").expect("absolute");
        PathBuf::from(format!("/proc/{}/root", self.holder.id())).join(data).join(name)
    }

    fn fill(&self) {
        let mut ballast = File::create(self.path("ballast")).expect("made");
        let error = loop {
            if let Err(error) = ballast.write_all(&[0; 4096]) {
                break error;
            }
        };
        assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
    }

    fn make_room(&self) {
        remove_file(self.path("ballast")).expect("removed");
    }

    fn serve(&self) -> Served {
        let mut command = self.host.bare(&["serve", "--listen", "127.0.0.1:0", "--json"]);
        command.args(["--set", &format!("transport-http.token={TOKEN}")]);
        command.args(["--set", &format!("provider-openai-compat.base_url={}", self.host.llm.base_url())]);
        command.args(["--set", "provider-openai-compat.model=scripted"]).env("DISPATCH_LOG", "error");
        let mut command = self.inside(&command);
        command.stderr(Stdio::piped());
        Served::spawn(self.host, command)
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        // It may have ended; then there is nothing to end.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

fn quiet() -> Host {
    Host::new(Script::steps(vec![vec![Action::text("ok")]; 3]))
}

/// Waits until the probe, which shows no token, answers so.
fn readyz_is(served: &Served, status: u16) {
    let begun = Instant::now();
    loop {
        let answer = served.ask_as(None, "GET", "/readyz", None);
        assert_eq!(answer.text, "", "a probe says nothing but its status");
        if answer.status == status {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "it stays {}", answer.status);
        std::thread::sleep(POLL_EVERY);
    }
}

fn metric(served: &Served, name: &str) -> String {
    let text = served.ask("GET", "/metrics", None).text;
    let line = text.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap_or_default();
    line.rsplit_once(' ').unwrap_or_default().1.to_owned()
}

#[test]
fn a_host_is_not_ready_while_its_disk_is_full_and_ends_when_its_store_lost_its_file() {
    let host = quiet();
    let Some(disk) = SmallDisk::mount(&host) else { return };
    let mut served = disk.serve();
    served.conversation();
    readyz_is(&served, 200);
    assert_eq!(metric(&served, "dispatch_health"), "0");
    disk.fill();
    readyz_is(&served, 503);
    assert_eq!(metric(&served, "dispatch_health"), "1");
    assert_eq!(served.ask_as(None, "GET", "/livez", None).status, 200, "it lives");
    assert_eq!(served.ask("GET", "/v1/conversations", None).status, 200, "what only reads goes on");
    disk.make_room();
    readyz_is(&served, 200);
    assert_eq!(served.ask("POST", "/v1/conversations", Some(&json!({}))).status, 201);

    remove_file(disk.path("dispatch.db-wal")).expect("removed");
    let (tell, told) = std::sync::mpsc::channel();
    let mut stderr = served.stderr();
    std::thread::spawn(move || {
        let mut said = String::new();
        let read = stderr.read_to_string(&mut said);
        tell.send(read.map(|_| said)).ok();
    });
    let said = told.recv_timeout(PATIENCE).expect("it ends").expect("UTF-8");
    assert_eq!(served.wait(), Some(1), "it ends by itself: {said}");
    let told: Vec<&str> = said.lines().filter(|line| line.starts_with("error: ")).collect();
    let [told] = told.as_slice() else { panic!("one line tells why: {said}") };
    assert!(told.contains("storage-sqlite") && told.contains("dispatch.db-wal"), "{told}");
    assert!(told.contains("restart the host"), "what to do is said: {told}");
}

#[test]
fn on_a_full_disk_what_reads_works_and_what_writes_says_where_to_make_room() {
    let host = quiet();
    let Some(disk) = SmallDisk::mount(&host) else { return };
    let before = disk.run(&["--json", "hello"]);
    assert_eq!(before.code, Some(0), "{before:?}");
    let events: Vec<serde_json::Value> =
        before.stdout.lines().map(|line| serde_json::from_str(line).expect("one event a line")).collect();
    let conversation = crate::host::conversation_of(&events);
    disk.fill();
    let copy = host.cwd().join("copy.db");
    for words in [
        &["explain", &conversation][..],
        &["config", "keys"],
        &["config", "explain"],
        &["ext", "list"],
        &["backup", "create", copy.to_str().expect("UTF-8")],
    ] {
        let ran = disk.ran(words);
        assert_eq!(ran.code, Some(0), "{words:?}: {ran:?}");
    }
    assert!(copy.is_file());
    let doctor = disk.ran(&["doctor"]);
    assert_eq!(doctor.code, Some(1), "{doctor:?}");
    assert!(
        doctor.stdout.contains("the disk that holds") && doctor.stdout.contains("make room"),
        "{doctor:?}"
    );
    let data = host.home().join("data");
    let data = data.to_str().expect("UTF-8");
    let there = format!("{data}/copy.db");
    for ran in [disk.run(&["hello"]), disk.ran(&["serve"]), disk.ran(&["backup", "create", &there])] {
        assert_eq!(ran.code, Some(75), "{ran:?}");
        assert!(ran.stderr.contains(data) && ran.stderr.contains("make room"), "{ran:?}");
    }
    disk.make_room();
    assert_eq!(disk.run(&["hello again"]).code, Some(0), "nothing of it stays");
}

#[test]
fn where_there_is_no_store_yet_a_full_disk_is_told_with_what_to_do() {
    let host = quiet();
    let Some(disk) = SmallDisk::mount(&host) else { return };
    disk.fill();
    let ran = disk.run(&["hello"]);
    assert_eq!(ran.code, Some(75), "{ran:?}");
    let data = host.home().join("data");
    assert!(ran.stderr.contains(data.to_str().expect("UTF-8")), "{ran:?}");
    assert!(ran.stderr.contains("make room"), "{ran:?}");
    disk.make_room();
    assert_eq!(disk.run(&["hello"]).code, Some(0));
}
