//! The rules of the waist over real dlopen: two toy extensions, one process a scenario, the answer compared whole.
//!
//! It must not know how the kernel keeps a rule, only what the two sides of it see.

#[path = "waist/activation.rs"]
mod activation;
#[path = "waist/composition.rs"]
mod composition;
#[path = "waist/first.rs"]
mod first;

use house::{bin_dir, dispatch_binary};
use serde_json::{Value, json};
use std::io::Read as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

const BUILD: &str = r#"
[[extension]]
id = "toy-callee"
path = "BIN/libtoy_callee.so"

[[extension]]
id = "toy-caller"
path = "BIN/libtoy_caller.so"
"#;

fn dispatch(home: &Path, build: &str, words: &[&str]) -> Output {
    command(home, build, words).output().expect("started")
}

fn command(home: &Path, build: &str, words: &[&str]) -> Command {
    let file = home.join("build.toml");
    std::fs::write(&file, build.replace("BIN", bin_dir().to_str().expect("UTF-8"))).expect("written");
    #[expect(clippy::disallowed_methods, reason = "the process under test")]
    let mut command = Command::new(dispatch_binary());
    command
        .env_remove(house::BIN_DIR_VARIABLE)
        .env("DISPATCH_HOME", home)
        .arg("--build")
        .arg(file)
        .args(words);
    command
}

fn play(scenario: &str) -> Value {
    let home = tempfile::tempdir().expect("a directory");
    let output = dispatch(home.path(), BUILD, &["toy", scenario]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{:?} {stderr}", output.status);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {stderr}"))
}

#[test]
fn an_inline_call_is_answered_and_its_caller_is_stamped() {
    let expected = json!({
        "actor": "", "caller": "toy-caller", "conversation_id": null, "instance": "toy-callee",
        "params": { "a": [1, "é"] },
    });
    assert_eq!(play("echo"), expected);
}

#[test]
fn a_root_calls_meta_keeps_the_conversation_and_drops_an_actor_without_the_capability() {
    let expected = json!({
        "actor": "", "caller": "toy-caller", "conversation_id": "c-1", "instance": "toy-callee", "params": {},
    });
    assert_eq!(play("meta"), expected);
}

#[test]
fn every_frame_arrives_in_order_before_the_reply() {
    assert_eq!(play("flood"), json!({ "frames": 400, "reply": { "frames": 400 } }));
}

#[test]
fn a_caller_that_takes_no_frames_stops_the_callee_at_its_credit_and_leaves_no_call_behind() {
    assert_eq!(play("starve"), json!({ "stopped at the credit": true, "calls left open": 0 }));
}

#[test]
fn at_its_deadline_a_call_may_still_answer_with_what_there_is() {
    assert_eq!(play("partial"), json!({ "frames": ["first"], "reply": { "partial": true } }));
}

#[test]
fn a_call_that_never_ends_is_dropped_after_its_grace_and_so_is_one_whose_caller_left() {
    assert_eq!(play("hang"), json!({ "fault": "deadline", "dropped": [1, 2], "calls left open": 0 }));
}

#[test]
fn a_long_call_without_a_sign_of_life_ends_at_its_limit_of_silence() {
    assert_eq!(play("silent"), json!({ "first": "one", "end": "deadline" }));
}

#[test]
fn a_panic_in_a_poll_or_a_drop_stays_in_its_extension() {
    let mut shown = play("panic");
    let poll = shown["poll"].take();
    let poll = poll.as_str().expect("a message");
    assert!(poll.starts_with("`toy-callee` panicked in `toy.v1/panic`: in poll at "), "{poll}");
    assert_eq!(shown, json!({ "poll": null, "end": "panicked", "calls left open": 0, "then": "alive" }));
}

#[test]
fn an_inline_verb_may_not_emit() {
    assert_eq!(play("inline-emit"), json!({ "taken": false, "code": "cancelled" }));
}

#[test]
fn an_extension_that_blocks_its_own_threads_keeps_nobody_else_waiting() {
    assert_eq!(play("block"), json!({ "ended in order": ["echoes", "block"] }));
}

#[test]
fn a_contract_that_the_manifest_does_not_list_is_refused_with_the_line_to_add() {
    let message = "`toy-caller` called `storage.v1/get`, which its manifest does not require; \
                   add `storage.v1` to `requires` in the extension.toml of `toy-caller`";
    assert_eq!(play("unlisted"), json!({ "fault": "not_required", "message": message }));
}

#[test]
fn an_optional_contract_without_a_service_and_an_unknown_verb_have_their_own_codes() {
    assert_eq!(play("absent")["fault"], "no_service");
    assert_eq!(play("unknown")["fault"], "unknown_verb");
}

#[test]
fn calls_may_go_in_circles_within_their_slots_but_not_deeper_than_sixteen() {
    // Ten nested calls alternate between two instances, one of which has two slots.
    assert_eq!(play("bounce"), json!({ "bottom": true }));
    assert_eq!(play("too-deep")["fault"], "too_deep");
}

#[test]
fn a_call_over_the_callees_limit_is_refused_at_once_and_later_ones_are_served() {
    let refused = json!({ "code": "overloaded", "detail": { "retry_after_ms": 100 } });
    assert_eq!(play("overloaded"), json!({ "refused": refused, "calls left open": 0, "then": "again" }));
}

