//! Times and amounts in words. It must not know what they are of.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// `350 ms`, `1.2 s`, `12 s`, `3 min 5 s`, `2 hours 10 min`.
pub(crate) fn duration(ms: u64) -> String {
    let s = ms / 1000;
    match s {
        0 => format!("{ms} ms"),
        1..10 if !ms.is_multiple_of(1000) => format!("{s}.{} s", ms % 1000 / 100),
        1..60 => format!("{s} s"),
        60..3600 => format!("{} min {} s", s / 60, s % 60),
        3600..7200 => format!("1 hour {} min", s % 3600 / 60),
        _ => format!("{} hours {} min", s / 3600, s % 3600 / 60),
    }
}

/// The clock's time here at `at` (unix ms), with the day when it is not the one of `now`.
pub(crate) fn clock_time(at: u64, now: u64) -> String {
    let zoned = |ms: u64| {
        let ms = i64::try_from(ms).unwrap_or(i64::MAX);
        Timestamp::from_millisecond(ms).ok().map(|at| at.to_zoned(TimeZone::system()))
    };
    match (zoned(at), zoned(now)) {
        (Some(at), Some(now)) if at.date() == now.date() => at.strftime("%H:%M:%S").to_string(),
        (Some(at), _) => at.strftime("%Y-%m-%d %H:%M").to_string(),
        (None, _) => format!("{at} ms after 1970"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_the_two_units_that_matter() {
        for (ms, words) in [
            (0, "0 ms"),
            (999, "999 ms"),
            (1_000, "1 s"),
            (1_250, "1.2 s"),
            (59_999, "59 s"),
            (185_000, "3 min 5 s"),
            (3_600_000, "1 hour 0 min"),
            (7_800_000, "2 hours 10 min"),
        ] {
            assert_eq!(duration(ms), words);
        }
    }

    #[test]
    fn another_day_is_named() {
        let now = 1_800_000_000_000;
        assert_eq!(clock_time(now, now).len(), "14:03:05".len());
        assert!(clock_time(now + 3 * 86_400_000, now).starts_with("2027-01-1"));
        assert_eq!(clock_time(u64::MAX, now), format!("{} ms after 1970", u64::MAX));
    }
}
