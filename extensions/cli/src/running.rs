//! `dispatch run`: starts a turn and shows it until it ends.
//!
//! Start, watch and stop are root calls: Ctrl-C cancels the command's own call, and the turn's end must still be seen.

use crate::args::{self, RunArgs};
use crate::cli::Cli;
use crate::exit;
use crate::ops::{json, op_verb};
use crate::prompt::{NoPrompt, prompt};
use crate::render::{Render, cost_line, end_of, ending_line, fault_line};
use crate::runs::Run;
use crate::screen::Screen;
use crate::status::{Status, TICK_MS};
use crate::unrun::{Unrun, show_unrun};
use dispatch_sdk::contracts::command::MainParams;
use dispatch_sdk::contracts::event::{Event, TurnEnded, TurnError};
use dispatch_sdk::contracts::fault::BROKEN;
use dispatch_sdk::contracts::turns::{StartParams, StartReply, StopParams, WatchParams};
use dispatch_sdk::{Fault, Host, Item, RawStream};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How long the end of a stopped turn is waited for; the host drops the command after 500 ms.
const STOP_SHOW_MS: u64 = 400;

impl Cli {
    pub(crate) async fn run(self: &Arc<Self>, run: &Arc<Run>, params: &MainParams) -> Result<u8, Fault> {
        let call = &run.call;
        let args = match args::parse(&params.argv) {
            Ok(args) => args,
            Err(unrun) => return show_unrun(run, unrun).await,
        };
        let input = match prompt(run, &args).await {
            Ok(input) => input,
            Err(NoPrompt::Wrong(unrun)) => return show_unrun(run, unrun).await,
            Err(NoPrompt::Unread(_)) if call.is_cancelled() => return Ok(exit::CANCELLED),
            Err(NoPrompt::Unread(fault)) => return Err(fault),
        };
        let start = start_params(&args, input, &params.cwd);
        if let Some(cwd) = start.cwd.as_deref().filter(|cwd| !Path::new(cwd).is_dir()) {
            let wrong = format!("error: there is no directory `{cwd}`; tools could not work there");
            return show_unrun(run, Unrun::Usage(wrong)).await;
        }
        let host = self.root(call);
        let starting = self.runs.starting();
        let started = host.call_raw(&op_verb("turns.start"), json(&start)).await?;
        let started: StartReply = serde_json::from_slice(&started)
            .map_err(|e| Fault::new(BROKEN, format!("cannot read the answer of `turns.start`: {e}")))?;
        let shown = starting.shown(&started.conversation_id, Arc::clone(run));
        if !args.json {
            run.screen.lock().await.note(&format!("· conversation {}", started.conversation_id)).await?;
        }
        let watched = watch(&host, run, &started, args.json).await;
        drop(shown);
        if !args.json {
            let line = format!("· go on with `--conversation {}`", started.conversation_id);
            let mut screen = run.screen.lock().await;
            if let Err(fault) = &watched {
                screen.end_text().await?;
                screen.trouble(&fault_line(fault)).await?;
                screen.note(&line).await?;
                return Ok(exit::of_fault(fault));
            }
            screen.note(&line).await?;
        }
        watched
    }
}

fn start_params(args: &RunArgs, input: String, process_cwd: &str) -> StartParams {
    let cwd = Path::new(process_cwd).join(args.cwd.as_deref().unwrap_or("."));
    let cwd: PathBuf = cwd.components().filter(|part| *part != Component::CurDir).collect();
    StartParams {
        conversation_id: args.conversation_id.clone(),
        input,
        parts: Vec::new(),
        provider: args.provider.clone(),
        model: args.model.clone(),
        engine: args.engine.clone(),
        cwd: Some(cwd.to_string_lossy().into_owned()),
    }
}

/// Shows the turn until it ends, and answers the exit code.
async fn watch(host: &Host, run: &Run, started: &StartReply, as_json: bool) -> Result<u8, Fault> {
    let params = WatchParams {
        conversation_id: started.conversation_id.clone(),
        after: started.cursor,
        until_turn: Some(started.turn_id.clone()),
    };
    let mut stream = host.stream_raw(&op_verb("turns.watch"), json(&params));
    let mut view = View::new(as_json, host.now_ms());
    let stopped = async {
        run.call.cancelled().await;
        stop(host, started)?;
        host.sleep(Duration::from_millis(STOP_SHOW_MS)).await;
        Ok(exit::CANCELLED)
    };
    tokio::select! {
        biased;
        exit_code = view.show_all(run, host, &mut stream) => exit_code,
        exit_code = stopped => exit_code,
    }
}

/// Tells the orchestrator to stop the turn. A task, for the command may be dropped while the turn ends.
fn stop(host: &Host, started: &StartReply) -> Result<(), Fault> {
    let params = StopParams {
        conversation_id: started.conversation_id.clone(),
        turn_id: Some(started.turn_id.clone()),
    };
    let host = host.clone();
    host.runtime()?.spawn(async move {
        if let Err(fault) = host.call_raw(&op_verb("turns.stop"), json(&params)).await {
            tracing::warn!(turn_id = params.turn_id, code = fault.code, "a turn could not be stopped");
        }
    });
    Ok(())
}

/// What is shown of one turn.
struct View {
    as_json: bool,
    render: Render,
    status: Status,
    error: Option<TurnError>,
}

impl View {
    fn new(as_json: bool, now: u64) -> Self {
        Self { as_json, render: Render::default(), status: Status::new(now), error: None }
    }

    async fn show_all(&mut self, run: &Run, host: &Host, stream: &mut RawStream) -> Result<u8, Fault> {
        let moves = run.tty.rewrites && !self.as_json;
        loop {
            let item = tokio::select! {
                biased;
                item = stream.next() => item?,
                () = host.sleep(Duration::from_millis(TICK_MS)), if moves => {
                    // Nothing is written while a question is open.
                    if let Ok(mut screen) = run.screen.try_lock() && screen.shows_status() {
                        screen.status(&self.status.line(host.now_ms())).await?;
                    }
                    continue;
                }
            };
            let Item::Frame(frame) = item else {
                return Err(Fault::new(BROKEN, "the events ended before the turn did"));
            };
            let text = std::str::from_utf8(&frame)
                .map_err(|e| Fault::new(BROKEN, format!("an event is not UTF-8: {e}")))?;
            let event: Event = serde_json::from_str(text)
                .map_err(|e| Fault::new(BROKEN, format!("cannot read an event: {e}")))?;
            self.status.see(&event, host.now_ms());
            let mut screen = run.screen.lock().await;
            if self.as_json {
                screen.json(text).await?;
            } else {
                match self.render.show(&mut screen, &event).await {
                    // One event of a shape that is not known here is no reason to miss the rest.
                    Err(fault) if fault.is(BROKEN) => screen.note(&fault_line(&fault)).await?,
                    shown => shown?,
                }
            }
            let (ended, error) = end_of(&event)?;
            self.error = error.or(self.error.take());
            if let Some(ended) = ended {
                return self.end(&mut screen, &ended).await;
            }
        }
    }

    async fn end(&self, screen: &mut Screen, ended: &TurnEnded) -> Result<u8, Fault> {
        let error = self.error.as_ref();
        if !self.as_json {
            screen.end_text().await?;
        }
        let failed = self.error.is_some();
        if let Some(line) = ending_line(ended, error).filter(|_| !self.as_json || failed) {
            if failed { screen.trouble(&line).await? } else { screen.note(&line).await? }
        }
        if let Some(line) = cost_line(ended).filter(|_| !self.as_json) {
            screen.note(&line).await?;
        }
        Ok(exit::of_turn(ended, error))
    }
}
