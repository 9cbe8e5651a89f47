//! Durable turns accepted a second, from 64 clients at once.
//!
//! It must not know how acceptance is made durable. Each client posts one turn after another, each to another
//! conversation, so that what is counted is acceptance and not how long a turn takes.

use crate::client::{conversation, start};
use crate::http::{Connection, Server};
use crate::load::{World, client, turn_body};
use crate::timing::ms;
use crate::{Trouble, disk, note, say};
use house::bench::{Figure, Goal};
use std::time::Instant;

const CLIENTS: usize = 64;
const TURNS_EACH: usize = 40;
const MODEL: &str = "fake-text-1";

pub(crate) fn run() -> Result<(), Trouble> {
    let world = World::start(&[])?;
    note("64 clients that start turns");
    let (rate, durable) = client(accepted(&world.host.server))?;
    if !durable {
        return Err("the host accepted turns that are not durable".to_owned());
    }
    let commits = disk::commits(world.home.path())?;
    say(&Figure::new("durable turns accepted a second, 64 clients", rate, "1/s")
        .beside("bare SQLite commits, one after another", 1e6 / commits.mean())
        .goal(Goal::AtLeast(1_000.0)));
    drop(world.model);
    Ok(())
}

/// Turns accepted a second, and whether all were durable.
async fn accepted(server: &Server) -> Result<(f64, bool), Trouble> {
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        let mut connection = Connection::open(server).await?;
        let mut ids = Vec::new();
        for _ in 0..TURNS_EACH {
            ids.push(conversation(&mut connection).await?);
        }
        clients.push((connection, ids));
    }
    let body = turn_body(MODEL, "hello");
    let one = |(mut connection, ids): (Connection, Vec<String>)| {
        let body = &body;
        async move {
            let mut durable = true;
            for id in ids {
                durable &= start(&mut connection, &id, body).await?["durable"] == true;
            }
            Ok::<_, Trouble>(durable)
        }
    };
    let began = Instant::now();
    let all = futures_util::future::join_all(clients.into_iter().map(one)).await;
    let seconds = ms(began.elapsed()) / 1_000.0;
    let durable = all.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter().all(|durable| durable);
    Ok(((CLIENTS * TURNS_EACH) as f64 / seconds, durable))
}
