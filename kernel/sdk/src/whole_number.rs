//! Whole numbers as models write them: JSON Schema calls `20.0` an integer, and so do some models.

use serde_json::Number;

/// The number, if it is whole and at least 0, however it is written; none where a float holds it only by rounding.
pub fn whole_number(number: &Number) -> Option<u64> {
    /// Below it every whole number has a float of its own.
    const FLOAT_MAX: f64 = 9_007_199_254_740_992.0;
    let float = || number.as_f64().filter(|float| float.fract() == 0.0 && (0.0..FLOAT_MAX).contains(float));
    number.as_u64().or_else(|| float().map(|float| float as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_number_is_one_however_it_is_written() {
        let read = |text: &str| whole_number(&serde_json::from_str(text).unwrap());
        assert_eq!(
            ["0", "20", "20.0", "2e1", "-0.0"].map(read),
            [Some(0), Some(20), Some(20), Some(20), Some(0)]
        );
        assert_eq!(read("18446744073709551615"), Some(u64::MAX));
        assert_eq!(["-1", "-1.0", "0.5", "1e16", "1e300"].map(read), [None; 5]);
    }
}
