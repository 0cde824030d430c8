//! How many posts an owner takes in and runs, and what they and the owner weigh.
//!
//! | file | idea |
//! | --- | --- |
//! | `cases.rs` | how many producers, how large the posts, what is weighed |
//! | `rate.rs` | posts a second, from the first post to the end of the last job |
//! | `memory.rs` | bytes of the heap, for a post that is queued and for an owner that is idle |

mod cases;
mod memory;
mod rate;

use std::error::Error;
use std::io;
use std::time::Duration;

use clap::Args;
use indicatif::ProgressBar;

use crate::child;
use crate::owners::Subject;
use crate::owners::rounds::{self, Rounds};
use crate::rows::{Metrics, Results};
use cases::Case;

/// Odd, so that a median is a round.
const ROUNDS: usize = 41;

/// What is counted hardly differs from round to round.
const ROUNDS_OF_MEMORY: usize = 3;

#[derive(Args)]
pub struct Asked {
    /// Only this case, such as `4 producers 8`; can be given several times
    #[arg(long = "case", value_name = "CASE")]
    cases: Vec<Case>,

    /// Only this subject, such as flume; can be given several times
    #[arg(long = "subject", value_name = "NAME")]
    subjects: Vec<Subject>,
}

/// Every round of one case; if memory is counted, one round of one subject.
#[derive(Args)]
pub struct Trial {
    case: Case,
    #[arg(required = true)]
    subjects: Vec<Subject>,
}

/// Measures every subject in every case.
pub fn all(asked: &Asked) -> Results {
    let cases = if asked.cases.is_empty() { Case::ALL.to_vec() } else { asked.cases.clone() };
    let subjects = if asked.subjects.is_empty() { Subject::all().collect() } else { asked.subjects.clone() };
    let mut results = Results::of("posts");
    let spinner = ProgressBar::new_spinner();
    spinner.enable_steady_tick(Duration::from_millis(500));
    for case in cases {
        spinner.set_message(case.to_string());
        let measured = match case {
            Case::Rate { .. } => rounds::from_child("posts", &case.to_string(), &subjects),
            Case::Queued(_) | Case::Idle => alone(case, &subjects),
        };
        for (subject, rounds) in subjects.iter().filter_map(|subject| measured.get_key_value(subject.name)) {
            results.add(&case.to_string(), subject, rounds);
        }
        results.remarks.insert(case.to_string(), case.remark());
    }
    spinner.finish_and_clear();
    results
}

/// Each round of each subject in a process of its own: the heap that is counted is nobody else's, and nothing
/// is left from the round before.
fn alone(case: Case, subjects: &[Subject]) -> Rounds {
    let mut measured = Rounds::new();
    for _ in 0..ROUNDS_OF_MEMORY {
        for subject in subjects {
            for (name, rounds) in rounds::from_child("posts", &case.to_string(), &[*subject]) {
                measured.entry(name).or_default().extend(rounds);
            }
        }
    }
    measured
}

/// Makes the measurements in this process, which the parent has started for them.
pub fn one(trial: &Trial) -> Result<(), Box<dyn Error>> {
    let subjects = &trial.subjects;
    match trial.case {
        Case::Rate { producers, capture } => rate::measure(producers, capture, subjects, ROUNDS)?,
        Case::Queued(capture) => counted(subjects, |subject| memory::of_queued_posts(subject, capture))?,
        Case::Idle => counted(subjects, memory::of_idle_owners)?,
    }
    Ok(())
}

fn counted(subjects: &[Subject], measure: impl Fn(Subject) -> Metrics) -> io::Result<()> {
    let rounds = subjects.iter().map(|subject| (subject.name.to_owned(), vec![measure(*subject)]));
    child::report(&rounds.collect::<Rounds>())
}
