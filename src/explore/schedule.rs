//! A schedule as one short line, and how it is followed.
//!
//! `0.2,1.1o/0x3,1,0,2x4`: before the stroke the objects that have steps (the task that made it, the how manieth
//! it made; `o` if somebody looks); after it whose step is taken, and how many times in a row. Tasks are counted
//! in the order in which this execution starts them.

use std::fmt;
use std::str::FromStr;

use super::dependence::Touch;
use super::execution::{Execution, Guide};
use super::names::{self, Known};
use crate::wait::Op;

/// One interleaving of a program, as a line of text that plays it again.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Schedule {
    pub(super) objects: Vec<(u32, Known)>,
    /// The ordinal of the task whose step it is.
    pub(super) steps: Vec<u8>,
}

/// An execution that was played.
#[derive(Clone, Debug, Default)]
pub(super) struct Played {
    /// The ordinal of the task whose step it is.
    pub(super) steps: Vec<u8>,
    /// The tasks by their ordinals.
    pub(super) started: Vec<u8>,
}

impl Schedule {
    /// The schedule of an execution, in which these objects have steps. The explorer names objects by the numbers
    /// of their makers; whoever plays the schedule again gives those numbers in the order in which it starts
    /// tasks, so they are the ordinals. What tasks make that this execution does not start is not in it.
    pub(super) fn of(played: Played, known: &[(u32, Known)]) -> Self {
        let renamed = |object| {
            let (creator, nth) = names::parts(object);
            let ordinal = played.started.iter().position(|task| u32::from(*task) == creator)?;
            names::object(ordinal as u32, nth)
        };
        let renamed = known.iter().filter_map(|(object, known)| {
            Some((renamed(*object)?, Known { with: renamed(known.with).unwrap_or(0), ..*known }))
        });
        let mut objects: Vec<_> = renamed.collect();
        objects.sort_unstable_by_key(|(object, _)| *object);
        Self { objects, steps: played.steps }
    }

    /// How many steps it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// Whether it has none: nothing in the program depends on the order of anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// How many times another task goes on than the one before.
    #[must_use]
    pub fn switches(&self) -> usize {
        self.runs().count().saturating_sub(1)
    }

    /// The steps as runs of one task each.
    pub(super) fn runs(&self) -> impl Iterator<Item = &[u8]> {
        self.steps.chunk_by(|a, b| a == b)
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (object, known)) in self.objects.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            let alone = if known.shared { "" } else { "-" };
            let looks = if known.observed { "o" } else { "" };
            let with = if known.with == 0 { String::new() } else { format!("={}", dotted(known.with)) };
            write!(f, "{comma}{}{alone}{looks}{with}", dotted(*object))?;
        }
        write!(f, "/")?;
        for (index, run) in self.runs().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            match run.len() {
                1 => write!(f, "{comma}{}", run[0])?,
                times => write!(f, "{comma}{}x{times}", run[0])?,
            }
        }
        Ok(())
    }
}

/// Why a line is no schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{part}` is no part of a schedule: {expected}")]
pub struct ParseScheduleError {
    part: String,
    expected: &'static str,
}

const OBJECT: &str = "before the stroke stand objects such as `0.2` or `1.1o`, separated by commas";
const STEP: &str = "after the stroke stand tasks such as `0` or `0x3`, separated by commas";
const STROKE: &str = "one stroke separates the objects from the steps, as in `0.2/0x3,1`";
const LONGEST: usize = 10_000_000;

impl FromStr for Schedule {
    type Err = ParseScheduleError;

    fn from_str(line: &str) -> Result<Self, ParseScheduleError> {
        let wrong = |part: &str, expected| ParseScheduleError { part: part.to_owned(), expected };
        let (objects, steps) = line.trim().split_once('/').ok_or_else(|| wrong(line, STROKE))?;
        let mut schedule = Self::default();
        for part in objects.split(',').filter(|part| !part.is_empty()) {
            let named = |name: &str| object(name).ok_or_else(|| wrong(part, OBJECT));
            let (name, with) = match part.split_once('=') {
                None => (part, 0),
                Some((name, with)) => (name, named(with)?),
            };
            let (name, observed) = name.strip_suffix('o').map_or((name, false), |name| (name, true));
            let (name, shared) = name.strip_suffix('-').map_or((name, true), |name| (name, false));
            let object = named(name)?;
            let known = Known { first: 0, shared, observed, with };
            schedule.objects.push((object, known));
        }
        for part in steps.split(',').filter(|part| !part.is_empty()) {
            let (task, times) = part.split_once('x').unwrap_or((part, "1"));
            let parsed = task.parse::<u8>().ok().zip(times.parse::<usize>().ok());
            let (task, times) = parsed
                .filter(|(_, times)| schedule.steps.len() + times <= LONGEST)
                .ok_or_else(|| wrong(part, STEP))?;
            schedule.steps.extend(std::iter::repeat_n(task, times));
        }
        Ok(schedule)
    }
}

