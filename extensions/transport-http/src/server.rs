//! What the parts of the listener share: the host, the settings, the routes, the numbers, and where it stands.
//!
//! Only what drives requests and the listener's life may know it; what answers a route takes what it needs.

use crate::config::Settings;
use crate::gauge::Gauge;
use crate::numbers::Numbers;
use crate::routing::Routing;
use crate::standing::Standing;
use crate::token::Tokens;
use arc_swap::ArcSwap;
use dispatch_sdk::{Config, Fault, Host};
use serde_json::Value;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// The listener of one instance, whether it listens yet or not.
pub(crate) struct Server {
    pub(crate) host: Host,
    pub(crate) instance: String,
    pub(crate) tokens: Tokens,
    pub(crate) routing: Routing,
    pub(crate) numbers: Arc<Numbers>,
    /// Sockets that listen.
    pub(crate) listeners: Arc<Gauge>,
    pub(crate) standing: Standing,
    settings: ArcSwap<Settings>,
    /// The configuration that the settings were read from.
    config: Mutex<Value>,
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
            standing: Standing::default(),
            settings: ArcSwap::from_pointee(settings),
            config: Mutex::new(config.parse()?),
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
}
