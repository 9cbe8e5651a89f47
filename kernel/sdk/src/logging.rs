//! Bridges: `tracing` events and panics of this library go to the host's log, stamped with their instance.
//!
//! A library has its own copy of `tracing` and of std, so both start out deaf; the first instance installs them once.

use dispatch_abi::{HostObj, PANIC_LOG_TARGET};
use std::cell::{Cell, RefCell};
use std::fmt::{self, Write as _};
use std::panic::PanicHookInfo;
use std::sync::Once;
use std::sync::atomic::{AtomicU8, Ordering};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

const FIELD_BYTES_MAX: usize = 8 * 1024;

static INSTALL: Once = Once::new();
static LEVEL_MAX: AtomicU8 = AtomicU8::new(3);

thread_local! {
    /// The host of the instance whose code runs on this thread right now, inside the guard.
    static CURRENT: RefCell<Option<HostObj>> = const { RefCell::new(None) };
    /// Whose thread it is.
    static OWNER: RefCell<Option<HostObj>> = const { RefCell::new(None) };
    static PANIC_PLACE: RefCell<String> = const { RefCell::new(String::new()) };
    static LOGGING: Cell<bool> = const { Cell::new(false) };
}

/// Installs the bridges of this library, the first time.
pub(crate) fn install(host: &HostObj) {
    LEVEL_MAX.store(host.log_level_max(), Ordering::Relaxed);
    INSTALL.call_once(|| {
        let fallback = host.clone();
        // Inside a test binary there may be another subscriber already; then it stays.
        let _ = tracing::subscriber::set_global_default(Bridge { fallback });
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| note_panic(info, &*before)));
    });
}

fn note_panic(info: &PanicHookInfo<'_>, before: &dyn Fn(&PanicHookInfo<'_>)) {
    let guarded =
        CURRENT.try_with(|current| current.try_borrow().is_ok_and(|c| c.is_some())).unwrap_or(false);
    let place = info.location().map(|place| format!(" at {}:{}", place.file(), place.line()));
    if guarded {
        let _ = PANIC_PLACE.try_with(|slot| *slot.borrow_mut() = place.unwrap_or_default());
        return;
    }
    match owner() {
        // A task that the author left behind: nobody else tells of it.
        Some(host) => {
            let text = info.payload_as_str().unwrap_or("no message");
            report_panic(&host, &format!("a task panicked: {text}{}", place.unwrap_or_default()));
        }
        None => before(info),
    }
}

/// Tells the host of a panic that no call's answer tells of; it is counted there.
pub(crate) fn report_panic(host: &HostObj, message: &str) {
    let record = serde_json::json!({ "message": message }).to_string();
    host.log(1, PANIC_LOG_TARGET.into(), record.as_str().into());
}

/// Says whose thread this is, for what runs on it outside the guard.
pub(crate) fn belong(host: HostObj) {
    let _ = OWNER.try_with(|owner| owner.replace(Some(host)));
}

fn owner() -> Option<HostObj> {
    OWNER.try_with(|owner| owner.try_borrow().ok().and_then(|owner| owner.clone())).ok().flatten()
}

/// Where the last caught panic of this thread happened, ` at file:line`; empty when unknown.
pub(crate) fn take_panic_place() -> String {
    PANIC_PLACE.try_with(|slot| std::mem::take(&mut *slot.borrow_mut())).unwrap_or_default()
}

/// Makes the instance that `host` was given to the current one of this thread until the guard is dropped.
pub(crate) fn enter(host: &HostObj) -> Current {
    let before = CURRENT.try_with(|current| current.replace(Some(host.clone()))).ok().flatten();
    Current { before }
}

pub(crate) struct Current {
    before: Option<HostObj>,
}

impl Drop for Current {
    fn drop(&mut self) {
        let before = self.before.take();
        // What was current is dropped outside the borrow.
        let _mine = CURRENT.try_with(|current| current.replace(before));
    }
}

/// One log record being made; over as well when the author's `Debug` panics in it.
struct Logging;

impl Logging {
    fn begin() -> Option<Self> {
        (!LOGGING.replace(true)).then_some(Self)
    }
}

impl Drop for Logging {
    fn drop(&mut self) {
        LOGGING.set(false);
    }
}

struct Bridge {
    fallback: HostObj,
}

impl Subscriber for Bridge {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        !metadata.is_span() && number(*metadata.level()) <= LEVEL_MAX.load(Ordering::Relaxed)
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        // A log call made while logging would recurse through the host for ever.
        let Some(_logging) = Logging::begin() else { return };
        let mut fields = Fields { json: String::from("{") };
        event.record(&mut fields);
        fields.json.push('}');
        let level = number(*event.metadata().level());
        let target = event.metadata().target();
        let current = CURRENT.try_with(|current| current.borrow().clone()).ok().flatten();
        let host = current.or_else(owner);
        let host = host.as_ref().unwrap_or(&self.fallback);
        host.log(level, target.into(), fields.json.as_str().into());
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

fn number(level: Level) -> u8 {
    match level {
        Level::ERROR => 1,
        Level::WARN => 2,
        Level::INFO => 3,
        Level::DEBUG => 4,
        Level::TRACE => 5,
    }
}

struct Fields {
    json: String,
}

impl Fields {
    fn put(&mut self, field: &Field, value: &serde_json::Value) {
        if self.json.len() > 1 {
            self.json.push(',');
        }
        let _ = write!(self.json, "{}:{value}", serde_json::Value::from(field.name()));
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = format!("{value:?}");
        if text.len() > FIELD_BYTES_MAX {
            text.truncate(text.floor_char_boundary(FIELD_BYTES_MAX));
        }
        self.put(field, &text.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, &value[..value.floor_char_boundary(FIELD_BYTES_MAX)].into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, &value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, &value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, &value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, &value.into());
    }
}
