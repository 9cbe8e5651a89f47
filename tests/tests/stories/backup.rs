//! A copy of a host that serves, and the way back to it.

use crate::host::{Host, Ran};
use crate::served::Served;
use dispatch_testkit::fake_llm::{Action, Script};

fn quiet() -> Host {
    Host::new(Script::steps(vec![vec![Action::text("ok")]]))
}

fn backup(host: &Host, words: &[&str]) -> Ran {
    let mut all = vec!["backup"];
    all.extend(words);
    Ran::of(host.bare(&all).output().expect("started"))
}

fn status(served: &Served, conversation: &str) -> u16 {
    served.ask("GET", &format!("/v1/conversations/{conversation}"), None).status
}

#[test]
fn a_copy_of_a_serving_host_takes_its_place_once_it_has_ended() {
    let host = quiet();
    let served = Served::start(&host, &[]);
    let before = served.conversation();
    let created = backup(&host, &["create", "deep/1.db"]);
    assert_eq!(created.code, Some(0), "a host that serves is copied: {}", created.stderr);
    let after = served.conversation();
    let again = backup(&host, &["create", "deep/1.db"]);
    assert_eq!(again.code, Some(1), "{}", again.stderr);
    assert!(again.stderr.contains("--force"), "what to do is said: {}", again.stderr);
    let early = backup(&host, &["restore", "deep/1.db"]);
    assert_eq!(early.code, Some(75), "the host has it open: {}", early.stderr);
    assert_eq!([status(&served, &before), status(&served, &after)], [200, 200], "it goes on");
    served.signal("TERM");
    assert_eq!(served.wait(), Some(0));
    let wrong = host.write("wrong.db", "no store");
    let refused = backup(&host, &["restore", wrong.to_str().expect("UTF-8")]);
    assert_eq!(refused.code, Some(1), "{}", refused.stderr);
    let restored = backup(&host, &["restore", "deep/1.db"]);
    assert_eq!(restored.code, Some(0), "{}", restored.stderr);
    let kept = host.home().join("data/dispatch.db.before-restore");
    assert!(kept.is_file() && restored.stdout.contains(kept.to_str().expect("UTF-8")), "{}", restored.stdout);
    let served = Served::start(&host, &[]);
    assert_eq!([status(&served, &before), status(&served, &after)], [200, 404], "it is as it was then");
}

#[test]
fn a_home_that_holds_nothing_is_not_backed_up() {
    let host = quiet();
    for _ in 0..2 {
        let ran = backup(&host, &["create", "1.db"]);
        assert_eq!(ran.code, Some(66), "{}", ran.stderr);
        let home = host.home().to_str().expect("UTF-8");
        for part in [
            "nothing to back up",
            &format!("{home}/data/dispatch.db"),
            "DISPATCH_HOME is",
            "set DISPATCH_HOME",
        ] {
            assert!(ran.stderr.contains(part), "{part}: {}", ran.stderr);
        }
        assert!(!host.cwd().join("1.db").exists());
    }
}

#[test]
fn a_build_that_keeps_everything_in_memory_says_so() {
    let host = quiet();
    let build = host.write(
        "memory.toml",
        &format!(
            "include = [\"{}\"]\nexclude = [\"storage-sqlite\"]\n\n[[extension]]\nid = \"storage-memory\"\nrequired = true\n",
            house::workspace_dir().join("manifests/default.toml").display()
        ),
    );
    let ran = backup(&host, &["create", "1.db", "--build", build.to_str().expect("UTF-8")]);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(ran.stderr.contains("in memory"), "{}", ran.stderr);
    assert!(!host.cwd().join("1.db").exists());
}

#[test]
fn a_backup_takes_the_place_of_a_store_that_no_command_can_read() {
    let host = quiet();
    let served = Served::start(&host, &[]);
    let conversation = served.conversation();
    assert_eq!(backup(&host, &["create", "1.db"]).code, Some(0));
    served.signal("TERM");
    assert_eq!(served.wait(), Some(0));
    let store = host.home().join("data/dispatch.db");
    let mut bytes = std::fs::read(&store).expect("read");
    bytes[..100].fill(0);
    std::fs::write(&store, &bytes).expect("written");
    for words in [&["run", "hello"][..], &["serve"]] {
        let refused = Ran::of(host.bare(words).output().expect("started"));
        assert_eq!(refused.code, Some(78), "{words:?}: {}", refused.stderr);
        assert!(refused.stderr.contains("backup restore"), "what to do is said: {}", refused.stderr);
        assert!(std::fs::read(&store).expect("read") == bytes, "{words:?} changed it");
    }
    let restored = backup(&host, &["restore", "1.db"]);
    assert_eq!(restored.code, Some(0), "{}", restored.stderr);
    let kept = host.home().join("data/dispatch.db.before-restore");
    assert!(std::fs::read(kept).expect("kept") == bytes, "what was damaged is kept");
    let served = Served::start(&host, &[]);
    assert_eq!(status(&served, &conversation), 200, "what was kept is back");
}
