//! Runs the cases under `tests/cases/turn`: a scripted world in, everything the turn did beside it; `UPDATE=1` rewrites.
//!
//! Time is tokio's paused clock, so every number in an expectation is exact.

mod invariants;
mod script;
mod streams;
mod world;

use dispatch_contracts::turn::RunParams;
use dispatch_turn::{Progress, StopSignal, TurnPorts, run_turn};
use script::Script;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use world::World;

/// Virtual time after which a turn counts as hanging.
const HANGS_MS: u64 = 3_600_000;

#[test]
fn every_turn_does_what_is_written_beside_its_script() {
    let files = toml_files();
    assert!(files.len() >= 100, "the cases are found");
    let mut differing = Vec::new();
    for path in files {
        let printed = play(&path);
        let beside = path.with_extension("expected");
        let expected = fs::read_to_string(&beside).unwrap_or_default();
        if printed != expected {
            if update() {
                fs::write(&beside, &printed).expect("the checkout is writable");
            }
            differing.push(format!("{}\n--- expected\n{expected}\n--- printed\n{printed}", path.display()));
        }
    }
    assert!(differing.is_empty() || update(), "{}", differing.join("\n"));
}

/// Plays one script, checks what holds for every turn, and answers the trace.
fn play(path: &Path) -> String {
    let text = fs::read_to_string(path).expect("a listed file can be read");
    let script: Script =
        toml::from_str(&text).unwrap_or_else(|source| panic!("{}: {source}", path.display()));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without IO needs nothing");
    let world = runtime.block_on(turn(script));
    invariants::check(&world)
        .unwrap_or_else(|broken| panic!("{}: {broken}\n{}", path.display(), world.trace()));
    world.trace()
}

async fn turn(script: Script) -> Arc<World> {
    let stop = StopSignal::new();
    let world = Arc::new(World::new(script, stop.clone()));
    let script = &world.script;
    let params = RunParams {
        conversation_id: "c".to_owned(),
        turn_id: "t".to_owned(),
        provider: "fake".to_owned(),
        model: script.model.clone(),
        system: script.system.clone(),
        cwd: "/w".to_owned(),
        computer: script.computer.clone(),
        messages: script.history(),
        steps_max: script.steps_max,
        boundaries: script.boundaries_wanted(),
        engine: String::new(),
        engine_state: None,
    };
    if let Some(at_ms) = script.stop.as_ref().and_then(|stop| stop.at_ms) {
        let world = Arc::clone(&world);
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(at_ms)).await;
            world.stop();
        });
    }
    let ports: &dyn TurnPorts = &*world;
    let progress = Progress::new();
    for at_ms in script.explain_at_ms.clone() {
        let (world, progress) = (Arc::clone(&world), progress.clone());
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(at_ms)).await;
            world.explained(&progress);
        });
    }
    let running = must_be_send(run_turn(params, script.turn_tools(), ports, stop, &progress));
    let ended = tokio::time::timeout(Duration::from_millis(HANGS_MS), running).await;
    assert_eq!(progress.waits(0), [], "a turn that is over waits for nothing");
    world.ended(&ended.unwrap_or_else(|_| panic!("the turn hangs\n{}", world.trace())));
    world
}

/// The kernel spawns turns.
fn must_be_send<T: Send>(future: T) -> T {
    future
}

#[expect(clippy::disallowed_methods, reason = "a switch for whoever runs the tests, not configuration")]
fn update() -> bool {
    std::env::var_os("UPDATE").is_some()
}

fn toml_files() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir("tests/cases/turn")
        .expect("the folder of cases is there")
        .map(|entry| entry.expect("the folder can be listed").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    files.sort();
    files
}
