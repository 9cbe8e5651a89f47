//! `http.v1/mount`: routes of another extension, for as long as its call lives. It must not know what they answer.

use crate::mounted::Mounted;
use crate::routing::Routing;
use dispatch_sdk::contracts::http::{MountFrame, MountParams, ROUTES_MAX};
use dispatch_sdk::contracts::verb::Empty;
use dispatch_sdk::fault::INVALID;
use dispatch_sdk::{Call, Fault};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Where ops are.
const OPS_PREFIX: &str = "/v1";
/// Methods that can be mounted; a `GET` answers `HEAD` too.
const METHODS: &[&str] = &["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// Mounts, says so, and takes the routes away at `stop`, or when the call is cancelled or dropped.
pub(crate) async fn mount(
    routing: &Routing,
    stop: &CancellationToken,
    call: &Call,
    params: MountParams,
) -> Result<Empty, Fault> {
    check(&params)?;
    // A mount that comes before `serve` finds the routes of ops that are there by then.
    routing.refresh_if_old().await;
    let mounted = Arc::new(Mounted { host: call.host(), routes: params.routes });
    routing.mount(&mounted)?;
    let _unmounted = Unmount { routing, mounted };
    call.emit(&MountFrame::Mounted {}).await?;
    tokio::select! {
        () = call.cancelled() => {}
        () = stop.cancelled() => {}
    }
    Ok(Empty {})
}

fn check(params: &MountParams) -> Result<(), Fault> {
    if !(1..=ROUTES_MAX).contains(&params.routes.len()) {
        let n = params.routes.len();
        return Err(Fault::new(INVALID, format!("cannot mount {n} routes; give 1 to {ROUTES_MAX}")));
    }
    for route in &params.routes {
        if !METHODS.contains(&route.method.as_str()) {
            let message =
                format!("cannot mount the method `{}`; give one of {}", route.method, METHODS.join(", "));
            return Err(Fault::new(INVALID, message));
        }
        let below = route.path.strip_prefix(OPS_PREFIX);
        if below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
            let message =
                format!("cannot mount `{}`: what is below `{OPS_PREFIX}/` belongs to ops", route.path);
            return Err(Fault::new(INVALID, message));
        }
        let first = route.path.split('/').nth(1).unwrap_or("");
        if first.starts_with('{') {
            let message = format!("cannot mount `{}`: its first segment must be plain", route.path);
            return Err(Fault::new(INVALID, message));
        }
    }
    Ok(())
}

/// Takes the routes away when it is dropped.
struct Unmount<'a> {
    routing: &'a Routing,
    mounted: Arc<Mounted>,
}

impl Drop for Unmount<'_> {
    fn drop(&mut self) {
        self.routing.unmount(&self.mounted);
    }
}
