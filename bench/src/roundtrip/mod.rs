//! How long a call to an owner takes, from the caller's side: the way there, a job that adds to the state, and
//! the way back.
//!
//! | file | idea |
//! | --- | --- |
//! | `cases.rs` | where the threads stand |
//! | `callers.rs` | calls by one thread or by several, each timed |
//! | `inline.rs` | calls from inside a job of the same owner |
//! | `latency.rs` | what a round's times amount to |

mod callers;
mod cases;
mod inline;
mod latency;

use std::error::Error;
use std::time::Duration;

use clap::Args;
use indicatif::ProgressBar;

use crate::owners::{Subject, rounds};
use crate::rows::Results;
use crate::table::OURS;
use cases::Case;

#[derive(Args)]
pub struct Asked {
    /// Only this case, such as `own cores`; can be given several times
    #[arg(long = "case", value_name = "CASE")]
    cases: Vec<Case>,

    /// Only this subject, such as flume; can be given several times
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

/// Measures every subject in every case, each case in a process of its own.
pub fn all(asked: &Asked) -> Results {
    let cases = if asked.cases.is_empty() { Case::ALL.to_vec() } else { asked.cases.clone() };
    let subjects = if asked.subjects.is_empty() { Subject::all().collect() } else { asked.subjects.clone() };
    let mut results = Results::of("roundtrip");
    let spinner = ProgressBar::new_spinner();
    spinner.enable_steady_tick(Duration::from_millis(500));
    for case in cases {
        spinner.set_message(case.to_string());
        // From inside a job of the same owner the peers' calls would wait for themselves.
        let takes_part = |subject: &&Subject| case != Case::Inline || subject.name == OURS;
        let subjects: Vec<_> = subjects.iter().filter(takes_part).copied().collect();
        if subjects.is_empty() {
            continue;
        }
        let measured = rounds::from_child("roundtrip", &case.to_string(), &subjects);
        for (subject, rounds) in subjects.iter().filter_map(|subject| measured.get_key_value(subject.name)) {
            results.add(&case.to_string(), subject, rounds);
        }
        results.remarks.insert(case.to_string(), case.remark().to_owned());
    }
    spinner.finish_and_clear();
    results
}

/// Makes the rounds of one case in this process, which the parent has started for it.
pub fn one(trial: &Trial) -> Result<(), Box<dyn Error>> {
    match trial.case {
        case @ Case::Inline => inline::measure(case.rounds()),
        case => callers::measure(case, &trial.subjects, case.rounds()),
    }
}
