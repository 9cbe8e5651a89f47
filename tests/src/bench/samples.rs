//! Samples of one quantity, and what is said of them: percentiles, means, growth.
//!
//! It must not know what was measured.

/// Measured values, sorted.
#[derive(Debug, Clone, PartialEq)]
pub struct Samples(Vec<f64>);

impl Samples {
    /// Takes them in any order; what is not a number is left out.
    pub fn new(mut values: Vec<f64>) -> Self {
        values.retain(|value| !value.is_nan());
        values.sort_by(f64::total_cmp);
        Self(values)
    }

    /// How many there are.
    pub fn n(&self) -> usize {
        self.0.len()
    }

    /// The smallest sample that at least `percent` of all do not exceed (nearest rank); 0 without samples.
    pub fn percentile(&self, percent: f64) -> f64 {
        let rank = (percent / 100.0 * self.0.len() as f64).ceil() as usize;
        self.0.get(rank.clamp(1, self.0.len().max(1)) - 1).copied().unwrap_or(0.0)
    }

    /// The middle.
    pub fn p50(&self) -> f64 {
        self.percentile(50.0)
    }

    /// What one in a hundred exceeds.
    pub fn p99(&self) -> f64 {
        self.percentile(99.0)
    }

    /// The largest; 0 without samples.
    pub fn max(&self) -> f64 {
        self.0.last().copied().unwrap_or(0.0)
    }

    /// The smallest; 0 without samples.
    pub fn min(&self) -> f64 {
        self.0.first().copied().unwrap_or(0.0)
    }

    /// The sum by the number; 0 without samples.
    pub fn mean(&self) -> f64 {
        if self.0.is_empty() { 0.0 } else { self.0.iter().sum::<f64>() / self.0.len() as f64 }
    }
}

/// What each of `n` more costs, when `before` became `after`; never below nothing.
pub fn growth(before: f64, after: f64, n: usize) -> f64 {
    if n == 0 { 0.0 } else { ((after - before) / n as f64).max(0.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_samples_and_not_between_them() {
        let hundred = Samples::new((1..=100).rev().map(f64::from).collect());
        assert_eq!([hundred.min(), hundred.p50(), hundred.p99(), hundred.max()], [1.0, 50.0, 99.0, 100.0]);
        assert_eq!(hundred.percentile(99.1), 100.0);
        assert_eq!(hundred.percentile(0.0), 1.0);
        assert_eq!(Samples::new(vec![3.0]).p99(), 3.0);
        let three = Samples::new(vec![9.0, 1.0, 2.0]);
        assert_eq!((three.p50(), three.mean(), three.n()), (2.0, 4.0, 3));
    }

    #[test]
    fn nothing_measured_is_nothing_and_not_a_panic() {
        let none = Samples::new(vec![f64::NAN]);
        assert_eq!((none.n(), none.p50(), none.p99(), none.max(), none.mean()), (0, 0.0, 0.0, 0.0, 0.0));
    }

    #[test]
    fn growth_is_by_piece_and_never_negative() {
        assert_eq!(growth(10.0, 30.0, 4), 5.0);
        assert_eq!(growth(30.0, 10.0, 4), 0.0);
        assert_eq!(growth(10.0, 30.0, 0), 0.0);
    }
}
