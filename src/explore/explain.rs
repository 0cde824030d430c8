//! A counterexample, played again with fewer switches while it still fails, and told.

use std::sync::Arc;

use super::execution::{Execution, Outcome};
use super::exploration::{Exploration, Found};
use super::names;
use super::report::{Counterexample, Failure, Report, Verdict};
use super::schedule::{Follow, Played, Schedule, Told};
use super::search::{Move, Parted};
use super::supervise::{self, Progress};

/// How many executions are spent on making a counterexample simpler.
const PATIENCE: usize = 500;
/// A story longer than this is not told from its beginning.
const LONGEST_STORY: usize = 60;

/// Makes what was found as simple as it gets, and tells how it came about.
pub(super) fn explain(exploration: &Arc<Exploration>, found: Found) -> Counterexample {
    let Found { failure, played, by } = found;
    let objects = exploration.names.known();
    let retold = match failure {
        Failure::Parted(_) | Failure::OutOfSight(..) | Failure::Endless(..) => None,
        _ => {
            let (this, verdict, steps) = (exploration.clone(), failure.verdict(), played.steps.clone());
            let simplify = move |_, execution: Execution| simplify(&this, &execution, verdict, steps.clone());
            supervise::threads(exploration, 1, Progress::default(), simplify).ok()
        }
    };
    match retold.into_iter().flatten().flatten().next() {
        Some((failure, played, story)) => Counterexample {
            failure,
            schedule: Schedule::of(played, &objects),
            found_by: by,
            story: last(story),
        },
        None => Counterexample {
            failure,
            schedule: Schedule::of(played, &objects),
            found_by: by,
            story: Vec::new(),
        },
    }
}

fn last<T>(mut story: Vec<T>) -> Vec<T> {
    story.split_off(story.len().saturating_sub(LONGEST_STORY))
}

/// Moves runs of one task together for as long as the execution still fails in the same way.
fn simplify(
    exploration: &Exploration,
    execution: &Execution,
    verdict: Verdict,
    steps: Vec<u8>,
) -> Option<(Failure, Played, Vec<Told>)> {
    let mut tries = 0;
    let mut attempt = |steps: &[u8]| {
        tries += 1;
        let played = play(exploration, execution, steps.to_vec(), false);
        (tries < PATIENCE)
            .then_some(played)
            .filter(|(failure, _)| failure.as_ref().is_some_and(|f| f.verdict() == verdict))
    };
    let (_, first) = attempt(&steps)?;
    let mut best = Schedule { objects: Vec::new(), steps: first.taken };
    'simpler: loop {
        let runs: Vec<Vec<u8>> = best.runs().map(<[u8]>::to_vec).collect();
        for early in 0..runs.len() {
            let again = (early + 1..runs.len()).find(|late| runs[*late][0] == runs[early][0]);
            let Some(late) = again else { continue };
            for (from, to) in [(late, early + 1), (early, late)] {
                let mut moved = runs.clone();
                let run = moved.remove(from);
                moved.insert(if from < to { to - 1 } else { to }, run);
                if let Some((_, follow)) = attempt(&moved.concat()) {
                    let simpler = Schedule { objects: Vec::new(), steps: follow.taken };
                    if simpler.switches() < best.switches() {
                        best = simpler;
                        continue 'simpler;
                    }
                }
            }
        }
        break;
    }
    let (failure, follow) = play(exploration, execution, best.steps, true);
    let played = Played { steps: follow.taken, started: execution.started() };
    failure.map(|failure| (failure, played, follow.story.unwrap_or_default()))
}

fn play(
    exploration: &Exploration,
    execution: &Execution,
    steps: Vec<u8>,
    story: bool,
) -> (Option<Failure>, Follow) {
    let mut follow = Follow::new(steps, story, exploration.settings.max_steps);
    let outcome = execution.run(&mut follow);
    let tasks = || follow.taken.iter().filter_map(|ordinal| execution.by_ordinal(*ordinal)).collect();
    let failure = exploration.failure(&outcome, follow.too_long, tasks);
    (failure, follow)
}

/// Plays one schedule.
pub(super) fn replay(exploration: &Arc<Exploration>, schedule: Schedule) -> Report {
    exploration.names.remember(&schedule.objects);
    let (this, steps) = (exploration.clone(), schedule.steps.clone());
    let played = supervise::threads(exploration, 1, Progress::default(), move |_, execution| {
        play(&this, &execution, steps.clone(), true)
    });
    let (failure, follow) = match played {
        Ok(mut played) => played.pop().expect("one thread played"),
        Err(failure) => (Some(failure), Follow::new(Vec::new(), false, 0)),
    };
    let wanted = schedule.steps.len();
    let limit = match follow.parted_at {
        Some(at) => format!(
            "the schedule parts from the program at step {at} of {wanted}: the task whose turn it was cannot go \
             on there. Is it a schedule of this program, as it is now?"
        ),
        None if follow.taken.len() < wanted => {
            format!("the schedule has {wanted} steps, and the execution ended after {}", follow.taken.len())
        }
        None => "one schedule was played again; nothing is said of the others".into(),
    };
    let played = Schedule { objects: schedule.objects, steps: follow.taken };
    let deadlocked = matches!(failure, Some(Failure::Deadlock(_) | Failure::Hang(_)));
    let counterexample = failure.map(|failure| Counterexample {
        failure,
        schedule: played.clone(),
        found_by: "the schedule that was given".into(),
        story: last(follow.story.unwrap_or_default()),
    });
    Report {
        drawn: None,
        verdict: counterexample.as_ref().map_or(Verdict::Truncated, |found| found.failure.verdict()),
        strategy: "replay".into(),
        executions: 1,
        redundant: 0,
        deadlocked: deadlocked.into(),
        forgotten: 0,
        longest: played,
        limit: Some(limit),
        counterexample,
        time: exploration.begun.elapsed(),
    }
}

/// The step at which two executions part, in words.
pub(super) fn parted(outcome: &Outcome, parted: &Parted) -> String {
    let name = |step: &Move| name(outcome, step.task);
    let does = |step: &Move| match step.touch.object {
        0 => "a wait".to_owned(),
        object => {
            let (creator, nth) = names::parts(object);
            format!("a {:?} on the object that task {creator} made as its number {nth}", step.touch.kind)
        }
    };
    let Parted { step, expected, found } = parted;
    let found = found.as_ref().map_or("it cannot go on".into(), |found| format!("it is {}", does(found)));
    format!(
        "step {step} was {} by {}, and after the same steps {found}. Does it use the time, random numbers, the \
         order of a HashMap, an address, or something that outlives an execution?",
        does(expected),
        name(expected)
    )
}

fn name(outcome: &Outcome, task: u8) -> String {
    let found = outcome.tasks.iter().find(|(number, _)| *number == task);
    found.map_or_else(|| format!("task {task}"), |(_, name)| name.clone())
}

/// An execution that met the step limit: who took the last of the steps.
pub(super) fn endless(outcome: &Outcome, limit: usize, tasks: &[u8]) -> Failure {
    let recent = &tasks[tasks.len() - tasks.len() / 4..];
    let mut counts: Vec<(u8, usize)> = Vec::new();
    for task in recent {
        match counts.iter_mut().find(|(counted, _)| counted == task) {
            Some((_, count)) => *count += 1,
            None => counts.push((*task, 1)),
        }
    }
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    Failure::Endless(limit, counts.into_iter().map(|(task, count)| (name(outcome, task), count)).collect())
}
