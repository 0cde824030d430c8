//! What a lock costs, and how soon a deadlock is told.
//!
//! | file | idea |
//! | --- | --- |
//! | `cases.rs` | what is measured |
//! | `subjects.rs` | our locks and the peers' |
//! | `speed.rs` | nanoseconds for taking a lock and giving it back |
//! | `detect.rs` | from the wait that completes a deadlock to the report |

mod cases;
mod detect;
mod speed;
mod subjects;

use std::error::Error;
use std::time::Duration;

use clap::Args;
use indicatif::ProgressBar;

use crate::child::{self, End};
use crate::rows::{Metrics, Results};
use cases::Case;
use subjects::Subject;

/// Odd, so that a median is a round.
const ROUNDS: usize = 15;

/// A detector that finds nothing leaves the program hanging.
const LIMIT: Duration = Duration::from_secs(20);

/// The rounds of each subject.
type Rounds = std::collections::BTreeMap<String, Vec<Metrics>>;

#[derive(Args)]
pub struct Asked {
    /// Only this case, such as `contended 2`; can be given several times
    #[arg(long = "case", value_name = "CASE")]
    cases: Vec<Case>,

    /// Only this subject, such as parking_lot; can be given several times
    #[arg(long = "subject", value_name = "NAME")]
    subjects: Vec<Subject>,
}

/// Every round of one case.
#[derive(Args)]
pub struct Trial {
    case: Case,
    #[arg(required = true)]
    subjects: Vec<Subject>,
}

/// Measures every subject in every case.
pub fn all(asked: &Asked) -> Results {
    let cases = if asked.cases.is_empty() { Case::ALL.to_vec() } else { asked.cases.clone() };
    let subjects = if asked.subjects.is_empty() { Subject::ALL.to_vec() } else { asked.subjects.clone() };
    let mut results = Results::of("locks");
    let spinner = ProgressBar::new_spinner();
    spinner.enable_steady_tick(Duration::from_millis(500));
    for case in cases {
        spinner.set_message(case.to_string());
        // Who may hang is alone.
        let (alone, together): (Vec<_>, Vec<_>) =
            subjects.iter().partition(|subject| case.is_detection() || subject.may_hang());
        let mut measured = if together.is_empty() { Rounds::new() } else { from_child(case, &together) };
        measured.extend(alone.into_iter().flat_map(|subject| from_child(case, &[subject])));
        for (subject, rounds) in subjects.iter().filter_map(|subject| measured.get_key_value(subject.name()))
        {
            results.add(&case.to_string(), subject, rounds);
        }
        results.remarks.insert(case.to_string(), case.remark());
    }
    spinner.finish_and_clear();
    results
}

fn from_child(case: Case, subjects: &[Subject]) -> Rounds {
    let mut arguments = vec!["one".to_owned(), "locks".to_owned(), case.to_string()];
    arguments.extend(subjects.iter().map(|subject| subject.name().to_owned()));
    match child::measure(&arguments, LIMIT) {
        Ok((End::Done, rounds)) => rounds,
        // It hangs, and says nothing.
        Ok((End::Killed, _)) if subjects.len() == 1 => {
            let nothing = vec![Metrics::from([("finished".to_owned(), 0.0)])];
            Rounds::from([(subjects[0].name().to_owned(), nothing)])
        }
        Ok((End::Killed, rounds)) => {
            eprintln!("error: locks {case}: not done within {} s", LIMIT.as_secs());
            rounds
        }
        Err(error) => {
            eprintln!("error: {error}");
            Rounds::new()
        }
    }
}

/// Makes the measurements in this process, which the parent has started for them.
pub fn one(trial: &Trial) -> Result<(), Box<dyn Error>> {
    let mut measured = Rounds::new();
    let mut subjects = trial.subjects.clone();
    for _ in 0..if trial.case.is_detection() { 1 } else { ROUNDS } {
        for subject in &subjects {
            if let Some(metrics) = subject.measure(trial.case) {
                measured.entry(subject.name().to_owned()).or_default().push(metrics);
            }
        }
        subjects.rotate_left(1);
    }
    child::report(&measured)?;
    Ok(())
}
