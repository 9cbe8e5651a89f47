//! What a bench says: figures, each beside a baseline of the same run and a goal; and the arithmetic behind them.
//!
//! It must not know how anything is measured. `cargo house bench` reads figures as lines of JSON from processes that
//! measure, and shows them; a goal that is missed fails nothing.

mod samples;

pub use samples::{Samples, growth};

use serde::{Deserialize, Serialize};

/// One bench: a process of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bench {
    /// What it is called by, on the command line and in its process.
    pub name: &'static str,
    /// What it measures.
    pub summary: &'static str,
}

/// Every bench, in the order in which they run.
pub const BENCHES: &[Bench] = &[
    Bench { name: "waist", summary: "calls, frames and filter points over real libraries" },
    Bench { name: "history", summary: "a history of 1 MB from the store to the provider" },
    Bench { name: "boot", summary: "loading and starting the default build, memory of an instance" },
    Bench { name: "bare", summary: "what the served host is compared with: model, floor, client, disk" },
    Bench { name: "once", summary: "`dispatch --version` and `dispatch run`, whole processes" },
    Bench { name: "idle", summary: "memory of `dispatch serve`, and of a conversation that rests" },
    Bench {
        name: "turns",
        summary: "warm durable turns one after another: time, CPU, flushes; turns with a tool",
    },
    Bench { name: "long", summary: "a conversation of 201 turns, and one of 1 MB" },
    Bench { name: "many", summary: "200 turns at once, each of 200 deltas 10 ms apart" },
    Bench { name: "flood", summary: "a turn of 20,000 deltas as fast as the model can" },
    Bench { name: "accept", summary: "durable turns accepted a second, 64 clients" },
];

/// One measured value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// What was measured.
    pub what: String,
    /// How much.
    pub value: f64,
    /// Of what: `µs`, `ms`, `MB`, `1/s`, or empty for a bare number.
    pub unit: String,
    /// The same of something bare, measured in the same run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Baseline>,
    /// What it should be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub goal: Option<Goal>,
    /// What a reader must know to read it right.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

/// What a figure is compared with; in the figure's unit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// What was measured.
    pub what: String,
    /// How much.
    pub value: f64,
}

/// What a figure should be.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    /// The value is at most this.
    AtMost(f64),
    /// The value is at least this.
    AtLeast(f64),
    /// The value is at most so many times the baseline.
    TimesAtMost(f64),
    /// The value is at least so many times the baseline.
    TimesAtLeast(f64),
}

impl Figure {
    /// A value without a baseline and without a goal.
    pub fn new(what: &str, value: f64, unit: &str) -> Self {
        Self {
            what: what.to_owned(),
            value,
            unit: unit.to_owned(),
            baseline: None,
            goal: None,
            note: String::new(),
        }
    }

    /// Beside what it stands.
    #[must_use]
    pub fn beside(mut self, what: &str, value: f64) -> Self {
        self.baseline = Some(Baseline { what: what.to_owned(), value });
        self
    }

    /// What it should be.
    #[must_use]
    pub fn goal(mut self, goal: Goal) -> Self {
        self.goal = Some(goal);
        self
    }

    /// What a reader must know.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    /// How many times the baseline it is; `None` = there is none, or it is nothing.
    pub fn ratio(&self) -> Option<f64> {
        let baseline = self.baseline.as_ref()?.value;
        (baseline > 0.0).then(|| self.value / baseline)
    }

    /// Whether the goal is reached; `None` = there is none, or nothing to compare with.
    pub fn reached(&self) -> Option<bool> {
        match self.goal? {
            Goal::AtMost(most) => Some(self.value <= most),
            Goal::AtLeast(least) => Some(self.value >= least),
            Goal::TimesAtMost(most) => Some(self.ratio()? <= most),
            Goal::TimesAtLeast(least) => Some(self.ratio()? >= least),
        }
    }

