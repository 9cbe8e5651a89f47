//! What load benches have in common: the servers, a client on one thread, turns one after another.
//!
//! It must not know a goal.

use crate::Trouble;
use crate::client::{Events, Seen, StampClock, conversation, start};
use crate::http::{Connection, Server};
use crate::process::cpu_ms;
use crate::servers::{Install, Model, PROVIDER, Served, floor, host, scratch};
use house::bench::Samples;
use serde_json::{Value, json};
use std::future::Future;
use std::time::Instant;
use tempfile::TempDir;

/// Conversations that are opened, and listened to, side by side.
pub(crate) const OPEN_AT_ONCE: usize = 50;

/// Host and floor before one model.
pub(crate) struct World {
    pub(crate) host: Served,
    pub(crate) floor: Served,
    pub(crate) model: Model,
    pub(crate) home: TempDir,
    // Removed last.
    _install: Install,
}

impl World {
    /// Starts all three; `wrap` = a program that runs the host.
    pub(crate) fn start(wrap: &[&str]) -> Result<Self, Trouble> {
        let (install, home, model) = (Install::new()?, scratch()?, Model::start()?);
        let host = host(&install, home.path(), &model, wrap)?;
        let floor = floor(&model)?;
        Ok(Self { host, floor, model, home, _install: install })
    }
}

/// Runs a client on one thread.
pub(crate) fn client<T>(work: impl Future<Output = Result<T, Trouble>>) -> Result<T, Trouble> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|e| format!("cannot start a runtime: {e}"))?.block_on(work)
}

/// What a turn is started with.
pub(crate) fn turn_body(model: &str, input: &str) -> Value {
    json!({ "input": input, "provider": PROVIDER, "model": model })
}

/// A conversation, its events, and the connection that starts its turns.
pub(crate) struct Talk {
    pub(crate) id: String,
    pub(crate) connection: Connection,
    pub(crate) events: Events,
}

impl Talk {
    pub(crate) async fn open(server: &Server) -> Result<Self, Trouble> {
        let mut connection = Connection::open(server).await?;
        let id = conversation(&mut connection).await?;
        let events = Events::open(server, &id, 0, StampClock::start()).await?;
        Ok(Self { id, connection, events })
    }

    /// Opens `n` at once: a stream that has nothing to show may take its time until it answers.
    pub(crate) async fn open_many(server: &Server, n: usize) -> Result<Vec<Self>, Trouble> {
        futures_util::future::try_join_all((0..n).map(|_| Self::open(server))).await
    }

    /// One turn to its end, timed from its request.
    pub(crate) async fn turn(&mut self, body: &Value) -> Result<Seen, Trouble> {
        let began = Instant::now();
        start(&mut self.connection, &self.id, body).await?;
        let accepted_ms = crate::timing::ms(began.elapsed());
        let mut seen = self.events.turn(began).await?;
        seen.accepted_ms = accepted_ms;
        Ok(seen)
    }
}

/// Turns one after another, each in a conversation of its own, as the client saw them.
pub(crate) struct Turns {
    pub(crate) ended: Samples,
    pub(crate) first: Samples,
    pub(crate) accepted: Samples,
    /// CPU time of the server for a turn and its conversation, in ms.
    pub(crate) cpu_ms: f64,
    pub(crate) failed: usize,
}

/// Runs `n` turns against a server, a few more before them to warm it up.
pub(crate) async fn turns(served: &Served, body: &Value, n: usize) -> Result<Turns, Trouble> {
    for mut talk in Talk::open_many(&served.server, OPEN_AT_ONCE).await? {
        talk.turn(body).await?;
    }
    let (mut ended, mut first, mut accepted, mut failed) = (Vec::new(), Vec::new(), Vec::new(), 0);
    let before = cpu_ms(served.pid());
    while ended.len() < n {
        for mut talk in Talk::open_many(&served.server, OPEN_AT_ONCE.min(n - ended.len())).await? {
            let seen = talk.turn(body).await?;
            ended.push(seen.ended_ms);
            first.push(seen.first_delta_ms);
            accepted.push(seen.accepted_ms);
            failed += usize::from(!seen.completed);
        }
    }
    let cpu_ms = (cpu_ms(served.pid()) - before) / n as f64;
    let (ended, first, accepted) = (Samples::new(ended), Samples::new(first), Samples::new(accepted));
    Ok(Turns { ended, first, accepted, cpu_ms, failed })
}

/// Refuses figures of turns that did not complete.
pub(crate) fn all_completed(who: &str, failed: usize) -> Result<(), Trouble> {
    if failed == 0 { Ok(()) } else { Err(format!("{failed} turns of {who} did not complete")) }
}
