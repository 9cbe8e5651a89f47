//! What the parts of the listener share: the host, the settings, the routes, the numbers, and where it stands.

use crate::config::Settings;
use crate::gauge::Gauge;
use crate::health::Health;
use crate::numbers::Numbers;
use crate::routing::Routing;
use crate::token::Tokens;
use arc_swap::ArcSwap;
use dispatch_sdk::contracts::kernel::{Inventory, InventoryReply};
use dispatch_sdk::contracts::verb::Empty;
use dispatch_sdk::{Config, Fault, Host};
use serde_json::Value;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio_util::sync::CancellationToken;

/// The listener of one instance, whether it listens yet or not.
pub(crate) struct Server {
    pub(crate) host: Host,
    pub(crate) instance: String,
    pub(crate) tokens: Tokens,
    pub(crate) routing: Routing,
    pub(crate) numbers: Arc<Numbers>,
    /// Sockets that listen.
    pub(crate) listeners: Arc<Gauge>,
    /// Cancelled once, when the instance stops.
    pub(crate) stop: CancellationToken,
    settings: ArcSwap<Settings>,
    /// The configuration that the settings were read from.
    config: Mutex<Value>,
    serving: AtomicBool,
    ready: AtomicBool,
    health: Health,
    draining: CancellationToken,
}

impl Server {
    pub(crate) fn new(host: Host, config: &Config) -> Result<Self, Fault> {
        let settings = config.parse::<Settings>()?.checked()?;
        Ok(Self {
            instance: config.instance().to_owned(),
            tokens: Tokens::new(Path::new(&config.dirs().data).join(config.instance())),
            routing: Routing::new(host.clone()),
            numbers: Arc::default(),
            listeners: Arc::default(),
            stop: CancellationToken::new(),
            settings: ArcSwap::from_pointee(settings),
            config: Mutex::new(config.parse()?),
            serving: AtomicBool::new(false),
            ready: AtomicBool::new(false),
            health: Health::default(),
            draining: CancellationToken::new(),
            host,
        })
    }

    /// The settings as they are now.
    pub(crate) fn settings(&self) -> Arc<Settings> {
        self.settings.load_full()
    }

    /// Takes over a configuration; answers the keys that changed.
    pub(crate) fn reload(&self, config: Value) -> Result<Vec<String>, Fault> {
        let mut settings = Settings::of_reload(&config)?;
        let mut before = self.config.lock().unwrap_or_else(PoisonError::into_inner);
        let running = self.settings();
        settings.listen.clone_from(&running.listen);
        settings.allow_plain_remote = running.allow_plain_remote;
        let mut changed: Vec<_> = [&*before, &config]
            .into_iter()
            .filter_map(Value::as_object)
            .flat_map(|map| map.keys())
            .filter(|key| before.get(key.as_str()) != config.get(key.as_str()))
            .cloned()
            .collect();
        changed.sort();
        changed.dedup();
        self.settings.store(Arc::new(settings));
        *before = config;
        Ok(changed)
    }

    /// Claims the right to open the listeners; false when they are open already.
    pub(crate) fn begin_to_serve(&self) -> bool {
        !self.serving.swap(true, Ordering::AcqRel)
    }

    /// Opening them failed.
    pub(crate) fn gave_up(&self) {
        self.serving.store(false, Ordering::Release);
    }

    pub(crate) fn is_serving(&self) -> bool {
        self.serving.load(Ordering::Acquire)
    }

    pub(crate) fn is_ready_now(&self) {
        self.ready.store(true, Ordering::Release);
    }

    pub(crate) fn drain(&self) {
        self.draining.cancel();
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    /// Cancelled when the drain begins.
    pub(crate) fn draining(&self) -> CancellationToken {
        self.draining.clone()
    }

    /// Whether work may come in, and can be done.
    pub(crate) async fn is_ready(&self) -> bool {
        let may = self.ready.load(Ordering::Acquire) && !self.is_draining() && !self.stop.is_cancelled();
        may && self.health.is_ok(&self.host).await
    }

    /// What the host is made of.
    pub(crate) async fn inventory(&self) -> Result<InventoryReply, Fault> {
        self.host.call(Inventory, &Empty {}).await
    }
}