/// A step, for the story of an execution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) ordinal: u8,
    pub(super) task: String,
    pub(super) op: Op,
    pub(super) touch: Touch,
}

/// An object as a schedule writes it: `0.2`.
fn dotted(object: u32) -> String {
    let (creator, nth) = names::parts(object);
    format!("{creator}.{nth}")
}

/// The object that is written so.
fn object(name: &str) -> Option<u32> {
    let (creator, nth) = name.split_once('.')?;
    names::object(creator.parse().ok()?, nth.parse().ok()?)
}

/// Follows a schedule as far as it goes, and then goes on with as few switches as it can.
#[derive(Debug)]
pub(super) struct Follow {
    pub(super) wanted: Vec<u8>,
    pub(super) taken: Vec<u8>,
    /// The first step that could not be followed.
    pub(super) parted_at: Option<usize>,
    pub(super) story: Option<Vec<Told>>,
    limit: usize,
    next: usize,
    pub(super) too_long: bool,
}

impl Follow {
    pub(super) fn new(wanted: Vec<u8>, story: bool, limit: usize) -> Self {
        let story = story.then(Vec::new);
        Self { wanted, taken: Vec::new(), parted_at: None, story, limit, next: 0, too_long: false }
    }
}

impl Guide for Follow {
    fn choose(&mut self, execution: &Execution, enabled: u32) -> Option<u8> {
        if self.taken.len() >= self.limit {
            self.too_long = true;
            return None;
        }
        let able = |ordinal: &u8| execution.by_ordinal(*ordinal).filter(|task| enabled >> task & 1 == 1);
        let mut chosen = None;
        while let Some(ordinal) = self.wanted.get(self.next) {
            self.next += 1;
            chosen = able(ordinal);
            if chosen.is_some() {
                break;
            }
            self.parted_at.get_or_insert(self.taken.len());
        }
        let last = self.taken.last().and_then(able);
        let task = chosen.or(last).unwrap_or_else(|| {
            let tasks = (0..32u8).filter(|task| enabled >> task & 1 == 1);
            tasks.min_by_key(|task| execution.ordinal(*task)).expect("somebody is enabled")
        });
        let ordinal = execution.ordinal(task);
        self.taken.push(ordinal);
        if let Some(story) = &mut self.story {
            let (op, touch) = (execution.pending_op(task), execution.pending(task));
            story.push(Told { ordinal, task: execution.name_of(task), op, touch });
        }
        Some(task)
    }

    fn taken(&mut self, _: &Execution, _: u8) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_schedule_that_was_printed_is_the_same_when_parsed(
            objects in proptest::collection::vec((0u32..32, 1u32..99, any::<(bool, bool)>()), 0..5),
            steps in proptest::collection::vec(0u8..6, 0..40),
        ) {
            let known = |(shared, observed)| Known { first: 0, shared, observed, with: u32::from(observed) * 7 };
            let objects = objects.into_iter().map(|(creator, nth, marks)| (names::object(creator, nth).unwrap(), known(marks)));
            let schedule = Schedule { objects: objects.collect(), steps };
            prop_assert_eq!(schedule.to_string().parse::<Schedule>(), Ok(schedule));
        }
    }

    #[test]
    fn what_is_no_schedule_is_refused_with_its_part() {
        for (line, part) in
            [("0x3,1", "0x3,1"), ("0.2q/0", "0.2q"), ("/0,y", "y"), ("/0x99999999", "0x99999999")]
        {
            assert_eq!(line.parse::<Schedule>().unwrap_err().part, part);
        }
    }
}
