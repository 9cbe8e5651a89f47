//! Keeps the routes as the build is now: instances may change what they contribute, and mounts come and go.
//!
//! It must not know requests. The list of ops is asked for again at a request, at most every [`REFRESH_EVERY`]; when it
//! is the same bytes as before, nothing is built.

use crate::fixed::Fixed;
use crate::mounted::Mounted;
use crate::ops::{OpAt, OpRoute};
use crate::routes::{Refused, Routes};
use arc_swap::ArcSwap;
use dispatch_sdk::contracts::Verb;
use dispatch_sdk::contracts::op::{List, ListReply};
use dispatch_sdk::fault::{BROKEN, CONFLICT, INVALID};
use dispatch_sdk::{Fault, Host};
use serde_json::json;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tracing::warn;

/// Shortest time between two looks at the list of ops.
const REFRESH_EVERY: Duration = Duration::from_millis(250);
/// Most mounts at a time.
const MOUNTS_MAX: usize = 64;

/// Where a route leads.
pub(crate) enum Target {
    Fixed(Fixed),
    Op(Arc<OpRoute>),
    /// A mount, and which of its routes.
    Mounted(Arc<Mounted>, usize),
}

/// The routes, and what they are made of.
pub(crate) struct Routing {
    host: Host,
    routes: ArcSwap<Routes<Target>>,
    known: Mutex<Known>,
    /// When the list was last asked for; held while it is asked for.
    asked_at: tokio::sync::Mutex<Option<Instant>>,
}

#[derive(Default)]
struct Known {
    /// The list as it came.
    list: Vec<u8>,
    ops: Vec<Arc<OpRoute>>,
    mounts: Vec<Arc<Mounted>>,
}

impl Routing {
    pub(crate) fn new(host: Host) -> Self {
        let routes = ArcSwap::from_pointee(Known::default().routes());
        Self { host, routes, known: Mutex::default(), asked_at: tokio::sync::Mutex::default() }
    }

    /// The routes as they are now.
    pub(crate) fn routes(&self) -> Arc<Routes<Target>> {
        self.routes.load_full()
    }

    /// Asks for the list of ops if it was asked for some time ago. While another request does so, the routes that are
    /// there are good enough.
    pub(crate) async fn refresh_if_old(&self) {
        let Ok(mut asked_at) = self.asked_at.try_lock() else { return };
        if asked_at.is_some_and(|at| at.elapsed() < REFRESH_EVERY) {
            return;
        }
        if let Err(fault) = self.ask().await {
            warn!(%fault, "the list of ops cannot be read; the routes stay as they are");
        }
        *asked_at = Some(Instant::now());
    }

    /// Asks for the list of ops.
    pub(crate) async fn refresh(&self) -> Result<(), Fault> {
        let mut asked_at = self.asked_at.lock().await;
        self.ask().await?;
        *asked_at = Some(Instant::now());
        Ok(())
    }

    async fn ask(&self) -> Result<(), Fault> {
        let list = self.host.call_raw(List::NAME, b"{}".to_vec()).await?;
        if self.known().list == list.as_slice() {
            return Ok(());
        }
        let reply: ListReply = serde_json::from_slice(&list)
            .map_err(|e| Fault::new(BROKEN, format!("cannot read the reply of `{}`: {e}", List::NAME)))?;
        let mut known = self.known();
        known.list = list.to_vec();
        known.ops = reply.ops.into_iter().filter_map(OpRoute::of).map(Arc::new).collect();
        self.routes.store(Arc::new(known.routes()));
        Ok(())
    }

    /// Adds a mount; all of its routes or none.
    pub(crate) fn mount(&self, mount: &Arc<Mounted>) -> Result<(), Fault> {
        let mut known = self.known();
        if known.mounts.len() >= MOUNTS_MAX {
            let message = format!("there are {MOUNTS_MAX} mounts already; take one away first");
            return Err(Fault::new(dispatch_sdk::fault::OVERLOADED, message));
        }
        let mut routes = known.routes();
        for (idx, route) in mount.routes.iter().enumerate() {
            let target = Target::Mounted(Arc::clone(mount), idx);
            routes.add(&route.method, &route.path, target).map_err(|refused| match refused {
                Refused::Malformed(why) => Fault::new(INVALID, format!("cannot mount: {why}")),
                Refused::Taken => Fault::new(
                    CONFLICT,
                    format!(
                        "cannot mount `{} {}`: the route is taken; choose another",
                        route.method, route.path
                    ),
                )
                .with_detail(json!({ "method": route.method, "path": route.path })),
            })?;
        }
        known.mounts.push(Arc::clone(mount));
        self.routes.store(Arc::new(known.routes()));
        Ok(())
    }

    /// Takes a mount away.
    pub(crate) fn unmount(&self, mount: &Arc<Mounted>) {
        let mut known = self.known();
        known.mounts.retain(|known| !Arc::ptr_eq(known, mount));
        self.routes.store(Arc::new(known.routes()));
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The ops among the routes.
pub(crate) fn ops(routes: &Routes<Target>) -> impl Iterator<Item = OpAt<'_>> {
    routes.all().filter_map(|(template, method, target)| match target {
        Target::Op(op) => Some((template, method, &**op)),
        Target::Fixed(_) | Target::Mounted(..) => None,
    })
}

impl Known {
    /// Builds the routes: what is fixed, then mounts, then ops. One that finds its place taken is left out.
    fn routes(&self) -> Routes<Target> {
        let mut routes = Routes::default();
        for fixed in Fixed::ALL {
            add(&mut routes, "GET", fixed.path(), Target::Fixed(*fixed));
        }
        for mount in &self.mounts {
            for (idx, route) in mount.routes.iter().enumerate() {
                add(&mut routes, &route.method, &route.path, Target::Mounted(Arc::clone(mount), idx));
            }
        }
        for op in &self.ops {
            let surface = &op.spec.surface;
            add(&mut routes, &surface.http_method, &surface.http_path, Target::Op(Arc::clone(op)));
        }
        routes
    }
}

fn add(routes: &mut Routes<Target>, method: &str, path: &str, target: Target) {
    let who = match &target {
        Target::Op(op) => op.spec.id.clone(),
        Target::Fixed(_) | Target::Mounted(..) => String::new(),
    };
    match routes.add(method, path, target) {
        Ok(()) => {}
        Err(Refused::Taken) => warn!(method, path, op = who, "a route is left out: its place is taken"),
        Err(Refused::Malformed(why)) => warn!(op = who, "a route is left out: {why}"),
    }
}
