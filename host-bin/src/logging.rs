//! The log's sink: standard error, one line a record, as text or JSON, filtered by `DISPATCH_LOG`.

use crate::argv::Invocation;
use crate::exit::Refusal;
use dispatch_compose::nearest;
use std::sync::OnceLock;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;

/// What can be logged, least first.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

static LEVEL_MAX: OnceLock<u8> = OnceLock::new();

/// `level` holds where nobody set the variable.
///
/// Each record has its time, UTC. As text it is one line for a person; as JSON one document a line: `timestamp`, `level`,
/// `target`, `message` and the record's own fields.
pub(crate) fn install(invocation: &Invocation, level: &str) -> Result<(), Refusal> {
    let Invocation { environment, options, .. } = invocation;
    let in_json = in_json(options.log_format.as_deref(), environment.get("DISPATCH_LOG_FORMAT"))?;
    let filter = match environment.get("DISPATCH_LOG") {
        Some(wanted) => filter(wanted)?,
        None => EnvFilter::new(level),
    };
    let level = filter.max_level_hint().unwrap_or(LevelFilter::TRACE);
    LEVEL_MAX.get_or_init(|| number(level));
    let lines =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false);
    // Only a test that has its own comes here twice.
    let _ = match in_json {
        true => tracing::subscriber::set_global_default(lines.json().flatten_event(true).finish()),
        false => tracing::subscriber::set_global_default(lines.finish()),
    };
    Ok(())
}

/// What is logged, as the variable says: levels, and `TARGET=LEVEL`. A target alone would be taken for all of it, and so
/// would every misspelt level.
fn filter(wanted: &str) -> Result<EnvFilter, Refusal> {
    let refused = |what: &str| {
        let near = nearest(what, LEVELS).map(|near| format!("did you mean `{near}`? ")).unwrap_or_default();
        Refusal::usage(format!(
            "`DISPATCH_LOG` is `{wanted}`, of which `{what}` is no level; {near}it takes {}, or TARGET=LEVEL, several with commas between them",
            LEVELS.join(", ")
        ))
    };
    for part in wanted.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let level = part.rsplit_once('=').map_or(part, |(_, level)| level);
        if level.parse::<LevelFilter>().is_err() {
            return Err(refused(level));
        }
    }
    EnvFilter::try_new(wanted).map_err(|_| refused(wanted))
}

/// The option, else the variable, else text.
fn in_json(option: Option<&str>, variable: Option<&str>) -> Result<bool, Refusal> {
    let (name, wanted) = match (option, variable) {
        (Some(wanted), _) => ("--log-format", wanted),
        (None, Some(wanted)) => ("DISPATCH_LOG_FORMAT", wanted),
        (None, None) => return Ok(false),
    };
    match wanted {
        "json" => Ok(true),
        "text" => Ok(false),
        other => {
            Err(Refusal::usage(format!("`{name}` is `{other}`; a log is written as `text` or as `json`")))
        }
    }
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

#[cfg(test)]
mod tests {
    use super::{filter, in_json};

    #[test]
    fn a_level_that_does_not_exist_is_refused_with_what_there_is() {
        for holds in
            ["info", "WARN", "off", "warn,storage-sqlite=debug", "a::b=trace, error", "a[b]=info", "5"]
        {
            assert!(filter(holds).is_ok(), "{holds}");
        }
        for (wrong, said) in [
            (
                "nonsense",
                "`nonsense` is no level; it takes off, error, warn, info, debug, trace, or TARGET=LEVEL",
            ),
            ("debgu", "did you mean `debug`?"),
            ("warn,cli=verbose", "`verbose` is no level"),
            ("storage-sqlite", "`storage-sqlite` is no level"),
            ("a[b=info", "`DISPATCH_LOG` is `a[b=info`"),
        ] {
            let message = filter(wrong).map(|filter| filter.to_string()).unwrap_err().message;
            assert!(message.contains(said), "{wrong}: {message}");
        }
    }

    #[test]
    fn the_option_comes_before_the_variable_and_a_third_form_is_refused() {
        assert_eq!(in_json(None, None).ok(), Some(false));
        assert_eq!(in_json(None, Some("json")).ok(), Some(true));
        assert_eq!(in_json(Some("text"), Some("json")).ok(), Some(false));
        assert!(in_json(Some("yaml"), None).unwrap_err().message.contains("`--log-format` is `yaml`"));
    }
}
