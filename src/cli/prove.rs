//! `impasse prove`: every interleaving of the protocol, under every policy.

use std::fmt::Write as _;
use std::io::Write as _;

use serde_json::{Value, json};

use super::args::{Format, Prove};
use super::outcome::{DEADLOCK, DONE};
use super::protocol::{Configuration, Size};
use super::run::open;
use crate::WaitOnOwner;
use crate::explore::{Explorer, Report};

/// One line of the table.
struct Row {
    configuration: Configuration,
    size: Size,
    report: Report,
}

impl Row {
    fn prove(configuration: Configuration, size: Size, workers: usize) -> Self {
        let body = configuration.body(size);
        let explorer = Explorer::builder().workers(workers).keep_going(true).allow_deadlock_errors(true);
        Self { configuration, size, report: explorer.explore(body) }
    }

    /// What is not as expected, in words.
    fn surprise(&self) -> Option<String> {
        let Self { configuration, size, report } = self;
        let expected = configuration.expected();
        if report.verdict() != expected {
            return Some(format!("expected {expected}: {report}"));
        }
        let (executions, deadlocked) = (report.executions(), report.deadlocked());
        let all = if configuration.deadlocks() { executions } else { 0 };
        if deadlocked != all {
            return Some(format!("deadlocks in {deadlocked} executions, expected {all}"));
        }
        let classes = configuration.classes(*size).filter(|classes| *classes != report.classes());
        classes.map(|classes| format!("{} classes, expected {classes}", report.classes()))
    }

    fn json(&self) -> Value {
        let Self { configuration, size, report } = self;
        json!({
            "configuration": configuration.name(),
            "policy": configuration.policy().name(),
            "sessions": size.sessions,
            "callbacks": size.callbacks,
            "jobs_per_session": configuration.jobs(*size),
            "verdict": report.verdict().to_string(),
            "expected": configuration.expected().to_string(),
            "executions": report.executions(),
            "classes": configuration.classes(*size),
            "redundant": report.redundant(),
            "deadlocked": report.deadlocked(),
            "seconds": report.time().as_secs_f64(),
        })
    }

    fn text(&self) -> String {
        let Self { configuration, size, report } = self;
        let classes = configuration.classes(*size).map_or_else(|| "-".into(), |classes| classes.to_string());
        let says = match configuration {
            Configuration::OwnerRun(WaitOnOwner::Block) => "the bug",
            Configuration::OwnerRun(WaitOnOwner::Detect) => "reported and survived",
            _ => "",
        };
        let note = match report.deadlocked() {
            0 => String::new(),
            some => format!("{says}: deadlocks in {some} of {} executions", report.executions()),
        };
        format!(
            "{:13}  {:6}  {} x {}  {:9}  {:>10}  {classes:>10}  {:>9}  {:>7.3}s  {note}",
            configuration.name(),
            configuration.policy().name(),
            size.sessions,
            size.callbacks,
            report.verdict(),
            report.executions(),
            report.redundant(),
            report.time().as_secs_f64(),
        )
    }
}

/// Proves and reports. Returns the exit code.
///
/// # Errors
///
/// What is wrong with the arguments, as text.
pub(super) fn prove(asked: &Prove) -> Result<u8, String> {
    let mut data = open(asked.output.as_deref())?;
    let mut rows = Vec::new();
    let mut text = format!(
        "{:13}  {:6}  {:5}  {:9}  {:>10}  {:>10}  {:>9}  {:>8}\n",
        "configuration", "policy", "S x K", "verdict", "executions", "classes", "redundant", "time"
    );
    for configuration in Configuration::ALL {
        for sessions in 1..=asked.sessions.into() {
            for callbacks in 1..=asked.callbacks.into() {
                let row = Row::prove(configuration, Size { sessions, callbacks }, asked.workers.into());
                let _ = writeln!(text, "{}", row.text().trim_end());
                rows.push(row);
            }
        }
    }
    let surprises: Vec<_> = rows.iter().filter_map(|row| Some((row, row.surprise()?))).collect();
    let ok = surprises.is_empty();
    for (row, surprise) in &surprises {
        eprintln!("not as expected: {}\n{surprise}", row.text().trim_end());
    }
    let _ = match ok {
        true => writeln!(text, "every verdict is the expected one"),
        false => writeln!(text, "{} of {} rows are not as expected", surprises.len(), rows.len()),
    };
    let written = match asked.format {
        Format::Text => write!(data, "{text}"),
        Format::Json => {
            let rows: Vec<_> = rows.iter().map(Row::json).collect();
            writeln!(data, "{}", json!({ "schema": "impasse.prove/1", "ok": ok, "rows": rows }))
        }
    };
    written.and_then(|()| data.flush()).map_err(|error| format!("the output cannot be written: {error}"))?;
    Ok(if ok { DONE } else { DEADLOCK })
}
