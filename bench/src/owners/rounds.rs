//! Rounds of several subjects, interleaved in one child process: they share the same minute of the machine, and
//! no other case's threads are about.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use super::owner::Driven;
use super::subjects::Subject;
use crate::child::{self, End};
use crate::rows::Metrics;

/// What was measured of each subject, round by round.
pub type Rounds = BTreeMap<String, Vec<Metrics>>;

/// Every case is over long before that, unless somebody's owner has lost a wake-up.
const LIMIT: Duration = Duration::from_secs(120);

/// In the parent: the rounds of these subjects in that case, from a child process. One that hangs leaves the
/// rounds that it came to.
pub fn from_child(bench: &str, case: &str, subjects: &[Subject]) -> Rounds {
    let mut arguments = vec!["one".to_owned(), bench.to_owned(), case.to_owned()];
    arguments.extend(subjects.iter().map(|subject| subject.name.to_owned()));
    match child::measure(&arguments, LIMIT) {
        Ok((End::Done, rounds)) => rounds,
        Ok((End::Killed, rounds)) => {
            eprintln!("error: {bench} {case}: not done within {} s", LIMIT.as_secs());
            rounds
        }
        Err(error) => {
            eprintln!("error: {error}");
            Rounds::new()
        }
    }
}

/// In the child: measures the owners in turns. Who comes first in one round is last in the next.
///
/// # Errors
///
/// The parent is gone.
pub fn interleaved(
    rounds: usize,
    mut owners: Vec<(Subject, Box<dyn Driven>)>,
    mut measure: impl FnMut(&dyn Driven) -> Metrics,
) -> io::Result<()> {
    let mut measured = Rounds::new();
    for _ in 0..rounds {
        for (subject, owner) in &owners {
            let metrics = measure(&**owner);
            measured.entry(subject.name.to_owned()).or_default().push(metrics);
        }
        child::report(&measured)?;
        owners.rotate_left(1);
    }
    Ok(())
}
