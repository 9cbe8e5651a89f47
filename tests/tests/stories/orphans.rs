//! What programs left behind, however the host ends (fault test 7).

use crate::host::{Host, Ran};
use dispatch_testkit::fake_llm::{Action, Script};
use serde_json::json;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Nothing is alive after this.
const GONE_AFTER: Duration = Duration::from_secs(3);
/// Until a host on a busy machine has started its program.
const UP_AFTER: Duration = Duration::from_secs(30);
/// Between two looks at `/proc`.
const LOOK_PAUSE: Duration = Duration::from_millis(10);

/// Every way out of a process group, or out of sight, that a shell knows; each leaves one `sleep MARK`.
const WAYS_OUT: [&str; 6] = [
    "sleep MARK &",
    "nohup sleep MARK >/dev/null 2>&1 &",
    "setsid sleep MARK &",
    "(setsid sh -c 'sleep MARK & exit 0' &)",
    // An ignored signal stays ignored in what is started.
    "(trap '' TERM HUP INT; sleep MARK &)",
    "(trap '' TERM HUP INT; setsid sh -c 'sh -c \"sleep MARK & exit 0\"' &)",
];

/// Durations for `sleep`, one for each way out, that no other process on this machine sleeps.
fn marks() -> Vec<String> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let mark = |_| format!("62.{:06}{:03}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    WAYS_OUT.iter().map(mark).collect()
}

/// Leaves all of them, then goes on with `then`.
fn line(marks: &[String], then: &str) -> String {
    let ways: Vec<String> = WAYS_OUT.iter().zip(marks).map(|(way, mark)| way.replace("MARK", mark)).collect();
    format!("{}\n{then}", ways.join("\n"))
}

fn n_alive(marks: &[String]) -> usize {
    let processes = std::fs::read_dir("/proc").expect("a Linux machine").flatten();
    let is_marked = |cmdline: &[u8]| {
        let mut words = cmdline.split(|byte| *byte == 0);
        words.next() == Some(b"sleep") && words.any(|word| marks.iter().any(|mark| mark.as_bytes() == word))
    };
    let cmdlines = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    cmdlines.filter(|cmdline| is_marked(cmdline)).count()
}

fn wait_until_alive(marks: &[String], n_wanted: usize, most: Duration) {
    let until = Instant::now() + most;
    while n_alive(marks) != n_wanted {
        assert!(Instant::now() < until, "{} are alive, not {n_wanted}", n_alive(marks));
        std::thread::sleep(LOOK_PAUSE);
    }
}

fn host(command: &str) -> Host {
    Host::new(Script::steps(vec![
        vec![Action::tool_call("shell", json!({ "command": command }))],
        vec![Action::text("done")],
    ]))
}

#[test]
fn a_host_that_is_told_to_end_or_is_killed_leaves_nothing_alive() {
    for signal in ["TERM", "INT", "HUP", "KILL"] {
        let marks = marks();
        let host = host(&line(&marks, "trap '' TERM; while :; do sleep 0.1; done"));
        let run = host.start(&["--allow", "exec", "leave them"]);
        wait_until_alive(&marks, marks.len(), UP_AFTER);
        run.signal(signal);
        let ended_by = Instant::now() + GONE_AFTER;
        wait_until_alive(&marks, 0, GONE_AFTER);
        run.end();
        assert!(Instant::now() < ended_by + GONE_AFTER, "the host itself ends too after {signal}");
    }
}

#[test]
fn a_program_that_ends_by_itself_leaves_nothing_alive_and_its_turn_goes_on() {
    let marks = marks();
    // All of them are seen alive before the shell ends, and one of them holds its output.
    let seen = marks
        .iter()
        .map(|mark| format!("until grep -qsz -- '^{mark}$' /proc/[0-9]*/cmdline; do sleep 0.01; done"));
    let host = host(&line(&marks, &format!("{}\necho up", seen.collect::<Vec<_>>().join("\n"))));
    let started = Instant::now();
    let Ran { code, stdout, stderr } = host.run(&["--allow", "exec", "leave them"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.contains("done"), "{stdout}");
    assert!(started.elapsed() < UP_AFTER, "nobody waited for what sleeps for a minute");
    wait_until_alive(&marks, 0, GONE_AFTER);
}
