//! The owner protocol under every interleaving, in our explorer and in other model checkers.
//!
//! | file | idea |
//! | --- | --- |
//! | `cases.rs` | the protocol's sizes, how many orders each has, and the bug that needs one of them |
//! | `subjects.rs` | who is measured |
//! | `search.rs` | an exploration, watched by the child process it runs in |
//! | `channels.rs` | the protocol over the channels of a library that mirrors `std` |
//! | `ours.rs`, `loom.rs`, `shuttle.rs`, `traceforge.rs` | the subjects |

mod cases;
mod channels;
mod loom;
mod ours;
mod search;
mod shuttle;
mod subjects;
mod traceforge;

use std::error::Error;
use std::time::{Duration, Instant};

use clap::Args;
use indicatif::ProgressBar;

use crate::child::{self, End};
use crate::rows::{Metrics, Results};
use cases::Case;
use search::Outcome;
use subjects::{BUDGET, Subject};

/// How often a subject is measured in a case: a median needs some, and where a seed decides, many. Odd, so that
/// a median is a round.
const ROUNDS: usize = 5;
const ROUNDS_BY_SEED: usize = 31;

/// A subject whose first round took longer than this has no other in that case: for the sake of the whole.
const LONG: Duration = Duration::from_secs(5);

#[derive(Args)]
pub struct Asked {
    /// Seconds after which a measurement is given up
    #[arg(long, value_name = "SECONDS", default_value_t = 20)]
    limit: u64,

    /// Only this case, such as 3,3 or `rare 3,3`; can be given several times
    #[arg(long = "case", value_name = "CASE")]
    cases: Vec<Case>,

    /// Only this subject, such as loom; can be given several times
    #[arg(long = "subject", value_name = "NAME")]
    subjects: Vec<Subject>,
}

/// One measurement.
#[derive(Args)]
pub struct Trial {
    subject: Subject,
    case: Case,
    seed: u64,
}

/// Measures every subject in every case, each time in a process of its own. The rounds of a case are
/// interleaved, so that a busy minute of the machine is shared by all.
pub fn all(asked: &Asked) -> Results {
    let cases = if asked.cases.is_empty() { Case::ALL.to_vec() } else { asked.cases.clone() };
    let subjects = if asked.subjects.is_empty() { Subject::all().collect() } else { asked.subjects.clone() };
    let mut results = Results::of("explore");
    let spinner = ProgressBar::new_spinner();
    spinner.enable_steady_tick(Duration::from_millis(500));
    for case in cases {
        let mut measured: Vec<_> = subjects.iter().map(|subject| Measured::new(*subject, case)).collect();
        for round in 1..=ROUNDS_BY_SEED {
            for subject in measured.iter_mut().filter(|subject| subject.rounds_wanted >= round) {
                spinner.set_message(format!("{case}: {}, round {round}", subject.subject));
                subject.measure(case, round, Duration::from_secs(asked.limit));
            }
        }
        for Measured { subject, rounds, .. } in measured {
            results.add(&case.to_string(), subject.name, &rounds);
        }
        results.remarks.insert(case.to_string(), remark(case));
    }
    spinner.finish_and_clear();
    results
}

/// Makes one measurement in this process, which the parent has started for it.
pub fn one(trial: Trial) -> Result<(), Box<dyn Error>> {
    let Trial { subject, case, seed } = trial;
    let sought = if case.rare { Outcome::Found } else { Outcome::Exhausted };
    search::watch(sought, move |search| (subject.explore)(case, seed, search))
}

/// The rounds of one subject in one case.
struct Measured {
    subject: Subject,
    rounds_wanted: usize,
    rounds: Vec<Metrics>,
}

impl Measured {
    fn new(subject: Subject, case: Case) -> Self {
        let rounds_wanted = match (case.rare, subject.draws) {
            (true, true) => ROUNDS_BY_SEED,
            _ => ROUNDS,
        };
        Self { subject, rounds_wanted, rounds: Vec::new() }
    }

    fn measure(&mut self, case: Case, round: usize, limit: Duration) {
        let began = Instant::now();
        // The round is the seed.
        let arguments = ["one", "explore", self.subject.name, &case.to_string(), &round.to_string()];
        let (end, mut metrics) =
            child::measure(&arguments.map(str::to_owned), limit).unwrap_or_else(|error| {
                // One that falls over has not finished, and takes nobody's figures with it.
                eprintln!("error: {error}");
                (End::Killed, Metrics::new())
            });
        metrics.entry("finished".to_owned()).or_insert(0.0);
        self.rounds.push(metrics);
        // Only the first round decides. To stop at a slow one would select by what is measured, and leave an
        // even number of rounds, whose medians of time and pace are of different rounds.
        if round == 1 && (matches!(end, End::Killed) || began.elapsed() > LONG) {
            self.rounds_wanted = 1;
        }
    }
}

fn remark(case: Case) -> String {
    if case.rare {
        "executions until an order with the bug is met".to_owned()
    } else {
        format!("distinct orders: {}; a strategy that draws stops after {BUDGET} executions", case.orders())
    }
}