    /// The columns of its line: what, value, baseline, ratio, goal, verdict.
    pub fn columns(&self) -> [String; 6] {
        let value = format!("{} {}", short(self.value), self.unit);
        let baseline = self.baseline.as_ref();
        let baseline = baseline.map_or(String::new(), |baseline| {
            format!("{} {} ({})", short(baseline.value), self.unit, baseline.what)
        });
        let ratio = self.ratio().map_or(String::new(), |ratio| format!("{} ×", short(ratio)));
        let goal = match self.goal {
            None => String::new(),
            Some(Goal::AtMost(most)) => format!("≤ {} {}", short(most), self.unit),
            Some(Goal::AtLeast(least)) => format!("≥ {} {}", short(least), self.unit),
            Some(Goal::TimesAtMost(most)) => format!("≤ {} ×", short(most)),
            Some(Goal::TimesAtLeast(least)) => format!("≥ {} ×", short(least)),
        };
        let verdict = match self.reached() {
            None => "",
            Some(true) => "reached",
            Some(false) => "missed",
        };
        [self.what.clone(), value, baseline, ratio, goal, verdict.to_owned()]
            .map(|column| column.trim_end().to_owned())
    }
}

/// A number with three digits that count, without an exponent.
pub fn short(value: f64) -> String {
    let size = value.abs();
    if size >= 1000.0 {
        let whole = format!("{value:.0}");
        let (sign, digits) = whole.strip_prefix('-').map_or(("", whole.as_str()), |digits| ("-", digits));
        let groups: Vec<&str> = digits
            .as_bytes()
            .rchunks(3)
            .rev()
            .map(|group| std::str::from_utf8(group).expect("digits"))
            .collect();
        return format!("{sign}{}", groups.join(","));
    }
    let decimals = match size {
        _ if size >= 100.0 || size == 0.0 => 0,
        _ if size >= 10.0 => 1,
        _ if size >= 0.1 => 2,
        _ => 4,
    };
    let text = format!("{value:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_about_the_value_or_about_the_ratio() {
        let figure = |value, goal| Figure::new("w", value, "ms").beside("b", 2.0).goal(goal).reached();
        assert_eq!(figure(5.0, Goal::AtMost(5.0)), Some(true));
        assert_eq!(figure(5.1, Goal::AtMost(5.0)), Some(false));
        assert_eq!(figure(5.0, Goal::AtLeast(5.0)), Some(true));
        assert_eq!(figure(4.9, Goal::AtLeast(5.0)), Some(false));
        assert_eq!(figure(10.0, Goal::TimesAtMost(5.0)), Some(true));
        assert_eq!(figure(10.2, Goal::TimesAtMost(5.0)), Some(false));
        assert_eq!(figure(0.4, Goal::TimesAtLeast(0.2)), Some(true));
        assert_eq!(figure(0.3, Goal::TimesAtLeast(0.2)), Some(false));
    }

    #[test]
    fn without_something_to_compare_with_there_is_no_verdict() {
        let bare = Figure::new("w", 1.0, "ms");
        assert_eq!((bare.ratio(), bare.reached()), (None, None));
        assert_eq!(bare.clone().goal(Goal::TimesAtMost(1.0)).reached(), None);
        assert_eq!(bare.beside("b", 0.0).goal(Goal::TimesAtMost(1.0)).reached(), None);
    }

    #[test]
    fn a_figure_is_one_line_of_columns_and_comes_through_json_whole() {
        let figure =
            Figure::new("turn", 1234.5, "µs").beside("bare", 500.0).goal(Goal::TimesAtMost(2.0)).note("n");
        let columns = ["turn", "1,234 µs", "500 µs (bare)", "2.47 ×", "≤ 2 ×", "missed"];
        assert_eq!(figure.columns(), columns.map(str::to_owned));
        let json = serde_json::to_string(&figure).expect("plain");
        assert_eq!(serde_json::from_str::<Figure>(&json).expect("plain"), figure);
    }

    #[test]
    fn numbers_keep_three_digits() {
        let all = [0.0, 0.004_25, 0.5, 1.026, 12.34, 123.4, 1999.6, 1_234_567.0, -1500.0];
        let shown = ["0", "0.0043", "0.5", "1.03", "12.3", "123", "2,000", "1,234,567", "-1,500"];
        assert_eq!(all.map(short), shown.map(str::to_owned));
    }

    #[test]
    fn every_bench_has_a_name_of_its_own_and_says_what_it_measures() {
        for (idx, bench) in BENCHES.iter().enumerate() {
            let plain = bench.name.chars().all(|c| c.is_ascii_lowercase() || c == '-');
            assert!(plain && !bench.name.is_empty() && !bench.summary.is_empty(), "{bench:?}");
            assert!(BENCHES[..idx].iter().all(|other| other.name != bench.name), "{bench:?}");
        }
    }
}
