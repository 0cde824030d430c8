//! Results as tables, one for each case, with each peer's ratio to ours.

use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{CellAlignment, Table};

use crate::rows::{Results, Row};

/// The subject that the others are compared with.
pub const OURS: &str = "impasse";

/// Says whether the measurement came to its end: not a column, but a mark at the other figures.
const FINISHED: &str = "finished";

/// The tables, in Markdown.
pub fn render(results: &Results) -> String {
    let tables = distinct(&results.rows, |row| &row.case).into_iter().map(|case| {
        let rows: Vec<_> = results.rows.iter().filter(|row| row.case == case).collect();
        let remark = results.remarks.get(case).map(|remark| format!(" ({remark})")).unwrap_or_default();
        format!("{} {case}{remark}\n\n{}", results.bench, table(&rows))
    });
    tables.collect::<Vec<_>>().join("\n\n")
}

fn table(rows: &[&Row]) -> Table {
    let mut metrics = distinct(rows.iter().copied(), |row| &row.metric);
    metrics.retain(|metric| *metric != FINISHED);
    let figure = |subject: &str, metric: &str| {
        rows.iter().find(|row| row.subject == subject && row.metric == metric).map(|row| row.value)
    };
    // Some benches give up what takes too long. In the tables of the others there is nothing to mark.
    let marked = rows.iter().any(|row| row.metric == FINISHED);
    let we_are_here = rows.iter().any(|row| row.subject == OURS);

    let mut table = Table::new();
    table.load_preset(ASCII_MARKDOWN);
    let mut header = vec!["subject".to_owned()];
    header.extend(marked.then(|| FINISHED.to_owned()));
    for metric in &metrics {
        header.push(metric.replace('_', " "));
        header.extend(we_are_here.then(|| "ratio".to_owned()));
    }
    table.set_header(header);
    for subject in distinct(rows.iter().copied(), |row| &row.subject) {
        let finished = figure(subject, FINISHED) != Some(0.0);
        let mut line = vec![subject.to_owned()];
        line.extend(marked.then(|| if finished { "yes" } else { "no" }.to_owned()));
        for metric in &metrics {
            let value = figure(subject, metric);
            // What grows with the time that a subject was given is a lower bound if it did not finish.
            let bound = if finished || metric.contains("_per_") { "" } else { "> " };
            line.push(value.map(|value| format!("{bound}{}", with_unit(metric, value))).unwrap_or_default());
            if we_are_here {
                let ratio = value.zip(figure(OURS, metric)).map(|(value, ours)| value / ours);
                line.push(ratio.map(|ratio| format!("{bound}{}", short(ratio))).unwrap_or_default());
            }
        }
        table.add_row(line);
    }
    for column in table.column_iter_mut().skip(1 + usize::from(marked)) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// The values of a column, each once, in the order of their first appearance.
fn distinct<'a>(rows: impl IntoIterator<Item = &'a Row>, column: fn(&'a Row) -> &'a String) -> Vec<&'a str> {
    let mut values = Vec::new();
    for row in rows {
        let value = column(row).as_str();
        if !values.contains(&value) {
            values.push(value);
        }
    }
    values
}

/// The unit follows from the metric's name.
fn with_unit(metric: &str, value: f64) -> String {
    let scaled = |scales: &[(f64, &str)]| {
        let (scale, unit) =
            scales.iter().find(|(scale, _)| value >= *scale).unwrap_or(&scales[scales.len() - 1]);
        format!("{} {unit}", short(value / scale))
    };
    if metric == "seconds" {
        scaled(&[(1.0, "s"), (1e-3, "ms"), (1e-6, "us")])
    } else if metric.ends_with("_ns") {
        scaled(&[(1e6, "ms"), (1e3, "us"), (1.0, "ns")])
    } else if metric.ends_with("_bytes") {
        scaled(&[(1e9, "GB"), (1e6, "MB"), (1e3, "kB")])
    } else {
        short(value)
    }
}

/// Three digits for what is small, whole thousands in groups for what is large.
fn short(value: f64) -> String {
    match value {
        v if v >= 100.0 => grouped(v.round() as u64),
        v if v.fract() == 0.0 => format!("{v:.0}"),
        v if v >= 10.0 => format!("{v:.1}"),
        v if v >= 0.1 => format!("{v:.2}"),
        v => format!("{v:.4}"),
    }
}

fn grouped(number: u64) -> String {
    if number < 1000 {
        number.to_string()
    } else {
        format!("{},{:03}", grouped(number / 1000), number % 1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results() -> Results {
        let mut results = Results::of("explore");
        for (subject, seconds, executions, finished) in
            [("impasse", 0.08, 34_650.0, 1.0), ("loom", 20.0, 4e5, 0.0)]
        {
            let metrics = [("seconds", seconds), ("executions", executions), ("finished", finished)];
            let metrics = metrics.map(|(name, value)| (name.to_owned(), value)).into();
            results.add("3,3", subject, &[metrics]);
        }
        results
    }

    #[test]
    fn a_peer_has_its_ratio_to_ours_and_a_bound_if_it_did_not_finish() {
        let text = render(&results());
        let loom: Vec<_> = text.lines().last().unwrap().split('|').map(str::trim).collect();
        assert_eq!(loom, ["", "loom", "no", "> 400,000", "> 11.5", "> 20 s", "> 250", ""]);
    }

    #[test]
    fn where_everything_finishes_no_column_says_so() {
        let mut results = Results::of("posts");
        for (subject, rate) in [("impasse", 8e6), ("flume", 4e6)] {
            results.add("1 producer 8", subject, &[[("per_second".to_owned(), rate)].into()]);
        }
        let text = render(&results);
        let flume: Vec<_> = text.lines().last().unwrap().split('|').map(str::trim).collect();
        assert_eq!(flume, ["", "flume", "4,000,000", "0.50", ""]);
    }

    #[test]
    fn units_follow_from_the_metric() {
        assert_eq!(with_unit("seconds", 0.0785), "78.5 ms");
        assert_eq!(with_unit("median_ns", 3_800.0), "3.80 us");
        assert_eq!(with_unit("peak_bytes", 2.5e6), "2.50 MB");
        assert_eq!(with_unit("per_second", 8_900_000.0), "8,900,000");
    }
}
