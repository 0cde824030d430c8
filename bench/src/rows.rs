//! What a bench found, as rows, and as JSON.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

/// Everything that one bench found.
#[derive(Serialize)]
pub struct Results {
    pub bench: &'static str,
    pub rows: Vec<Row>,
    /// What a reader of the table should know of a case, by case.
    #[serde(skip)]
    pub remarks: BTreeMap<String, String>,
}

/// One number: a subject's metric in a case.
#[derive(Serialize)]
pub struct Row {
    pub case: String,
    pub subject: String,
    pub metric: String,
    #[serde(serialize_with = "whole_if_it_is")]
    pub value: f64,
}

/// The metrics of one measurement, by name. A metric that nobody knows is left out.
pub type Metrics = BTreeMap<String, f64>;

impl Results {
    pub fn of(bench: &'static str) -> Self {
        Self { bench, rows: Vec::new(), remarks: BTreeMap::new() }
    }

    /// Adds, for one subject in one case, the median of each metric over the rounds.
    pub fn add(&mut self, case: &str, subject: &str, rounds: &[Metrics]) {
        let mut values = BTreeMap::<&str, Vec<f64>>::new();
        for (metric, value) in rounds.iter().flatten() {
            values.entry(metric).or_default().push(*value);
        }
        self.rows.extend(values.into_iter().map(|(metric, values)| Row {
            case: case.to_owned(),
            subject: subject.to_owned(),
            metric: metric.to_owned(),
            value: median(values),
        }));
    }
}

/// The value in the middle; of an even number of values the lower one of the two, so that it is one that was
/// measured.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[(values.len() - 1) / 2]
}

/// A count is written as `34650`, not as `34650.0`.
fn whole_if_it_is<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    if value.fract() == 0.0 && (0.0..1e15).contains(value) {
        serializer.serialize_u64(*value as u64)
    } else {
        serializer.serialize_f64(*value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_the_median_of_the_rounds() {
        let rounds = [3.0, 1.0, 2.5].map(|value| Metrics::from([("seconds".to_owned(), value)]));
        let mut results = Results::of("explore");
        results.add("3,3", "impasse", &rounds);
        assert_eq!(results.rows.len(), 1);
        assert_eq!(results.rows[0].value, 2.5);
    }

    #[test]
    fn counts_are_whole_numbers_in_json() {
        let rounds = [Metrics::from([("executions".to_owned(), 34_650.0), ("seconds".to_owned(), 0.5)])];
        let mut results = Results::of("explore");
        results.add("3,3", "impasse", &rounds);
        let expected = concat!(
            r#"{"bench":"explore","rows":["#,
            r#"{"case":"3,3","subject":"impasse","metric":"executions","value":34650},"#,
            r#"{"case":"3,3","subject":"impasse","metric":"seconds","value":0.5}]}"#
        );
        assert_eq!(serde_json::to_string(&results).unwrap(), expected);
    }
}
