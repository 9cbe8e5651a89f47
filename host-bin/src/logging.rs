//! The log's sink: standard error, one line a record, filtered by `DISPATCH_LOG`.

use crate::argv::Environment;
use std::sync::OnceLock;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;

static LEVEL_MAX: OnceLock<u8> = OnceLock::new();

/// `level` holds where nobody set the variable.
pub(crate) fn install(environment: &Environment, level: &str) {
    let wanted = environment.get("DISPATCH_LOG").unwrap_or(level);
    let filter = EnvFilter::try_new(wanted).unwrap_or_else(|_| EnvFilter::new(level));
    let level = filter.max_level_hint().unwrap_or(LevelFilter::TRACE);
    LEVEL_MAX.get_or_init(|| number(level));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .without_time()
        .finish();
    // Only a test that has its own comes here twice.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

/// Most verbose level that is written, 0 (nothing) to 5 (trace).
pub(crate) fn level_max() -> u8 {
    *LEVEL_MAX.get().unwrap_or(&2)
}

fn number(level: LevelFilter) -> u8 {
    match level {
        LevelFilter::OFF => 0,
        LevelFilter::ERROR => 1,
        LevelFilter::WARN => 2,
        LevelFilter::INFO => 3,
        LevelFilter::DEBUG => 4,
        _ => 5,
    }
}
