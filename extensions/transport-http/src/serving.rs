//! The listener's life: serve, drain, reload, check, stop. It must not know requests.

use crate::config::NEEDS_RESTART;
use crate::connection::accept;
use crate::listen::{IN_USE, Place};
use crate::server::Server;
use dispatch_sdk::Fault;
use dispatch_sdk::contracts::instance::{
    CheckReply, CheckResult, CheckStatus, DrainParams, DrainReply, ReloadParams, ReloadReply, ServeParams,
    ServeReply,
};
use dispatch_sdk::fault::CONFLICT;
use std::sync::Arc;
use std::time::Duration;
use tracing::info;

/// Longest time that `stop` waits for answers on their way.
const STOP_GRACE: Duration = Duration::from_millis(500);

/// Opens the listeners, all or none.
pub(crate) async fn serve(server: &Arc<Server>, params: ServeParams) -> Result<ServeReply, Fault> {
    if !server.standing.begin_to_serve() {
        return Err(Fault::new(CONFLICT, format!("`{}` serves already", server.instance)));
    }
    let opened = open(server, params).await;
    if opened.is_err() {
        server.standing.gave_up();
    }
    opened
}

async fn open(server: &Arc<Server>, params: ServeParams) -> Result<ServeReply, Fault> {
    let settings = server.settings();
    let texts = if params.listen.is_empty() { &settings.listen } else { &params.listen };
    let places = Place::parse_all(texts, settings.allow_plain_remote)?;
    if places.iter().any(|place| matches!(place, Place::Tcp(_))) {
        server.tokens.ensure(&settings)?;
    }
    server.routing.refresh().await?;
    let listeners: Vec<_> = places.iter().map(Place::bind).collect::<Result<_, _>>()?;
    let addresses: Vec<_> = listeners.iter().map(|listener| listener.address()).collect();
    server.standing.is_ready_now();
    for listener in listeners {
        tokio::spawn(accept(Arc::clone(server), listener));
    }
    info!(addresses = addresses.join(" "), "the HTTP listener serves");
    Ok(ServeReply { addresses })
}

/// Refuses new work, and waits until what runs is over. Streams of events go on: they show what runs.
pub(crate) async fn drain(server: &Server, params: DrainParams) -> DrainReply {
    server.standing.draining.cancel();
    let deadline = Duration::from_millis(params.deadline_ms);
    // What is left at the deadline is counted.
    let _ = tokio::time::timeout(deadline, server.numbers.in_flight.empty()).await;
    DrainReply { unfinished: server.numbers.in_flight.count() as u64 }
}

/// Closes the listeners and ends the streams; answers on their way have a moment.
pub(crate) async fn stop(server: &Server) {
    server.standing.stop.cancel();
    let ended = async {
        server.listeners.empty().await;
        server.numbers.connections.empty().await;
    };
    // Not on tokio: `stop` is polled in place, by a thread of the host.
    tokio::select! {
        () = ended => {}
        () = server.host.sleep(STOP_GRACE) => {}
    }
}

/// Takes over what can be changed while it runs.
pub(crate) fn reload(server: &Server, params: ReloadParams) -> Result<ReloadReply, Fault> {
    let changed = server.reload(params.config)?;
    let (needs_restart, applied) = changed.into_iter().partition(|key| NEEDS_RESTART.contains(&key.as_str()));
    Ok(ReloadReply { applied, needs_restart })
}

/// Whether the token can be used and the addresses are free.
pub(crate) fn check(server: &Server) -> CheckReply {
    let settings = server.settings();
    let token = found("token", server.tokens.look(&settings));
    let listen = match Place::parse_all(&settings.listen, settings.allow_plain_remote) {
        Err(fault) => Err(fault),
        Ok(_) if server.standing.is_serving() => Ok("this instance listens".to_owned()),
        Ok(places) => places
            .iter()
            // Opened and closed again.
            .try_for_each(|place| place.bind().map(drop))
            .map(|()| format!("{} can be listened on", settings.listen.join(", "))),
    };
    let mut listen = found("listen", listen);
    if listen.recovery == IN_USE {
        // Most often it is the host that this check runs beside.
        listen.status = CheckStatus::Warn;
        listen.recovery = format!("{IN_USE}, unless it is this host that serves there");
    }
    CheckReply { checks: vec![token, listen] }
}

fn found(name: &str, found: Result<String, Fault>) -> CheckResult {
    let (status, summary, recovery) = match found {
        Ok(summary) => (CheckStatus::Ok, summary, String::new()),
        // The message ends with what to do.
        Err(fault) => match fault.message.rsplit_once("; ") {
            Some((what, recovery)) => (CheckStatus::Fail, what.to_owned(), recovery.to_owned()),
            None => (CheckStatus::Fail, fault.message, String::new()),
        },
    };
    CheckResult { name: name.to_owned(), status, summary, recovery }
}
