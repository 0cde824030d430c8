//! What a round's times amount to.

use crate::rows::Metrics;

/// The median, the mean and the 99th percentile of some times in nanoseconds, of which there is at least one.
pub fn metrics(mut times: Vec<f64>) -> Metrics {
    times.sort_by(f64::total_cmp);
    // The smallest time that at least this share of the calls does not exceed.
    let not_exceeded_by = |percent: usize| times[(times.len() * percent).div_ceil(100).max(1) - 1];
    let mean = times.iter().sum::<f64>() / times.len() as f64;
    let metrics = [("median_ns", not_exceeded_by(50)), ("mean_ns", mean), ("p99_ns", not_exceeded_by(99))];
    metrics.map(|(name, value)| (name.to_owned(), value)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_times_that_were_measured() {
        let metrics = metrics((1..=200).rev().map(f64::from).collect());
        assert_eq!((metrics["median_ns"], metrics["mean_ns"], metrics["p99_ns"]), (100.0, 100.5, 198.0));
    }

    #[test]
    fn one_time_is_every_percentile() {
        let metrics = metrics(vec![7.0]);
        assert!(metrics.values().all(|value| *value == 7.0));
    }
}
