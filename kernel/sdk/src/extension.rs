//! The trait that an author implements, and the table of verbs that it fills.

use crate::call::Call;
use crate::config::Config;
use crate::host::Host;
use dispatch_abi::SharedBytes;
use dispatch_contracts::Contributions;
use dispatch_contracts::fault::INVALID;
use dispatch_contracts::kernel::VerbInfo;
use dispatch_contracts::{Fault, Mode, Verb};
use dispatch_wire::{decode, encode};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

pub(crate) type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;
type Handler<E> =
    Box<dyn Fn(Arc<E>, Call, SharedBytes) -> BoxFuture<Result<SharedBytes, Fault>> + Send + Sync>;

/// One extension. A library may be opened several times: every instance is a value of its own.
pub trait Extension: Sized + Send + Sync + 'static {
    /// How `start` and `stop` are driven: in place (no tokio), or on the instance's own runtime.
    const START: Mode = Mode::Inline;

    /// Makes an instance from its configuration. No call can be made here yet; `host` is kept for later.
    fn open(host: Host, config: Config) -> Result<Self, Fault>;

    /// Fills the table of verbs that this extension serves.
    fn verbs(verbs: &mut Verbs<Self>);

    /// Starts the instance: everything it requires is active. What it contributes is the answer.
    fn start(self: Arc<Self>) -> impl Future<Output = Result<Contributions, Fault>> + Send {
        async { Ok(Contributions::default()) }
    }

    /// Stops the instance; everything that depends on it has stopped before.
    fn stop(self: Arc<Self>) -> impl Future<Output = Result<(), Fault>> + Send {
        async { Ok(()) }
    }

    /// Takes one notification of a subscribed topic; they come one after another.
    fn on_topic(self: Arc<Self>, topic: Topic) -> impl Future<Output = ()> + Send {
        let _ = topic;
        async {}
    }
}

/// A notification. The queue before it is bounded; `missed` counts what was dropped just before.
#[derive(Debug, Clone)]
pub struct Topic {
    /// Topic name.
    pub name: String,
    /// JSON.
    pub data: SharedBytes,
    /// Notifications of any topic lost just before this one.
    pub missed: u64,
}

/// The verbs that an extension serves.
pub struct Verbs<E> {
    pub(crate) table: BTreeMap<&'static str, Served<E>>,
}

pub(crate) struct Served<E> {
    pub(crate) info: VerbInfo,
    pub(crate) handler: Handler<E>,
}

impl<E: Extension> Verbs<E> {
    pub(crate) fn of() -> Self {
        let mut verbs = Self { table: BTreeMap::new() };
        E::verbs(&mut verbs);
        verbs
    }

    /// Serves `verb` with `handler`, driven as the contract says.
    pub fn on<V, F, Fut>(&mut self, verb: V, handler: F)
    where
        V: Verb,
        F: Fn(Arc<E>, Call, V::Params) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<V::Reply, Fault>> + Send + 'static,
    {
        self.on_mode(verb, V::MODE, handler);
    }

    /// Serves `verb` inline although its contract says spawned: for handlers that neither block, nor emit, nor use tokio.
    pub fn on_inline<V, F, Fut>(&mut self, verb: V, handler: F)
    where
        V: Verb,
        F: Fn(Arc<E>, Call, V::Params) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<V::Reply, Fault>> + Send + 'static,
    {
        self.on_mode(verb, Mode::Inline, handler);
    }

    fn on_mode<V, F, Fut>(&mut self, _verb: V, mode: Mode, handler: F)
    where
        V: Verb,
        F: Fn(Arc<E>, Call, V::Params) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<V::Reply, Fault>> + Send + 'static,
    {
        let handler = Arc::new(handler);
        // Parameters are read where the handler runs, so that a large body costs the caller's thread nothing.
        let handler: Handler<E> = Box::new(move |extension, call, body| {
            let handler = Arc::clone(&handler);
            Box::pin(async move {
                let params = decode(INVALID, format_args!("the parameters of `{}`", V::NAME), &body)?;
                drop(body);
                encode(V::NAME, &handler(extension, call, params).await?)
            })
        });
        let info = VerbInfo { name: V::NAME.to_owned(), mode, limits: V::LIMITS };
        let before = self.table.insert(V::NAME, Served { info, handler });
        assert!(before.is_none(), "`{}` is served twice", V::NAME);
    }
}
