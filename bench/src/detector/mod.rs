//! What the detector costs a program that has no deadlock, how long it takes to find one, and what it keeps of what is
//! gone.
//!
//! | file | idea |
//! | --- | --- |
//! | `cases.rs` | what is measured |
//! | `stuck.rs` | deadlocks of many tasks |
//! | `growth.rs` | locks and threads that are gone |
//! | `undetected.rs` | the same program without a detector |

mod cases;
mod growth;
mod stuck;
mod undetected;

use std::collections::BTreeMap;
use std::env;
use std::error::Error;
use std::path::Path;
use std::time::Duration;

use clap::Args;
use indicatif::ProgressBar;

use crate::child::{self, End};
use crate::rows::{Metrics, Results};
use crate::table::OURS;
use cases::Case;

/// How often the two programs are measured in turn. Odd, so that a median is a round.
const TURNS: usize = 9;

/// A million threads take less than a minute.
const LIMIT: Duration = Duration::from_secs(300);

#[derive(Args)]
pub struct Asked {
    /// Only this case, such as `cycle 16`; can be given several times
    #[arg(long = "case", value_name = "CASE")]
    cases: Vec<Case>,
}

/// One case.
#[derive(Args)]
pub struct Trial {
    case: Case,
}

/// Measures every case, each in a process of its own.
///
/// # Errors
///
/// The program without a detector does not build, or a child fails.
pub fn all(asked: &Asked) -> Result<Results, Box<dyn Error>> {
    let cases = if asked.cases.is_empty() { Case::ALL.to_vec() } else { asked.cases.clone() };
    let mut results = Results::of("detector");
    let spinner = ProgressBar::new_spinner();
    spinner.enable_steady_tick(Duration::from_millis(500));
    for case in cases {
        spinner.set_message(case.to_string());
        match case {
            Case::Call(place) => calls(&mut results, case, place)?,
            _ => {
                let arguments = ["one", "detector", &case.to_string()].map(str::to_owned);
                let metrics = from_child(&env::current_exe()?, &arguments)?;
                results.add(&case.to_string(), OURS, &[metrics]);
            }
        }
        results.remarks.insert(case.to_string(), case.remark().to_owned());
    }
    spinner.finish_and_clear();
    Ok(results)
}

/// Both programs in turn, who comes first in one turn is last in the next.
fn calls(results: &mut Results, case: Case, place: &str) -> Result<(), Box<dyn Error>> {
    let arguments = ["one", "roundtrip", place, OURS].map(str::to_owned);
    let mut programs = [(OURS, env::current_exe()?), ("undetected", undetected::build()?)];
    let mut measured = BTreeMap::<_, Vec<_>>::new();
    for _ in 0..TURNS {
        for (name, program) in &programs {
            let rounds: BTreeMap<String, Vec<Metrics>> = from_child(program, &arguments)?;
            measured.entry(*name).or_default().extend(rounds.into_values().flatten());
        }
        programs.rotate_left(1);
    }
    for (name, rounds) in &measured {
        results.add(&case.to_string(), name, rounds);
    }
    Ok(())
}

fn from_child<R>(program: &Path, arguments: &[String]) -> Result<R, Box<dyn Error>>
where
    R: serde::de::DeserializeOwned + Default + Send + 'static,
{
    match child::measure_by(program, arguments, LIMIT)? {
        (End::Done, reported) => Ok(reported),
        (End::Killed, _) => {
            Err(format!("`{}`: not done in {} s", arguments.join(" "), LIMIT.as_secs()).into())
        }
    }
}

/// Measures one case in this process, which the parent has started for it.
pub fn one(trial: &Trial) -> Result<(), Box<dyn Error>> {
    let (metric, value) = match trial.case {
        Case::Call(_) => return Err("a call is measured by `one roundtrip`".into()),
        Case::Cycle(tasks) => ("median_ns", stuck::cycle(tasks).as_nanos() as f64),
        Case::Knot(tasks) => ("median_ns", stuck::knot(tasks).as_nanos() as f64),
        Case::Locks => ("grown_bytes", growth::locks() as f64),
        Case::Threads => ("grown_bytes", growth::threads() as f64),
    };
    child::report(&Metrics::from([(metric.to_owned(), value)]))?;
    Ok(())
}