#[test]
fn a_caller_of_turns_shortens_a_history_that_is_too_long_and_the_step_is_tried_again() {
    let boundary = |reason: &str| json!({ "boundary": reason, "turn": "t", "step": "t#0" });
    let asked = json!([
        boundary("start"), { "messages": 2 }, boundary("overflow"), { "messages": 1 },
        { "commit": ["step_completed", "turn_ended"] },
    ]);
    let expected = json!({ "asked": asked, "shown": true, "status": "completed", "reason": "stop" });
    assert_eq!(play("overflow"), expected);
    let asked = json!([{ "messages": 2 }, { "commit": ["step_completed", "error", "turn_ended"] }]);
    let expected =
        json!({ "asked": asked, "shown": false, "status": "failed", "reason": "context_overflow" });
    assert_eq!(play("overflow-unasked"), expected);
}

#[test]
fn a_topic_drops_the_oldest_when_its_queue_is_full_and_says_how_many() {
    let row = |data: u64, missed: u64| json!({ "data": data, "missed": missed });
    assert_eq!(play("topics"), json!([row(0, 0), row(6, 5), row(7, 0), row(8, 0), row(9, 0)]));
}

#[test]
fn output_that_cannot_be_written_is_said_and_output_that_nobody_reads_has_its_own_code() {
    let home = tempfile::tempdir().expect("a directory");
    let into = |stdout: Stdio| {
        let output = command(home.path(), BUILD, &["toy", "echo"]).stdout(stdout).output().expect("started");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("there");
    let message = "error: cannot write what `toy` shows: No space left on device (os error 28)\n";
    assert_eq!(into(full.into()), (Some(1), message.to_owned()));
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    assert_eq!(into(writer.into()), (Some(141), String::new()));
}

#[test]
fn signals_end_a_command_whose_output_nobody_takes() {
    let home = tempfile::tempdir().expect("a directory");
    let (mut reader, writer) = std::io::pipe().expect("a pipe");
    let mut child = command(home.path(), BUILD, &["toy", "noise"]).stdout(writer).spawn().expect("started");
    // From its first byte on it does not take long to fill the pipe, and a signal too early is only one more.
    reader.read_exact(&mut [0]).expect("some output");
    let mut ended = None;
    for _ in 0..200 {
        #[expect(clippy::disallowed_methods, reason = "the way a person sends a signal")]
        let sent = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().expect("started");
        assert!(sent.success());
        std::thread::sleep(Duration::from_millis(50));
        ended = child.try_wait().expect("a child");
        if ended.is_some() {
            break;
        }
    }
    if ended.is_none() {
        child.kill().expect("a child");
    }
    assert_eq!(ended.and_then(|status| status.code()), Some(143));
}

#[test]
fn one_library_makes_two_instances_of_which_the_build_says_who_answers() {
    let home = tempfile::tempdir().expect("a directory");
    let build = format!(
        "bind = {{ \"toy.v1\" = \"second\" }}\n{BUILD}\n[[extension]]\nid = \"second\"\nfrom = \"toy-callee\"\npath = \"BIN/libtoy_callee.so\"\n"
    );
    let output = dispatch(home.path(), &build, &["toy", "echo"]);
    let shown: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(shown["instance"], "second");
}

#[test]
fn a_file_that_is_cut_short_is_named_and_the_rest_of_the_directory_is_used() {
    let home = tempfile::tempdir().expect("a directory");
    let extensions = home.path().join("ext");
    std::fs::create_dir(&extensions).expect("made");
    let whole = std::fs::read(bin_dir().join("libtoy_callee.so")).expect("built");
    std::fs::write(extensions.join("cut.so"), &whole[..1000]).expect("written");
    std::fs::write(extensions.join("text.so"), "not a library").expect("written");
    let output =
        dispatch(home.path(), BUILD, &["--ext-dir", extensions.to_str().expect("UTF-8"), "ext", "list"]);
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{shown}");
    assert!(shown.contains("! cannot load `cut`") && shown.contains("! cannot load `text`"), "{shown}");
    assert!(shown.contains("* toy-caller"), "{shown}");
}

#[test]
fn an_exit_that_an_extension_calls_names_its_instance_and_three_of_them_keep_it_out() {
    let home = tempfile::tempdir().expect("a directory");
    for _ in 0..3 {
        let output = dispatch(home.path(), BUILD, &["toy", "exit"]);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(3), "{stderr}");
        assert!(stderr.contains("dispatch: ended by toy-callee exit +0x"), "{stderr}");
    }
    let output = dispatch(home.path(), BUILD, &["toy", "echo"]);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(stderr.contains("it crashed the host 3 times within five minutes"), "{stderr}");
    // A host that ends in order says nothing of the kind.
    assert!(!stderr.contains("ended by"), "{stderr}");
}

#[test]
fn a_crash_in_native_code_names_its_instance_and_three_of_them_keep_it_out() {
    let home = tempfile::tempdir().expect("a directory");
    for _ in 0..3 {
        let output = dispatch(home.path(), BUILD, &["toy", "abort"]);
        assert_eq!(output.status.signal(), Some(6));
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(stderr.contains("dispatch: crashed in toy-callee signal 6 +0x"), "{stderr}");
    }
    let output = dispatch(home.path(), BUILD, &["toy", "echo"]);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(stderr.contains("an earlier host crashed"), "{stderr}");
    assert!(stderr.contains("it crashed the host 3 times within five minutes"), "{stderr}");
    assert_eq!(output.status.code(), Some(78), "{stderr}");
}
